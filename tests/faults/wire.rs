//! The network between the service and one store: passes bytes on, or cuts, holds, swallows and delays them.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What is wrong with the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Every connection ends, and each new one at once.
    Cut,
    /// Nothing moves; once the fault is over, what was held goes on.
    Hold,
    /// Connections stay up and swallow everything: those of this time for ever, whatever comes after.
    Swallow,
    /// Everything takes so much longer.
    Delay(Duration),
    /// Requests arrive and are carried out; their answers are lost, and a moment later the connection is too.
    LoseReplies,
}

/// How long a connection lives that has begun to lose replies.
const LOSING: Duration = Duration::from_millis(300);

/// Time enough for every connection to notice that it is cut.
const NOTICED: Duration = Duration::from_millis(50);

#[derive(Debug, Clone)]
struct State {
    fault: Fault,
    server: String,
}

/// A network with one server behind it.
pub struct Wire {
    address: SocketAddr,
    state: watch::Sender<State>,
}

impl Wire {
    /// To the server at this host:port.
    pub async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = watch::Sender::new(State { fault: Fault::None, server });
        tokio::spawn(accept(listener, state.subscribe()));
        Self { address, state }
    }

    /// host:port of this side.
    pub fn place(&self) -> String {
        self.address.to_string()
    }

    /// From now on this is wrong with it.
    pub fn set(&self, fault: Fault) {
        self.state.send_modify(|state| state.fault = fault);
    }

    /// Ends every connection; new ones are passed on.
    pub async fn break_all(&self) {
        self.set(Fault::Cut);
        tokio::time::sleep(NOTICED).await;
        self.set(Fault::None);
    }

    /// New connections go to this server; those that are there stay where they are.
    pub fn turn_to(&self, server: String) {
        self.state.send_modify(|state| state.server = server);
    }
}

async fn accept(listener: TcpListener, state: watch::Receiver<State>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(connect(client, state.clone()));
    }
}

async fn connect(client: TcpStream, state: watch::Receiver<State>) {
    let State { server, fault } = state.borrow().clone();
    if fault == Fault::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let lost = Arc::new(AtomicBool::new(false));
    tokio::select! {
        () = pass(from_client, to_server, state.clone(), &lost, false) => {}
        () = pass(from_server, to_client, state.clone(), &lost, true) => {}
        () = suffer(state.clone(), &lost) => {}
    }
}

/// Ends when the connection has to; notes when it is lost without an end.
async fn suffer(mut state: watch::Receiver<State>, lost: &AtomicBool) {
    loop {
        let fault = state.borrow_and_update().fault;
        match fault {
            Fault::Cut => return,
            Fault::Swallow => lost.store(true, Ordering::Relaxed),
            Fault::LoseReplies => return tokio::time::sleep(LOSING).await,
            Fault::None | Fault::Hold | Fault::Delay(_) => {}
        }
        if state.changed().await.is_err() {
            return;
        }
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
    lost: &AtomicBool,
    replies: bool,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        let Ok(state) = state.wait_for(|state| state.fault != Fault::Hold).await.map(|state| state.fault)
        else {
            return pending().await;
        };
        if let Fault::Delay(time) = state {
            tokio::time::sleep(time).await;
        }
        let swallowed = lost.load(Ordering::Relaxed) || (replies && state == Fault::LoseReplies);
        if !swallowed && to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
