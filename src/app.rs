//! Puts the service together: the only place that names adapters.

mod stores;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use stores::{Stores, forget_netease, migrate};

use crate::commands::bind_account::Binder;
use crate::commands::forget_read::forget_read;
use crate::commands::receive_copy::Inbox;
use crate::commands::register_account::Registrar;
use crate::commands::send_notification::Notifier;
use crate::config::{Auth, AuthMode, Config, ConfigError};
use crate::domain::ids::UserId;
use crate::http::api::{Api, Limits};
use crate::http::metrics::Metrics;
use crate::http::router::router;
use crate::infra::clock::System;
use crate::infra::jwt::{JwtAuthenticator, JwtSettings};
use crate::infra::netease::{Netease, NeteaseSettings};
use crate::infra::open_door::OpenDoor;
use crate::ports::authenticator::Authenticator;
use crate::ports::clock::{Clock, Ids};
use crate::ports::gateway::Gateway;
use crate::ports::log_upkeep::LogUpkeep;
use crate::queries::reader_loads::ReaderLoads;
use crate::queries::unread_counts::UnreadCounts;

/// Why the service does not start. Each is one sentence that names the thing and the way out.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is missing or wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A store cannot be reached, or its schema is not there.
    #[error("{0}")]
    Store(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; free the port or set http.listen to another one")]
    Listen {
        /// What was asked for.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Serving ended by itself.
    #[error("serving failed: {0}")]
    Serve(#[from] io::Error),
}

/// The service, ready to serve.
pub struct App {
    router: Router,
    retention: Option<Retention>,
    tasks: TaskTracker,
    shutdown: Duration,
}

/// Forgets read messages now and then.
struct Retention {
    log: Arc<dyn LogUpkeep>,
    clock: Arc<dyn Clock>,
    days: u32,
}

/// How often read messages are looked for that are old enough to be forgotten.
const RETENTION_EVERY: Duration = Duration::from_hours(1);

impl App {
    /// Connects the stores and puts everything together.
    pub async fn build(config: &Config) -> Result<Self, StartError> {
        config.validate()?;
        let stores = Stores::connect(config).await?;
        Self::assemble(config, stores)
    }

    fn assemble(config: &Config, stores: Stores) -> Result<Self, StartError> {
        let (clock, ids): (Arc<dyn Clock>, Arc<dyn Ids>) = (Arc::new(System), Arc::new(System));
        let gateway = gateway(config, &clock, &ids)?;
        let registrar =
            Arc::new(Registrar::new(Arc::clone(&stores.accounts), Arc::clone(&gateway), Arc::clone(&ids)));
        let loads = ReaderLoads::new(
            Arc::clone(&stores.log),
            Arc::clone(&stores.view),
            Arc::clone(&clock),
            Arc::clone(&ids),
            config.unread.loads_at_once,
        );
        let metrics = Metrics::new(&loads.counters());
        let tasks = TaskTracker::new();
        let retention = config.messages.retention_days.map(|days| Retention {
            log: Arc::clone(&stores.upkeep),
            clock: Arc::clone(&clock),
            days,
        });
        let api = Api {
            binder: Arc::new(Binder {
                accounts: Arc::clone(&stores.accounts),
                gateway: Arc::clone(&gateway),
                registrar: Arc::clone(&registrar),
            }),
            notifier: Arc::new(Notifier { gateway, registrar, ids, system_account: system_account(config)? }),
            counts: UnreadCounts {
                view: Arc::clone(&stores.view),
                log: Arc::clone(&stores.log),
                loads,
                clock: Arc::clone(&clock),
                recheck_after_ms: millis(config.unread.recheck_after),
                started_at: clock.now(),
                fallbacks: Semaphore::new(config.unread.fallback_at_once),
            },
            inbox: Arc::new(inbox(config, &stores)),
            accounts: stores.accounts,
            authenticator: authenticator(&config.auth, &clock)?,
            clock,
            app_secrets: [
                std::slice::from_ref(&config.netease.app_secret),
                &*config.netease.previous_app_secrets,
            ]
            .concat(),
            limits: limits(config),
            metrics,
            tasks: tasks.clone(),
            webhook_slots: Arc::new(Semaphore::new(config.limits.webhooks_at_once)),
        };
        Ok(Self { router: router(Arc::new(api)), retention, tasks, shutdown: config.limits.shutdown })
    }

    /// Serves until `stop`, then ends what is under way, within the bound that the configuration sets.
    ///
    /// Answers whether everything under way came to its end.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> Result<bool, StartError> {
        let listener = listener.tap_io(|stream| {
            // Answers are small; waiting to fill a packet only delays them.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection cannot be set to no delay");
            }
        });
        if let Some(retention) = self.retention {
            let stop = stop.clone();
            self.tasks.spawn(async move { stop.run_until_cancelled(retention.run()).await });
        }
        let stopping = stop.clone();
        let server = axum::serve(listener, self.router).with_graceful_shutdown(stop.cancelled_owned());
        let mut server = tokio::spawn(server.into_future());
        tokio::select! {
            ended = &mut server => return finished(ended),
            () = stopping.cancelled() => tracing::info!("stopping: no new connections"),
        }
        self.tasks.close();
        let drain = async {
            let ended = (&mut server).await;
            self.tasks.wait().await;
            ended
        };
        if let Ok(ended) = tokio::time::timeout(self.shutdown, drain).await {
            return finished(ended);
        }
        server.abort();
        let unfinished = self.tasks.len();
        // A client that never ends its request holds its connection, but no work of ours.
        tracing::warn!(unfinished, "stopping: some connections did not end in time");
        Ok(unfinished == 0)
    }
}

