//! SIGTERM: the process ends in time, with exit code 0, and what it acknowledged is stored.

use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::iter;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::client::http;
use crate::support::events::Events;
use crate::support::service::{Site, eventually};
use crate::support::stores::{Stores, on_both_sets};
use crate::support::webhook::{PATH, SECRET, message, now, signature};

on_both_sets!(copies_under_way_are_stored_when_they_were_acknowledged);

async fn copies_under_way_are_stored_when_they_were_acknowledged(stores: Stores) {
    let site = Site::new(stores).await;
    let process = site.spawn().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let post = |n: u64| {
        let copy = message(&bob, &alice, 3_000_000_000 + n, 1_700_000_000_000).to_string();
        let signed = signature(SECRET, copy.as_bytes(), &now());
        let request = http().post(process.client.url(PATH)).body(copy);
        let request = signed.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        // Refused connections are what NetEase would meet with, too.
        async move { request.send().await.is_ok_and(|answer| answer.status() == 200) }
    };
    let posts: Vec<_> = (0..200).map(|n| tokio::spawn(post(n))).collect();
    eventually("some copies are taken", async || process.client.counted("outcome=\"first\"").await > 0).await;
    let told = Instant::now();
    process.terminate();
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
    assert!(!log.contains("in time"), "{log}");

    let mut acknowledged = 0;
    for post in posts {
        acknowledged += u64::from(post.await.unwrap());
    }
    assert!(acknowledged > 0);
    let process = site.spawn().await;
    let body = json!({"self": alice, "users": [bob]});
    let counted = process.client.as_user(&alice).post("/v1/unread", &body).await.ok()[&bob].as_u64().unwrap();
    assert!(counted >= acknowledged, "{counted} of {acknowledged} acknowledged copies are stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_for_netease_ends_before_the_process_does() {
    let site = Site::new(Stores::embedded()).await;
    let process = site.spawn().await;
    site.netease.faults(json!({"latencyMs": 300})).await;
    let caller = process.client.as_user("alice");
    let bind = tokio::spawn(async move {
        caller.post("/v1/accounts/bind", &json!({"buyer": "alice", "seller": "bob"})).await
    });
    eventually("NetEase is asked", async || site.netease.calls("user/create").await > 0).await;
    process.terminate();
    let bound = bind.await.unwrap().ok();
    assert!(site.netease.login("alice", bound["token"].as_str().unwrap()).await);
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0), "{log}");
}

/// How long a process takes to end, with exit code 0, while clients have sent this and no more.
async fn ends_while_clients_wait(site: &Site, said: &[&str]) -> Duration {
    let process = site.spawn().await;
    let address = process.client.url("").replace("http://", "");
    let mut open = Vec::new();
    for said in said {
        let mut connection = TcpStream::connect(&address).await.unwrap();
        connection.write_all(said.as_bytes()).await.unwrap();
        open.push(connection);
    }
    assert_eq!(process.client.get("/healthz").await.status, 200);
    let told = Instant::now();
    process.terminate();
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0), "{log}");
    told.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_without_a_whole_request_do_not_hold_the_process() {
    let post = "POST /receiveMsg.action HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{";
    let site = Site::new(Stores::embedded()).await.set("limits.webhook_timeout", "500ms");
    let took = ends_while_clients_wait(&site, &["", post]).await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    let site = Site::new(Stores::embedded()).await.set("limits.shutdown", "2s");
    let took = ends_while_clients_wait(&site, &["GET /healthz HTTP/1.1\r\nHost: x\r\n"]).await;
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// Each stream is a connection, so a file in this process and one in the process that it starts.
fn allow_open_files(count: usize) {
    let (own, soft) = (std::process::id().to_string(), format!("--nofile={count}:"));
    let set = Command::new("prlimit").args(["--pid", &own, &soft]).status().expect("prlimit is there");
    assert!(set.success(), "the hard limit is below {count}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_end_with_the_process() {
    allow_open_files(4096);
    let site = Site::new(Stores::embedded()).await;
    let process = site.spawn().await;
    let client = process.client.clone();
    let open = (0..1000).map(|n| {
        let reader = format!("reader{}", n % 100);
        let client = client.as_user(&reader);
        async move { Events::open(&client, &format!("/v1/unread/stream?self={reader}&users=bob")).await }
    });
    let mut streams: Vec<_> = iter(open).buffered(50).collect().await;
    for stream in &mut streams {
        assert_eq!(stream.next().await.map, json!({"bob": 0}));
    }
    assert!(client.get("/metrics").await.text.contains("otc_im_streams_open 1000\n"));

    let told = Instant::now();
    process.terminate();
    let ends = join_all(streams.iter_mut().map(Events::next_or_end));
    let ends = tokio::time::timeout(Duration::from_secs(10), ends).await.expect("the streams end in time");
    assert!(ends.iter().all(Option::is_none), "nothing has changed");
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
    assert!(!log.contains("in time"), "{log}");
}
