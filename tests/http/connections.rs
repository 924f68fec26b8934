//! Connections over plain sockets: what a client may leave open, how much it may send ahead, and how many there may be.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::{Client, token};
use crate::support::events::Events;
use crate::support::service::{Service, Site, eventually};
use crate::support::stores::Stores;
use crate::support::webhook::{PATH, SECRET, message, now, signature};

/// How long anything may take here.
const PATIENCE: Duration = Duration::from_secs(10);
const HEALTHZ: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// A connection of its own, on which this was sent.
async fn connection(client: &Client, said: &str) -> TcpStream {
    let address = client.url("").replace("http://", "");
    let mut connection = TcpStream::connect(address).await.expect("a connection");
    connection.write_all(said.as_bytes()).await.expect("it takes what is sent");
    connection
}

/// What comes until the other side closes, or what error ends it.
async fn until_closed(connection: &mut TcpStream) -> io::Result<String> {
    let mut all = Vec::new();
    let read = tokio::time::timeout(PATIENCE, connection.read_to_end(&mut all)).await;
    read.expect("the connection is closed in time")?;
    Ok(String::from_utf8(all).expect("text"))
}

/// What comes until `part` has come.
async fn until(connection: &mut TcpStream, part: &str) -> String {
    let (mut all, mut piece) = (String::new(), [0; 4096]);
    while !all.contains(part) {
        let read = tokio::time::timeout(PATIENCE, connection.read(&mut piece)).await;
        let length = read.expect("an answer in time").expect("an answer");
        assert_ne!(length, 0, "closed after {all:?}");
        all.push_str(std::str::from_utf8(&piece[..length]).expect("text"));
    }
    all
}

