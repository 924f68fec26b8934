//! A TCP proxy that can be cut: puts a store out of reach for one test alone.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes connections on to one server, until it is cut.
pub struct Proxy {
    address: SocketAddr,
    server: String,
    open: watch::Sender<bool>,
}

impl Proxy {
    /// In front of the server of this URL.
    pub async fn of(url: &str) -> Self {
        let server = server_of(url).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let open = watch::Sender::new(true);
        tokio::spawn(accept(listener, server.clone(), open.subscribe()));
        Self { address, server, open }
    }

    /// The same URL by way of this proxy. A MongoDB driver must not learn of another way, so it connects directly.
    pub fn through(&self, url: &str) -> String {
        let url = url.replace(&self.server, &self.address.to_string());
        url.replace("replicaSet=rs0", "directConnection=true")
    }

    /// Ends all connections, and each new one at once.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// New connections are passed on again.
    pub fn mend(&self) {
        self.open.send_replace(true);
    }
}

fn server_of(url: &str) -> &str {
    let place = url.split_once("://").map_or(url, |(_, place)| place);
    let place = place.split(['/', '?']).next().unwrap_or(place);
    place.rsplit('@').next().unwrap_or(place)
}

async fn accept(listener: TcpListener, server: String, open: watch::Receiver<bool>) {
    while let Ok((client, _)) = listener.accept().await {
        if *open.borrow() {
            tokio::spawn(pass_on(client, server.clone(), open.clone()));
        }
    }
}

async fn pass_on(mut client: TcpStream, server: String, mut open: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = open.wait_for(|open| !open) => {}
    }
}
