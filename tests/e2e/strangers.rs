//! What strangers can make the process hold, seen from outside: its resident memory.
#![cfg(target_os = "linux")]

use std::fmt::Write;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::time::{interval, timeout};

use crate::support::process::Process;
use crate::support::service::Site;
use crate::support::stores::Stores;
use crate::support::webhook::{PATH, now, signature};

const STRANGERS: usize = 300;
/// Bytes of a body: as many as a copy may have.
const BODY: usize = 1024 * 1024;
/// Chunks of one byte that a stranger sends: kept apart, they would take some thirty times as many bytes.
const CHUNKS: usize = 20_000;
/// How far resident memory may move, in KiB: a tenth of what the bodies are.
const MOST_KIB: usize = 32 * 1024;
/// How long all of them may take together.
const PATIENCE: Duration = Duration::from_secs(20);

/// KiB of memory that a process has resident.
fn resident(process: &Process) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// What `work` comes to, and by how many KiB resident memory was higher at its highest than before.
async fn growth<T>(process: &Process, work: impl Future<Output = T>) -> (T, usize) {
    let before = resident(process);
    let (mut most, mut looks) = (before, interval(Duration::from_millis(2)));
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return (done, most.max(resident(process)) - before),
            _ = looks.tick() => most = most.max(resident(process)),
        }
    }
}

/// Everything that is answered to a head and as much of a body as the other side takes. The connection is held until
/// everybody else has their answer, too.
async fn post(address: &str, head: String, body: &[u8], all: &Barrier) -> String {
    let (mut from, mut to) = TcpStream::connect(address).await.expect("a connection").into_split();
    to.write_all(head.as_bytes()).await.expect("the head is sent");
    all.wait().await;
    let mut answer = Vec::new();
    // Whoever is refused may be cut off: what came before is the answer.
    let read = async { drop(from.read_to_end(&mut answer).await) };
    let sent = async { drop(to.write_all(body).await) };
    tokio::join!(read, sent);
    all.wait().await;
    String::from_utf8(answer).expect("text")
}

/// What each of so many strangers is answered: some sign with another secret, the others not at all.
async fn strangers(process: &Process, framing: &str, body: Vec<u8>) -> Vec<String> {
    let address = process.client.url("").replace("http://", "");
    let (body, all) = (Arc::new(body), Arc::new(Barrier::new(STRANGERS)));
    let posts = (0..STRANGERS).map(|n| {
        let mut head =
            format!("POST {PATH} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{framing}\r\n");
        if n % 2 == 0 {
            for (name, value) in signature("another secret", b"{}", &now()) {
                write!(head, "{name}: {value}\r\n").expect("memory");
            }
        }
        let (address, body, all) = (address.clone(), Arc::clone(&body), Arc::clone(&all));
        tokio::spawn(async move { post(&address, format!("{head}\r\n"), &body, &all).await })
    });
    let answers = timeout(PATIENCE, join_all(posts)).await.expect("all are answered in time");
    answers.into_iter().map(|answer| answer.expect("no panic")).collect()
}

/// As many connections as later, each with a small copy that is taken: what the process needs anyway is there.
async fn warm(process: &Process) {
    for _ in 0..3 {
        let copies = (0..STRANGERS).map(|_| process.client.copy("{}"));
        assert!(join_all(copies).await.iter().all(|answer| answer.status == 200));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_three_hundred_strangers_take_no_memory() {
    let process = Site::new(Stores::embedded()).await.spawn().await;
    warm(&process).await;
    let whole = (format!("Content-Length: {BODY}"), vec![b' '; BODY]);
    let in_bytes = ("Transfer-Encoding: chunked".to_owned(), b"1\r\n \r\n".repeat(CHUNKS));
    for (framing, body) in [whole, in_bytes] {
        let (answers, growth) = growth(&process, strangers(&process, &framing, body)).await;
        let refused =
            |answer: &String| answer.starts_with("HTTP/1.1 401 ") && answer.contains("bad_signature");
        assert!(
            answers.iter().all(refused),
            "{framing}: {:?}",
            answers.iter().find(|answer| !refused(answer))
        );
        assert!(growth < MOST_KIB, "{framing}: {growth} KiB");
    }
    assert_eq!(process.client.counted("otc_im_webhook_bad_signatures_total").await, 2 * STRANGERS as u64);
}
