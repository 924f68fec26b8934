//! SIGTERM: the process ends in time, with exit code 0, and what it acknowledged is stored.

use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::iter;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::client::{http, send};
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
    process.terminate();
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0), "{log}");
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

/// Stops the binary `times` times while a notice is on its way to a slow NetEase and nobody is connected. The next
/// start, of the same stores, tells what became of it.
async fn stops_with_a_delivery_under_way(times: usize) {
    let site = Site::new(Stores::embedded()).await.set("notifications.patience", "10ms");
    site.netease.faults(json!({"latencyMs": 150})).await;
    let mut notices: Vec<String> = Vec::new();
    for stop in 0..=times {
        let process = site.spawn().await;
        let client = process.client.as_user("shop");
        if let Some(id) = notices.last() {
            let status = client.get(&format!("/v1/notifications/{id}")).await.ok();
            assert_eq!(status["state"], "sent", "stop {stop}: {status}");
        }
        if stop == times {
            break;
        }
        let before = site.netease.calls("msg/sendAttachMsg").await;
        let notice = json!({"to": "bob", "attach": {"stop": stop}}).to_string();
        let request = client.request(Method::POST, "/v1/notifications").header("connection", "close");
        let accepted = send(request.body(notice)).await.ok();
        assert_eq!(accepted["state"], "queued", "the answer does not wait for NetEase");
        notices.push(accepted["id"].as_str().unwrap().to_owned());
        let asked = async || site.netease.calls("msg/sendAttachMsg").await > before;
        eventually("NetEase is asked", asked).await;
        process.terminate();
        let (code, log) = process.ended().await;
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("stopping: no new connections"), "{log}");
    }
    let heard = site.netease.look("notices?to=bob").await;
    assert_eq!(heard["notices"].as_array().map(Vec::len), Some(times), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_stops_with_nobody_connected_each_write_the_delivery_down() {
    join_all((0..5).map(|_| stops_with_a_delivery_under_way(10))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readyz_is_503_before_the_stop_while_everything_is_served() {
    let site = Site::new(Stores::embedded()).await.set("limits.drain", "1s");
    let process = site.spawn().await;
    let (client, alice) = (process.client.clone(), process.client.as_user("alice"));
    let mut stream = Events::open(&alice, "/v1/unread/stream?self=alice&users=bob").await;
    stream.next().await;
    assert_eq!(client.get("/readyz").await.status, 200);
    let told = Instant::now();
    process.terminate();
    eventually("it is not ready", async || client.get("/readyz").await.status == 503).await;
    client.get("/readyz").await.problem(503, "stopping");
    let poll = json!({"self": "alice", "users": ["bob"]});
    assert_eq!(alice.post("/v1/unread", &poll).await.ok(), json!({"bob": 0}));
    assert_eq!(client.copy(message("bob", "alice", 1, 1_700_000_000_000).to_string()).await.status, 200);
    assert_eq!(stream.next().await.map, json!({"bob": 1}));
    assert_eq!(stream.next_or_end().await, None, "the stop itself ends it");
    assert!(told.elapsed() >= Duration::from_secs(1), "{:?}", told.elapsed());
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopping soon"), "{log}");
}

/// Whether everything ends within its bound as a process stops, with exit code 0, while clients have sent this and no
/// more.
async fn ends_in_time_while_clients_wait(site: &Site, said: &[&str]) -> bool {
    let process = site.spawn().await;
    let address = process.client.url("").replace("http://", "");
    let mut open = Vec::new();
    for said in said {
        let mut connection = TcpStream::connect(&address).await.unwrap();
        connection.write_all(said.as_bytes()).await.unwrap();
        open.push(connection);
    }
    assert_eq!(process.client.get("/healthz").await.status, 200);
    process.terminate();
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0), "{log}");
    !log.contains("some connections did not end in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_without_a_whole_request_do_not_hold_the_process() {
    let post = "POST /receiveMsg.action HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{";
    let site = Site::new(Stores::embedded()).await.set("limits.webhook_timeout", "500ms");
    assert!(ends_in_time_while_clients_wait(&site, &["", post]).await, "long before the bound of a stop");
    let site = Site::new(Stores::embedded()).await.set("limits.shutdown", "2s");
    let head = "GET /healthz HTTP/1.1\r\nHost: x\r\n";
    assert!(!ends_in_time_while_clients_wait(&site, &[head]).await, "only that bound ends it");
}

/// Each stream is a connection, so a file in this process and one in the process that it starts.
fn allow_open_files(count: usize) {
    limit_open_files(&format!("{count}:"));
}

/// Sets the soft and the hard limit of this process, which those that it starts have, too.
fn limit_open_files(limits: &str) {
    let (own, limits) = (std::process::id().to_string(), format!("--nofile={limits}"));
    let set = Command::new("prlimit").args(["--pid", &own, &limits]).status().expect("prlimit is there");
    assert!(set.success(), "the hard limit is below {limits}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_open_files_is_raised_to_what_the_system_allows() {
    allow_open_files(512);
    let process = Site::new(Stores::embedded()).await.spawn().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let (soft, hard) = files.trim_start().split_once(' ').unwrap();
    assert!(hard.trim_start().starts_with(&format!("{soft} ")), "{files}");
    assert_ne!(soft, "512");
}

/// What a start says of open files: level, message, and how many connections there may be.
async fn said_of_open_files(site: &Site) -> Vec<(String, String, Value)> {
    let process = site.spawn().await;
    let lines = process.heard().iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let said = lines.filter(|line| line["message"].as_str().is_some_and(|it| it.contains("open files")));
    said.map(|line| (text(&line["level"]), text(&line["message"]), line["room"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_asks_for_more_connections_than_there_are_files_is_warned() {
    limit_open_files("4096:4096");
    let site = Site::new(Stores::embedded()).await;
    let [(level, message, room)] = &said_of_open_files(&site).await[..] else { panic!("one line") };
    assert_eq!((&**level, room), ("INFO", &json!(3584)));
    assert_eq!(message, "the limit of open files bounds the connections");
    let site = site.set("limits.connections", "3584");
    assert_eq!(said_of_open_files(&site).await, []);
    let site = site.set("limits.connections", "3585");
    let [(level, message, room)] = &said_of_open_files(&site).await[..] else { panic!("one line") };
    assert_eq!((&**level, room), ("WARN", &json!(3584)));
    assert_eq!(message, "there are too few open files for limits.connections");
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

    process.terminate();
    let ends = join_all(streams.iter_mut().map(Events::next_or_end));
    let ends = tokio::time::timeout(Duration::from_secs(10), ends).await.expect("the streams end in time");
    assert!(ends.iter().all(Option::is_none), "nothing has changed");
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("in time"), "{log}");
}
