//! What the routes and the listener tell each other about a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::body::Bytes;
use axum::response::Response;
use axum_server::ConnectionShutdown;
use http_body_util::BodyExt;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// How long an HTTP/2 client may leave a piece of an answer untaken. HTTP/1 needs no such bound: there the system's
/// own time-out for what was sent ends the connection.
const UNTAKEN: Duration = Duration::from_secs(20);

/// Connections that were taken, and those that were not.
#[derive(Debug, Clone, Default)]
pub struct ConnectionCounters {
    /// Open now.
    pub open: Gauge,
    /// Closed at once, because there were as many as there may be.
    pub refused: Counter,
    /// Times that the system had no connection to give, such as for want of open files.
    pub accept_errors: Counter,
}

impl ConnectionCounters {
    /// Shows them under `/metrics`.
    pub fn register(&self, registry: &mut Registry) {
        let Self { open, refused, accept_errors } = self.clone();
        registry.register("connections_open", "Connections that are open", open);
        registry.register("connections_refused", "Connections closed at once: there were too many", refused);
        registry.register("accept_errors", "Times that no connection could be accepted", accept_errors);
    }
}

/// Whether the connection of a request ends once its client sends no more.
///
/// A half-closed client still gets its answer. A stream has no end, so there a half-close ends it: most clients that
/// close want no more of it, and would keep their places until the next heartbeats fail.
#[derive(Debug, Clone, Default)]
pub struct HangUp(Arc<AtomicBool>);

impl HangUp {
    /// Whether it does; each request begins with `false`.
    pub fn set(&self, ends: bool) {
        self.0.store(ends, Ordering::Relaxed);
    }

    /// Whether it does.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The answer, whose connection is closed if a piece of it stays untaken for 20 s.
///
/// Without it a client that opens no window would hold the answers to all its streams in memory for as long as it
/// likes. A piece counts as taken once the connection has let go of its bytes.
pub fn close_if_untaken(answer: Response, connection: ConnectionShutdown) -> Response {
    answer.map(|body| Body::new(body.map_frame(move |frame| frame.map_data(|data| timed(data, &connection)))))
}

fn timed(data: Bytes, connection: &ConnectionShutdown) -> Bytes {
    let connection = connection.clone();
    let timer = tokio::spawn(async move {
        sleep(UNTAKEN).await;
        connection.shutdown();
    });
    Bytes::from_owner(Untaken { data, _timer: AbortOnDropHandle::new(timer) })
}

struct Untaken {
    data: Bytes,
    _timer: AbortOnDropHandle<()>,
}

impl AsRef<[u8]> for Untaken {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}