async fn with(settings: &[(&'static str, &str)]) -> (Site, Service) {
    let site = Site::new(Stores::embedded()).await;
    let site = settings.iter().fold(site, |site, (key, value)| site.set(key, value));
    let service = site.start().await;
    (site, service)
}

#[tokio::test(flavor = "multi_thread")]
async fn half_sent_heads_are_let_go_while_others_are_served() {
    let (_site, service) = with(&[("limits.head_timeout", "500ms")]).await;
    let mut half = Vec::new();
    for said in
        ["", "G", "GET /healthz HTTP/1.1\r\n", "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ", "PRI * HT"]
    {
        for _ in 0..20 {
            half.push(connection(&service.client, said).await);
        }
    }
    assert_eq!(service.client.get("/healthz").await.status, 200);
    for connection in &mut half {
        assert_eq!(until_closed(connection).await.unwrap_or_default(), "");
    }
    let alone = async || service.client.get("/metrics").await.text.contains("otc_im_connections_open 1\n");
    eventually("their places are free", alone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed_also_within_its_next_head() {
    let (_site, service) = with(&[("limits.idle_timeout", "500ms")]).await;
    for next in ["", "GET /healthz HT"] {
        let mut idle = connection(&service.client, HEALTHZ).await;
        until(&mut idle, "alive").await;
        idle.write_all(next.as_bytes()).await.unwrap();
        assert_eq!(until_closed(&mut idle).await.unwrap_or_default(), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_may_have_64_kib() {
    let (_site, service) = with(&[]).await;
    let head = |length: usize| {
        let pad = "a".repeat(length);
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Pad: {pad}\r\n\r\n")
    };
    let mut small = connection(&service.client, &head(60 * 1024)).await;
    assert!(until_closed(&mut small).await.unwrap().starts_with("HTTP/1.1 200"));
    let mut large = connection(&service.client, &head(65 * 1024)).await;
    assert!(until(&mut large, "\r\n").await.starts_with("HTTP/1.1 431"));
    // One that never ends is refused as soon as it is too long.
    let mut endless = connection(&service.client, head(65 * 1024).trim_end()).await;
    assert!(until(&mut endless, "\r\n").await.starts_with("HTTP/1.1 431"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_no_more_is_answered() {
    let (site, service) = with(&[]).await;
    site.netease.faults(serde_json::json!({"latencyMs": 100})).await;
    let copy = message("bob", "alice", 1, 1_700_000_000_000).to_string();
    let signed: String = signature(SECRET, copy.as_bytes(), &now())
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .concat();
    let bearer = format!("Authorization: Bearer {}\r\n", token("alice", "notify"));
    let (poll, bind) = (r#"{"self":"alice","users":["bob"]}"#, r#"{"buyer":"alice","seller":"bob"}"#);
    let cases = [
        (PATH, &signed, copy.as_str(), r#"{"code":200}"#),
        ("/v1/unread", &bearer, poll, r#"{"bob":1}"#),
        ("/v1/accounts/bind", &bearer, bind, r#""added""#),
    ];
    for (path, headers, body, expected) in cases {
        let length = body.len();
        let request =
            format!("POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        let mut half = connection(&service.client, &request).await;
        half.shutdown().await.unwrap();
        let answer = until_closed(&mut half).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(expected), "{path}: {answer}");
    }
    assert_eq!(service.client.counted("outcome=\"first\"").await, 1);
    let posts = "seconds_count{route=\"/receiveMsg.action\",status=\"200\"}";
    assert_eq!(service.client.counted(posts).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_client_closes_gives_its_place_back_at_once() {
    let (_site, service) = with(&[("limits.streams_per_reader", "1")]).await;
    let bearer = token("alice", "notify");
    let path = "/v1/unread/stream?self=alice&users=bob";
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\n\r\n");
    for _ in 0..3 {
        let mut stream = connection(&service.client, &request).await;
        until(&mut stream, "{\"bob\":0}").await;
        stream.shutdown().await.unwrap();
        let free = async || service.client.get("/metrics").await.text.contains("otc_im_streams_open 0\n");
        eventually("the place is free", free).await;
    }
    Events::open(&service.client.as_user("alice"), path).await.next().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_limit_connections_are_closed_and_counted() {
    let (_site, service) = with(&[("limits.connections", "3")]).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut connection = connection(&service.client, HEALTHZ).await;
        until(&mut connection, "alive").await;
        open.push(connection);
    }
    for _ in 0..5 {
        let address = service.client.url("").replace("http://", "");
        let mut refused = TcpStream::connect(address).await.unwrap();
        assert_eq!(until_closed(&mut refused).await.unwrap_or_default(), "");
    }
    for connection in &mut open {
        connection.write_all(HEALTHZ.as_bytes()).await.unwrap();
        until(connection, "alive").await;
    }
    drop(open.pop());
    let mut metrics = String::new();
    for _ in 0..100 {
        let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let mut next = connection(&service.client, request).await;
        metrics = until_closed(&mut next).await.unwrap_or_default();
        if !metrics.is_empty() {
            break;
        }
    }
    assert!(metrics.contains("otc_im_connections_open 3\n"), "{metrics}");
    let refused = metrics.lines().find_map(|line| line.strip_prefix("otc_im_connections_refused_total "));
    assert!(refused.unwrap().parse::<u64>().unwrap() >= 5, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_one_host() {
    let (_site, service) = with(&[]).await;
    let cases = [
        ("HTTP/1.1", "", "400"),
        ("HTTP/1.1", "Host: a\r\nHost: b\r\n", "400"),
        ("HTTP/1.1", "Host: a\r\n", "200"),
        ("HTTP/1.0", "", "200"),
    ];
    for (version, hosts, status) in cases {
        let request = format!("GET /healthz {version}\r\n{hosts}Connection: close\r\n\r\n");
        let mut asked = connection(&service.client, &request).await;
        let answer = until_closed(&mut asked).await.unwrap();
        assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
        assert_eq!(status == "400", answer.contains("application/problem+json"), "{answer}");
    }
}
