//! Out of open files: it is told and counted, and over once there are some.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::service::Site;
use crate::support::stores::Stores;

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_cannot_be_accepted_are_told_counted_and_accepted_later() {
    let site = Site::new(Stores::embedded()).await;
    let mut process = site.spawn().await;
    let host = process.client.url("").replace("http://", "");
    // All numbers below this are taken, so nothing new can be accepted.
    process.limit_files(Some(4));
    let mut waiting = TcpStream::connect(&host).await.unwrap();
    let line = process.log_line("connections could not be accepted").await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["level"], "WARN");
    assert!(line["count"].as_u64() > Some(0) && line["error"].is_string(), "{line}");
    process.limit_files(None);
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    waiting.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let metrics = process.client.get("/metrics").await.text;
    let counted = metrics.lines().find_map(|line| line.strip_prefix("otc_im_accept_errors_total "));
    assert!(counted.is_some_and(|errors| errors.parse::<u64>().unwrap() > 0), "{counted:?}");
}
