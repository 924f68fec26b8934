//! A TCP proxy that can be cut, stalled or turned to another server: puts a store out of reach for one test alone.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes connections on to one server, until it is told otherwise.
pub struct Proxy {
    address: SocketAddr,
    server: String,
    state: watch::Sender<State>,
    accepted: Arc<AtomicUsize>,
}

#[derive(Debug, Clone)]
struct State {
    flow: Flow,
    /// The connections that `flow` is for, counted as they come; the others are open.
    of: Range<usize>,
    server: String,
}

impl State {
    fn flow_of(&self, connection: usize) -> Flow {
        if self.of.contains(&connection) { self.flow } else { Flow::Open }
    }
}

const ALL: Range<usize> = 0..usize::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Open,
    Cut,
    Stalled,
    RepliesHeld,
}

impl Proxy {
    /// In front of the server of this URL.
    pub async fn of(url: &str) -> Self {
        let server = server_of(url).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = watch::Sender::new(State { flow: Flow::Open, of: ALL, server: server.clone() });
        let accepted = Arc::<AtomicUsize>::default();
        tokio::spawn(accept(listener, state.subscribe(), Arc::clone(&accepted)));
        Self { address, server, state, accepted }
    }

    /// The same URL by way of this proxy. A MongoDB driver must not learn of another way, so it connects directly.
    pub fn through(&self, url: &str) -> String {
        let url = url.replace(&self.server, &self.address.to_string());
        url.replace("replicaSet=rs0", "directConnection=true")
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Whether none of them is open any more.
    pub fn is_idle(&self) -> bool {
        // Whoever accepts listens, and so does each connection.
        self.state.receiver_count() == 1
    }

    /// Ends all connections, and each new one at once.
    pub fn cut(&self) {
        self.set(Flow::Cut, ALL);
    }

    /// Ends the first connections, so many of them.
    pub fn cut_first(&self, connections: usize) {
        self.set(Flow::Cut, 0..connections);
    }

    /// Nothing passes any more, and nobody is told so.
    pub fn stall(&self) {
        self.set(Flow::Stalled, ALL);
    }

    /// Nothing passes on any connection but the first ones, so many of them.
    pub fn stall_after(&self, connections: usize) {
        self.set(Flow::Stalled, connections..usize::MAX);
    }

    /// Requests pass, and are carried out; what comes back waits.
    pub fn hold_replies(&self) {
        self.set(Flow::RepliesHeld, ALL);
    }

    /// The same on any connection but the first ones, so many of them.
    pub fn hold_replies_after(&self, connections: usize) {
        self.set(Flow::RepliesHeld, connections..usize::MAX);
    }

    /// Everything passes again, what was held first.
    pub fn mend(&self) {
        self.set(Flow::Open, ALL);
    }

    /// New connections go to the server of this URL; those that are there stay where they are.
    pub fn turn_to(&self, url: &str) {
        self.state.send_modify(|state| server_of(url).clone_into(&mut state.server));
    }

    fn set(&self, flow: Flow, of: Range<usize>) {
        self.state.send_modify(|state| (state.flow, state.of) = (flow, of));
    }
}

fn server_of(url: &str) -> &str {
    let place = url.split_once("://").map_or(url, |(_, place)| place);
    let place = place.split(['/', '?']).next().unwrap_or(place);
    place.rsplit('@').next().unwrap_or(place)
}

async fn accept(listener: TcpListener, state: watch::Receiver<State>, accepted: Arc<AtomicUsize>) {
    while let Ok((client, _)) = listener.accept().await {
        let number = accepted.fetch_add(1, Ordering::SeqCst);
        let now = state.borrow().clone();
        if now.flow_of(number) != Flow::Cut {
            tokio::spawn(connect(client, number, now.server, state.clone()));
        }
    }
}

async fn connect(mut client: TcpStream, number: usize, server: String, mut state: watch::Receiver<State>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    let passes = |waits: &'static [Flow]| move |state: &State| !waits.contains(&state.flow_of(number));
    tokio::select! {
        () = pass(from_client, to_server, state.clone(), passes(&[Flow::Stalled])) => {}
        () = pass(from_server, to_client, state.clone(), passes(&[Flow::Stalled, Flow::RepliesHeld])) => {}
        _ = state.wait_for(|state| state.flow_of(number) == Flow::Cut) => {}
    }
}

/// Passes bytes on while they may pass. Ends with either side.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
    may_pass: impl Fn(&State) -> bool,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let passes = state.wait_for(&may_pass).await.is_ok();
        if !passes || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
