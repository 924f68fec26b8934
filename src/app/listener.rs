//! The listener: how long a connection may be silent, how much it may hold, and how many there may be.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum_server::{Handle, Server as HttpServer};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::StartError;
use super::connection::ConnectionLimiter;
use crate::config::Config;
use crate::http::connection::ConnectionCounters;
use crate::log_gate::LogGate;

/// Bytes of a request's head: 500 users with long ids in a query fit.
const HEAD: usize = 64 * 1024;
/// How long a peer may leave what was sent unacknowledged: one that has vanished is let go of then.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// When a silent peer is asked whether it is still there, and how often once it does not answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// Requests that one HTTP/2 connection may have under way.
const H2_STREAMS: u32 = 128;
/// Bytes of bodies that one HTTP/2 connection, and one request of it, may send ahead of their reading.
const H2_WINDOWS: (u32, u32) = (256 * 1024, 64 * 1024);
/// Connections that there may be where the configuration does not say how many.
const USUAL_CONNECTIONS: usize = 20_000;
/// Open files that are kept for stores, NetEase and the rest.
const OTHER_FILES: u64 = 512;

/// Listens where the configuration says. Connections inherit the options that are set here.
pub async fn listen(config: &Config) -> Result<TcpListener, StartError> {
    let address = config.http.listen;
    let listener = TcpListener::bind(address).await;
    listener
        .and_then(|listener| set_options(&listener).map(|()| listener))
        .map_err(|source| StartError::Listen { address, source })
}

fn set_options(listener: &TcpListener) -> io::Result<()> {
    let socket = SockRef::from(listener);
    // Answers are small; waiting to fill a packet only delays them.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE.0).with_interval(KEEP_ALIVE.1))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    Ok(())
}

/// Raises the soft limit of open files to the hard one. Answers how many connections there may be: as many as are
/// configured, or fewer if there are not so many files. Who has not asked for so many is not warned.
pub fn make_room(configured: Option<usize>) -> usize {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or_else(|error| {
        tracing::warn!(%error, "the limit of open files cannot be raised");
        rlimit::Resource::NOFILE.get_soft().unwrap_or(u64::MAX)
    });
    let room = usize::try_from(files.saturating_sub(OTHER_FILES).max(files / 2)).unwrap_or(usize::MAX);
    match configured {
        Some(connections) if room < connections => {
            tracing::warn!(files, connections, room, "there are too few open files for limits.connections");
        }
        None if room < USUAL_CONNECTIONS => {
            tracing::info!(files, room, "the limit of open files bounds the connections");
        }
        _ => {}
    }
    room.min(configured.unwrap_or(USUAL_CONNECTIONS))
}

/// How long a connection may be silent.
#[derive(Debug, Clone, Copy)]
pub struct Silence {
    /// Before its first request is there with its whole head.
    pub head: Duration,
    /// Between an answer and the whole head of the next request.
    pub idle: Duration,
}

/// The server, running.
pub struct Server {
    handle: Handle<SocketAddr>,
    /// Until it has ended.
    task: Option<JoinHandle<io::Result<()>>>,
}

impl Server {
    /// Begins to serve at most `most` connections at once.
    pub fn start(
        listener: TcpListener,
        router: Router,
        silence: Silence,
        most: usize,
        counters: ConnectionCounters,
    ) -> Self {
        let handle = Handle::new();
        let mut server = HttpServer::<SocketAddr>::from_listener(listener)
            .handle(handle.clone())
            .first_request_timeout(silence.head)
            .acceptor(ConnectionLimiter::new(most, counters.open.clone()))
            .accept_error_handler(move |peer, error| not_taken(peer, error, &counters));
        let http = server.http_builder();
        http.http1().half_close(true).header_read_timeout(silence.idle).max_buf_size(HEAD);
        http.http2()
            .max_concurrent_streams(H2_STREAMS)
            .initial_connection_window_size(H2_WINDOWS.0)
            .initial_stream_window_size(H2_WINDOWS.1)
            .max_send_buf_size(HEAD)
            .max_header_list_size(u32::try_from(HEAD).unwrap_or(u32::MAX))
            .keep_alive_interval(KEEP_ALIVE.0)
            .keep_alive_timeout(KEEP_ALIVE.1);
        Self { handle, task: Some(tokio::spawn(server.serve(router.into_make_service()))) }
    }

    /// No new connections; those that are idle end, the others with what they have under way.
    pub fn stop(&self) {
        self.handle.graceful_shutdown(None);
    }

    /// Ends every connection now.
    pub fn cut_off(&self) {
        self.handle.shutdown();
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> Result<(), StartError> {
        let Some(task) = &mut self.task else { return Ok(()) };
        let ended = task.await;
        self.task = None;
        Ok(ended.map_err(io::Error::other)??)
    }
}

/// A connection with a peer was refused; without one there was none to be had.
fn not_taken(peer: Option<&SocketAddr>, error: &io::Error, counters: &ConnectionCounters) {
    static REFUSED: LogGate = LogGate::new();
    static FAILED: LogGate = LogGate::new();
    if peer.is_some() {
        counters.refused.inc();
        if let Some(count) = REFUSED.pass() {
            tracing::warn!(count, "connections were refused: there are as many as limits.connections allows");
        }
    } else {
        counters.accept_errors.inc();
        if let Some(count) = FAILED.pass() {
            tracing::warn!(count, %error, "connections could not be accepted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_is_accepted_notices_a_peer_that_has_vanished() {
        let mut config = Config::default();
        config.http.listen.set_port(0);
        let listener = listen(&config).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let socket = SockRef::from(&accepted);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED));
        assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEP_ALIVE.0);
        drop(client);
    }
}
