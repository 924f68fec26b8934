//! Copies that come twice, late, shuffled, again, or never.

use serde_json::{Value, json};

use super::Bench;
use crate::lock::lock;

fn ids(copies: &[Value]) -> Vec<String> {
    copies.iter().map(|copy| copy["msgidServer"].as_str().unwrap().to_owned()).collect()
}

fn message() -> Value {
    json!({ "from": "alice", "to": "bob" })
}

#[tokio::test]
async fn a_duplicate_is_the_same_copy_again() {
    let bench = Bench::with(&["alice", "bob"]).await;
    bench.faults(json!({ "duplicate": 3 })).await;
    assert_eq!(bench.post("/send", message()).await["delivered"], 1);
    let got = bench.got();
    assert_eq!(got.len(), 4);
    assert!(got.iter().all(|copy| *copy == got[0]));
    assert_eq!(bench.unread("bob", "alice").await, 1);
}

#[tokio::test]
async fn shuffled_copies_all_arrive_though_the_last_window_never_fills() {
    let bench = Bench::with(&["alice", "bob"]).await;
    bench.faults(json!({ "reorder": 8, "concurrency": 1 })).await;
    let sent = bench.post("/send", json!({ "from": "alice", "to": "bob", "count": 20 })).await;
    assert_eq!(sent["delivered"], 20);
    let got = ids(&bench.got());
    let mut sorted = got.clone();
    sorted.sort();
    assert_ne!(got, sorted, "out of order");
    assert_eq!(sorted, ids(sent["messages"].as_array().unwrap()), "none missing, none twice");
}

#[tokio::test]
async fn a_refused_copy_is_tried_again_and_500_is_no_refusal() {
    let bench = Bench::with(&["alice", "bob"]).await;
    bench.faults(json!({ "firstRetryMs": 1, "resignRetries": false })).await;
    bench.answer_next(&[503, 404, 500]);
    assert_eq!(bench.post("/send", message()).await["delivered"], 1);
    let stats = bench.get("/stats").await["copies"].clone();
    assert_eq!((&stats["retried"], &stats["delivered"]), (&json!(2), &json!(1)));
    let got = lock(&bench.stub.got);
    assert_eq!(got.len(), 3);
    assert!(got.iter().all(|(headers, _)| headers["CurTime"] == got[0].0["CurTime"]), "signed once");
}

#[tokio::test]
async fn a_copy_is_given_up_after_the_last_attempt() {
    let bench = Bench::with(&["alice", "bob"]).await;
    bench.faults(json!({ "firstRetryMs": 1, "maxAttempts": 3 })).await;
    bench.answer_next(&[503, 503, 503]);
    let sent = bench.post("/send", message()).await;
    assert_eq!((&sent["delivered"], &sent["pending"]), (&json!(0), &json!(0)));
    assert_eq!(bench.get("/stats").await["copies"]["givenUp"], 1);
    assert_eq!(bench.got().len(), 3);
}

#[tokio::test]
async fn a_lost_copy_never_comes() {
    let bench = Bench::with(&["alice", "bob"]).await;
    bench.faults(json!({ "dropNext": 1 })).await;
    assert_eq!(bench.post("/send", message()).await["delivered"], 0);
    assert_eq!(bench.post("/send", message()).await["delivered"], 1);
    bench.faults(json!({ "dropEvery": 3 })).await;
    let sent = bench.post("/send", json!({ "from": "alice", "to": "bob", "count": 9 })).await;
    assert_eq!(sent["delivered"], 6);
    bench.drain().await;
    assert_eq!(bench.got().len(), 7);
    assert_eq!(bench.unread("bob", "alice").await, 11, "the messages themselves exist");
}

#[tokio::test]
async fn held_back_copies_go_once_deliveries_are_up_again() {
    let bench = Bench::with(&["alice", "bob"]).await;
    bench.faults(json!({ "down": true, "delayMs": 1 })).await;
    let sent = bench.post("/send", json!({ "from": "alice", "to": "bob", "count": 3, "wait": false })).await;
    assert_eq!(sent["pending"], 3);
    assert!(bench.got().is_empty());
    bench.control("DELETE", "/faults", Value::Null).await;
    bench.drain().await;
    assert_eq!(bench.got().len(), 3);
}

#[tokio::test]
async fn a_full_queue_turns_control_calls_away() {
    let bench = Bench::with(&["alice", "bob"]).await;
    bench.faults(json!({ "down": true, "duplicate": 50 })).await;
    let send = || {
        let body = json!({ "from": "alice", "to": "bob", "count": 1000, "wait": false });
        bench.control("POST", "/send", body)
    };
    assert_eq!(send().await.0, 200);
    let (status, reply) = send().await;
    assert_eq!(status, 503, "{reply}");
    assert_eq!(bench.unread("bob", "alice").await, 1000, "nothing was written down");
    bench.simulator.stop().await;
}
