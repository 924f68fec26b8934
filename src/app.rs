//! Puts the service together: the only place that names adapters.

mod account_tools;
mod assembly;
mod background;
mod check;
mod connection;
mod data_lock;
mod listener;
mod reconcile_tools;
mod reconciling;
mod retention;
mod settings;
mod store_faults;
mod stores;
mod trust;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use account_tools::AccountTools;
pub use assembly::receiver;
pub use check::Step;
pub use data_lock::DataLock;
pub use listener::listen;
pub use reconcile_tools::ReconcileTools;
pub use stores::{Stores, forget_netease, migrate};

use crate::commands::deliver::DeliveryWorker;
use crate::commands::reconcile::Reconciler;
use crate::config::{Config, ConfigError};
use crate::http::connection::ConnectionCounters;
use crate::queries::store_health::StoreHealth;
use background::Background;
use listener::{Server, Silence};
use reconciling::Reconciling;
use retention::Retention;

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
    /// What a command printed could not be written.
    #[error("standard output cannot be written: {0}")]
    Output(io::Error),
    /// Serving ended by itself.
    #[error("serving failed: {0}")]
    Serve(#[from] io::Error),
    /// A task that runs for as long as the service ended by itself.
    #[error("the background task {task} ended by itself: {cause}; this is a fault of otc-im, start it again")]
    Background {
        /// Which one.
        task: &'static str,
        /// How it ended.
        cause: String,
    },
}

/// The service, ready to serve.
pub struct App {
    router: Router,
    worker: Arc<DeliveryWorker>,
    retention: Retention,
    reconciling: Reconciling,
    health: Arc<StoreHealth>,
    background: Background,
    connections: ConnectionCounters,
    phases: Phases,
    tasks: TaskTracker,
    bounds: ServeLimits,
}

/// What a stop goes through; each is cancelled when it begins.
#[derive(Clone)]
struct Phases {
    /// `/readyz` is 503, and everything is served.
    draining: CancellationToken,
    /// Streams end, and nothing new is taken on.
    winding_down: CancellationToken,
}

/// Bounds of connections and of a stop.
struct ServeLimits {
    connections: usize,
    silence: Silence,
    drain: Duration,
    shutdown: Duration,
}

impl App {
    /// Connects the stores and puts everything together.
    pub async fn build(config: &Config) -> Result<Self, StartError> {
        config.validate()?;
        let stores = Stores::connect(config).await?;
        assembly::assemble(config, stores)
    }

    /// Fills this service's log from NetEase's history.
    pub fn reconciler(&self) -> Reconciler {
        self.reconciling.by_hand()
    }

    /// The same service with more to show at its address.
    #[must_use]
    pub fn with(self, more: Router) -> Self {
        Self { router: self.router.merge(more), ..self }
    }

    /// Serves until `stop`. Then `/readyz` is 503 for as long as the configuration sets, and what is under way ends,
    /// within the bound that it sets for that.
    ///
    /// Answers whether everything under way came to its end. A background task that ends before is an error, after
    /// the same end to what is under way.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> Result<bool, StartError> {
        let Self {
            router,
            worker,
            retention,
            reconciling,
            health,
            mut background,
            connections,
            phases,
            tasks,
            bounds,
        } = self;
        background.watch("deliveries", tasks.spawn(worker.run()));
        background.watch("retention", tasks.spawn(until(phases.winding_down.clone(), retention.run())));
        reconciling.start(&mut background, &tasks, &phases.winding_down);
        let health = async move { health.watch().await };
        background.watch("store health", tasks.spawn(until(phases.winding_down.clone(), health)));
        let mut server = Server::start(listener, router, bounds.silence, bounds.connections, connections);

        let failure = tokio::select! {
            // A stop comes first: it lets the others end, too.
            biased;
            () = stop.cancelled() => announce(&phases, bounds.drain, &mut background).await,
            failure = background.failed() => Some(failure),
            ended = server.ended() => Some(ended.err().unwrap_or_else(|| io::Error::other("it ended").into())),
        };
        phases.draining.cancel();
        tracing::info!("stopping: no new connections");
        phases.winding_down.cancel();
        tasks.close();
        server.stop();
        let drain = async {
            server.ended().await?;
            tasks.wait().await;
            Ok(())
        };
        let drained = match timeout(bounds.shutdown, drain).await {
            Ok(drained) => drained.map(|()| true),
            Err(_) => {
                server.cut_off();
                let unfinished = tasks.len();
                // A client that never ends its request holds its connection, but no work of ours.
                tracing::warn!(unfinished, "stopping: some connections did not end in time");
                Ok(unfinished == 0)
            }
        };
        match failure.or_else(|| background.panicked()) {
            Some(failure) => Err(failure),
            None => drained,
        }
    }
}

/// The same work, dropped where it stands once `stop` is cancelled.
async fn until(stop: CancellationToken, work: impl Future<Output = ()>) {
    stop.run_until_cancelled(work).await;
}

/// Says on `/readyz` that the service is about to stop, and goes on serving for `drain`.
async fn announce(phases: &Phases, drain: Duration, background: &mut Background) -> Option<StartError> {
    phases.draining.cancel();
    if drain.is_zero() {
        return None;
    }
    tracing::info!(drain_ms = drain.as_millis(), "stopping soon: not ready, and serving what still comes");
    tokio::select! {
        failure = background.failed() => Some(failure),
        () = sleep(drain) => None,
    }
}

#[cfg(test)]
mod tests;