impl Retention {
    async fn run(self) {
        let mut ticks = tokio::time::interval(RETENTION_EVERY);
        loop {
            ticks.tick().await;
            match forget_read(&*self.log, &*self.clock, self.days).await {
                Ok(0) => {}
                Ok(messages) => tracing::info!(messages, days = self.days, "forgot messages that were read"),
                Err(error) => {
                    tracing::warn!(%error, "old messages could not be forgotten; trying again later");
                }
            }
        }
    }
}

fn finished(ended: Result<io::Result<()>, JoinError>) -> Result<bool, StartError> {
    ended.map_err(io::Error::other)??;
    Ok(true)
}

/// Where copies go, for the webhook and for dead letters that are taken in again.
pub fn inbox(config: &Config, stores: &Stores) -> Inbox {
    Inbox {
        log: Arc::clone(&stores.log),
        view: Arc::clone(&stores.view),
        letters: Arc::clone(&stores.letters),
        clock: Arc::new(System),
        receipt_allowance_ms: millis(config.unread.receipt_allowance),
    }
}

/// Listens where the configuration says.
pub async fn listen(config: &Config) -> Result<TcpListener, StartError> {
    let address = config.http.listen;
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

fn gateway(
    config: &Config,
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn Ids>,
) -> Result<Arc<dyn Gateway>, StartError> {
    let netease = &config.netease;
    let settings = NeteaseSettings {
        base_url: netease.base_url.clone(),
        app_key: netease.app_key.clone(),
        app_secret: netease.app_secret.clone(),
        connect_timeout: netease.connect_timeout,
        timeout: netease.timeout,
        attempts: netease.attempts,
    };
    let gateway = Netease::new(settings, Arc::clone(clock), Arc::clone(ids));
    Ok(Arc::new(gateway.map_err(|e| ConfigError(format!("the client for NetEase cannot be made: {e}")))?))
}

fn authenticator(auth: &Auth, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Authenticator>, StartError> {
    if auth.mode == AuthMode::None {
        return Ok(Arc::new(OpenDoor));
    }
    let settings = JwtSettings {
        hs256_secret: auth.hs256_secret.clone(),
        public_key_file: auth.public_key_file.clone(),
        jwks_url: auth.jwks_url.clone(),
        issuer: auth.issuer.clone(),
        audience: auth.audience.clone(),
        ..JwtSettings::default()
    };
    let jwt = JwtAuthenticator::new(settings, Arc::clone(clock)).map_err(|e| ConfigError(e.to_string()))?;
    Ok(Arc::new(jwt))
}

fn system_account(config: &Config) -> Result<UserId, StartError> {
    let system = UserId::parse(&config.notifications.system_account);
    Ok(system.map_err(|rule| ConfigError(format!("notifications.system_account {rule}")))?)
}

fn limits(config: &Config) -> Limits {
    let limits = &config.limits;
    Limits {
        poll_users: limits.poll_users,
        webhook_body: limits.webhook_body,
        body: limits.body,
        body_timeout: limits.body_timeout,
        webhook_timeout: limits.webhook_timeout,
        poll_timeout: limits.poll_timeout,
        netease_timeout: limits.netease_timeout,
        max_age: config.netease.max_age,
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
