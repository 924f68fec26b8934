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
            let lines = self.answer.iter().enumerate().filter(|(_, b)| **b == b'\n');
            if let Some(end) = lines.map(|(at, _)| at + 1).find(|end| self.answer[..*end].ends_with(END)) {
                self.body_at = end;
                return parse(&self.answer[..end - END.len()]);
            }
        }
    }
}

/// The status, and how the end of the body is known. Bytes, as looking for text costs more than all the rest here.
fn parse(head: &[u8]) -> io::Result<(u16, Length)> {
    let broken = || io::Error::from(io::ErrorKind::InvalidData);
    let mut lines = head.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let code = lines.next().and_then(|line| line.get(9..12)).and_then(number);
    let status = code.and_then(|code| u16::try_from(code).ok()).ok_or_else(broken)?;
    let mut length = Length::Bytes(0);
    for line in lines {
        if let Some(value) = value_of(line, b"content-length:") {
            length = Length::Bytes(number(value).ok_or_else(broken)?);
        } else if value_of(line, b"transfer-encoding:").is_some() {
            length = Length::Chunks;
        }
    }
    Ok((status, if status == 304 { Length::Bytes(0) } else { length }))
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (head, value) = line.split_at_checked(name.len())?;
    head.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn number(digits: &[u8]) -> Option<usize> {
    str::from_utf8(digits).ok()?.parse().ok()
}
