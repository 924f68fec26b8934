//! HTTP by hand, for bodies that no client library would send.

use std::fmt::Write;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::client::Client;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A POST under way, whose body comes in chunks, or does not come.
pub struct ChunkedPost {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
}

impl ChunkedPost {
    /// Sends the head.
    pub async fn begin<'a>(
        client: &Client,
        path: &str,
        headers: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Self {
        let host = client.url("").replace("http://", "");
        let mut head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
        );
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").expect("memory");
        }
        let (from, mut to) = TcpStream::connect(host).await.expect("a connection").into_split();
        to.write_all(format!("{head}\r\n").as_bytes()).await.expect("the head is sent");
        Self { from, to }
    }

    /// Sends so many chunks of so many spaces, or fewer if the other side has had enough, and reads the answer.
    pub async fn spaces(self, chunks: usize, length: usize) -> String {
        let Self { from, mut to } = self;
        let chunk = format!("{length:x}\r\n{}\r\n", " ".repeat(length));
        let sending = async {
            for _ in 0..chunks {
                if to.write_all(chunk.as_bytes()).await.is_err() {
                    return;
                }
            }
        };
        tokio::join!(answer(from), sending).0
    }

    /// Sends no more, and reads the answer.
    pub async fn stall(self) -> String {
        answer(self.from).await
    }
}

/// What is answered to a POST that announces a body of `length` bytes and sends none of it.
pub async fn announce<'a>(
    client: &Client,
    path: &str,
    headers: impl IntoIterator<Item = (&'a str, String)>,
    length: usize,
) -> String {
    let host = client.url("").replace("http://", "");
    let mut head =
        format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").expect("memory");
    }
    let (from, mut to) = TcpStream::connect(host).await.expect("a connection").into_split();
    to.write_all(format!("{head}\r\n").as_bytes()).await.expect("the head is sent");
    answer(from).await
}

/// Everything that comes until the other side closes.
async fn answer(mut from: OwnedReadHalf) -> String {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    let read = async {
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            all.extend_from_slice(&piece[..length]);
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("an answer, and the end of the connection, in time");
    String::from_utf8(all).expect("text")
}
