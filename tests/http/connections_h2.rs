//! HTTP/2 over plain sockets, frame by frame: windows that stay shut, and clients that take back what they asked.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::{Client, token};
use crate::support::service::{Site, eventually};
use crate::support::stores::Stores;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Headers in HPACK, each as a literal that is not indexed.
fn head(stream: u32, flags: u8, headers: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| match u8::try_from(text.len()).unwrap() {
        short @ ..127 => [&[short], text.as_bytes()].concat(),
        long => [&[127, long - 127], text.as_bytes()].concat(), // up to 254
    };
    let block: Vec<u8> =
        headers.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect();
    frame(HEADERS, flags, stream, &block)
}

/// A connection whose client opens no window at all for answers.
async fn shut_window(client: &Client) -> TcpStream {
    let mut connection = TcpStream::connect(client.url("").replace("http://", "")).await.unwrap();
    connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    // SETTINGS_INITIAL_WINDOW_SIZE 0
    connection.write_all(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await.unwrap();
    connection
}

fn get(stream: u32, path: &str) -> Vec<u8> {
    let pseudo = [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", path)];
    head(stream, END_STREAM | END_HEADERS, &pseudo)
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_never_taken_end_with_their_connection() {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    let mut shut = Vec::new();
    for _ in 0..10 {
        let mut connection = shut_window(&service.client).await;
        for n in 0..200 {
            // Those past the limit of streams are refused one by one, or the connection with them.
            let _ = connection.write_all(&get(2 * n + 1, "/openapi.json")).await;
        }
        shut.push(connection);
    }
    assert_eq!(service.client.get("/healthz").await.status, 200, "others are served");
    let ended = async {
        for connection in &mut shut {
            let _ = connection.read_to_end(&mut Vec::new()).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ended).await.expect("the connections end in time");
    let alone = async || service.client.get("/metrics").await.text.contains("otc_im_connections_open 1\n");
    eventually("their places are free", alone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_its_client_takes_back_is_counted_as_499() {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    site.netease.faults(json!({"latencyMs": 3_000})).await;
    let mut connection = shut_window(&service.client).await;
    let bearer = format!("Bearer {}", token("alice", ""));
    let (method, path) = ((":method", "POST"), (":path", "/v1/accounts/bind"));
    let headers =
        [method, (":scheme", "http"), (":authority", "x"), path, ("authorization", bearer.as_str())];
    connection.write_all(&head(1, END_HEADERS, &headers)).await.unwrap();
    let body = br#"{"buyer":"alice","seller":"bob"}"#;
    connection.write_all(&frame(DATA, END_STREAM, 1, body)).await.unwrap();
    eventually("NetEase is asked", async || site.netease.calls("user/create").await > 0).await;
    connection.write_all(&frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes())).await.unwrap();
    let counted = async || {
        let labels = r#"route="/v1/accounts/bind",status="499""#;
        service.client.counted(&format!("seconds_count{{{labels}}}")).await == 1
    };
    eventually("it is counted", counted).await;
}
