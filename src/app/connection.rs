//! One accepted connection: its place among all of them, and whether it ends when its client closes.

use std::future::{Ready, ready};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::Request;
use axum_server::accept::Accept;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_service::Service;

use crate::http::connection::HangUp;

/// Gives each connection a place, or refuses it if there is none left.
#[derive(Clone)]
pub struct ConnectionLimiter {
    places: Arc<Semaphore>,
    open: Gauge,
}

impl ConnectionLimiter {
    /// At most `most` connections, counted by `open`.
    pub fn new(most: usize, open: Gauge) -> Self {
        Self { places: Arc::new(Semaphore::new(most)), open }
    }

    fn enter(&self, stream: TcpStream, hang_up: HangUp) -> io::Result<Connection> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| io::Error::other("there are as many connections as there may be"))?;
        self.open.inc();
        Ok(Connection { stream, hang_up, open: self.open.clone(), _place: place })
    }
}

impl<S> Accept<TcpStream, S> for ConnectionLimiter {
    type Stream = Connection;
    type Service = Introduced<S>;
    type Future = Ready<io::Result<(Connection, Introduced<S>)>>;

    fn accept(&self, stream: TcpStream, inner: S) -> Self::Future {
        let hang_up = HangUp::default();
        let connection = self.enter(stream, hang_up.clone());
        ready(connection.map(|connection| (connection, Introduced { inner, hang_up })))
    }
}

/// The service of one connection, whose requests carry its [`HangUp`].
#[derive(Clone)]
pub struct Introduced<S> {
    inner: S,
    hang_up: HangUp,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Introduced<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        self.hang_up.set(false);
        request.extensions_mut().insert(self.hang_up.clone());
        self.inner.call(request)
    }
}

/// A connection with its place.
pub struct Connection {
    stream: TcpStream,
    hang_up: HangUp,
    open: Gauge,
    _place: OwnedSemaphorePermit,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.dec();
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes whenever it looks at the connection, and does not read while it answers: this is where the end of
    /// what the client sends is seen, and where the task asks to be woken for it.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(context))?;
        if this.hang_up.get() {
            let mut byte = [0];
            if let Poll::Ready(0) = this.stream.poll_peek(context, &mut ReadBuf::new(&mut byte))? {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
