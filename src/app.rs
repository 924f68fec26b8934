//! Puts the service together: the only place that names adapters.

mod account_tools;
mod assembly;
mod retention;
mod settings;
mod stores;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use account_tools::AccountTools;
pub use assembly::inbox;
pub use stores::{Stores, forget_netease, migrate};

use crate::commands::deliver::Courier;
use crate::config::{Config, ConfigError};
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
}

/// The service, ready to serve.
pub struct App {
    router: Router,
    courier: Arc<Courier>,
    retention: Retention,
    winding_down: CancellationToken,
    tasks: TaskTracker,
    shutdown: Duration,
}

impl App {
    /// Connects the stores and puts everything together.
    pub async fn build(config: &Config) -> Result<Self, StartError> {
        config.validate()?;
        let stores = Stores::connect(config).await?;
        assembly::assemble(config, &stores)
    }

    /// The same service with more to show at its address.
    #[must_use]
    pub fn with(self, more: Router) -> Self {
        Self { router: self.router.merge(more), ..self }
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
        let stopping = stop.clone();
        let upkeep = stop.clone();
        self.tasks.spawn(async move { upkeep.run_until_cancelled(self.retention.run()).await });
        self.tasks.spawn(self.courier.run());
        let server = axum::serve(listener, self.router).with_graceful_shutdown(stop.cancelled_owned());
        let mut server = tokio::spawn(server.into_future());
        tokio::select! {
            ended = &mut server => return finished(ended),
            () = stopping.cancelled() => tracing::info!("stopping: no new connections"),
        }
        self.winding_down.cancel();
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

fn finished(ended: Result<io::Result<()>, JoinError>) -> Result<bool, StartError> {
    ended.map_err(io::Error::other)??;
    Ok(true)
}

/// Listens where the configuration says.
pub async fn listen(config: &Config) -> Result<TcpListener, StartError> {
    let address = config.http.listen;
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}
