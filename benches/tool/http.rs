//! As much of an HTTP/1.1 client as a load generator needs: it must cost little beside what it measures.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The end of the header of an answer.
const END: &[u8] = b"\r\n\r\n";

/// A connection that is kept open. After an error it must not be used again.
pub struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
    body_at: usize,
}

/// How the end of a body is known.
#[derive(Clone, Copy)]
enum Length {
    Bytes(usize),
    Chunks,
}

impl Connection {
    /// Connects to `address`, such as 127.0.0.1:8080.
    pub async fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: Vec::with_capacity(16 * 1024), body_at: 0 })
    }

    /// Sends a request and reads the whole answer; its status.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        let (status, length) = self.head().await?;
        loop {
            let body = &self.answer[self.body_at..];
            let whole = match length {
                Length::Bytes(bytes) => body.len() >= bytes,
                Length::Chunks => body.ends_with(b"0\r\n\r\n"),
            };
            if whole {
                return Ok(status);
            }
            self.more().await?;
        }
    }

    /// The body of the last answer.
    pub fn body(&self) -> &[u8] {
        &self.answer[self.body_at..]
    }

    /// Waits for more of the answer.
    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.answer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn head(&mut self) -> io::Result<(u16, Length)> {
        self.answer.clear();
        loop {
            self.more().await?;
            if let Some(at) = self.answer.windows(END.len()).position(|window| window == END) {
                self.body_at = at + END.len();
                return parse(&self.answer[..at]);
            }
        }
    }
}

fn parse(head: &[u8]) -> io::Result<(u16, Length)> {
    let broken = || io::Error::from(io::ErrorKind::InvalidData);
    let text = str::from_utf8(head).map_err(|_| broken())?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let status: u16 = status.ok_or_else(broken)?;
    let mut length = Length::Bytes(0);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = Length::Bytes(value.trim().parse().map_err(|_| broken())?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            length = Length::Chunks;
        }
    }
    Ok((status, if status == 304 { Length::Bytes(0) } else { length }))
}
