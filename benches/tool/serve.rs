//! Runtimes, and a server like the service's own.

use std::future::Future;
use std::net::SocketAddr;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use crate::Outcome;

/// For what measures: it takes one core at most.
pub fn on_one_thread(work: impl Future<Output = Outcome>) -> Outcome {
    Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// For what is measured: as many threads as the service has.
pub fn on_all_threads(work: impl Future<Output = Outcome>) -> Outcome {
    Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

/// Serves until the process is ended.
pub async fn serve(listen: SocketAddr, router: Router) -> Outcome {
    let listener = TcpListener::bind(listen).await?.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, router).await?)
}
