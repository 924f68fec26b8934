//! An HTTP proxy that opens tunnels (CONNECT), and keeps what it was asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// Leads what is meant for a name to a server that it knows by that name, whatever the network says.
pub struct Tunnels {
    /// `host:port` of the proxy.
    pub place: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Tunnels {
    /// From `host:port` names to `host:port` addresses.
    pub async fn to(servers: &[(&str, String)]) -> Self {
        let servers: HashMap<String, String> =
            servers.iter().map(|(name, server)| ((*name).to_owned(), server.clone())).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = listener.local_addr().unwrap().to_string();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, servers.clone(), Arc::clone(&kept)));
            }
        });
        Self { place, heads }
    }

    /// The heads of all requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn serve(client: TcpStream, servers: HashMap<String, String>, heads: Arc<Mutex<Vec<String>>>) {
    let mut client = BufReader::new(client);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if client.read_line(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let name = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let server = name.and_then(|name| servers.get(name));
    heads.lock().unwrap().push(head.clone());
    let Some(server) = server else {
        let _ = client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
        return;
    };
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    if client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.is_ok() {
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}
