//! A million unread messages in one pair: counted exactly, loaded in bounded memory, and nobody else waits.

use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use serde_json::json;

use super::fleet::Fleet;
use super::mongo::Mongo;
use super::redis_server::Redis;
use super::within;
use crate::support::client::Client;
use crate::support::webhook::message;

const MESSAGES: i64 = 1_000_000;
/// Documents of one insert.
const AT_ONCE: i64 = 10_000;
/// When the first of them was sent; the others follow by the millisecond.
const BEGAN: i64 = 1_700_000_000_000;
/// How long the load may take. Polls of this reader are 503 meanwhile, never a smaller number.
const PATIENCE: Duration = Duration::from_mins(3);
/// What a poll of another reader may take beside the load: after that it would be refused.
const OTHERS_WAIT: Duration = Duration::from_secs(3);
/// Memory of the service at its highest, in KiB.
const MOST_MEMORY: u64 = 384 * 1024;

async fn poll(client: &Client, reader: &str) -> Option<u64> {
    let answer = client.post("/v1/unread", &json!({"self": reader, "users": ["peer"]})).await;
    match answer.status {
        200 => answer.json()["peer"].as_u64(),
        status => {
            assert_eq!(status, 503, "{}", answer.text);
            None
        }
    }
}

/// Copies of a document that the service wrote itself.
async fn fill(mongo: &Mongo) {
    let messages = mongo.database().await.collection::<Document>("messages");
    let first = messages.find_one(doc! { "to": "big" }).await.unwrap().expect("the service wrote one");
    for from in (1..MESSAGES).step_by(usize::try_from(AT_ONCE).unwrap()) {
        let copies = (from..MESSAGES.min(from + AT_ONCE)).map(|n| {
            let id = (1_000_000 + n).to_string();
            let mut copy = first.clone();
            copy.insert("_id", format!("PERSON:{id}"));
            copy.insert("msgidServer", id);
            copy.insert("msgTimestamp", BEGAN + n);
            copy
        });
        messages.insert_many(copies).ordered(false).await.unwrap();
    }
}

fn memory_kib(pid: u32, figure: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with(figure)).expect("a known figure");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number of KiB")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by scripts/test faults"]
async fn a_million_unread_in_one_pair_are_exact_and_hold_nobody_up() {
    let (mongo, redis) = (Mongo::start(1).await, Redis::start().await);
    let stores = vec![("messages.url", mongo.url()), ("unread.url", redis.url())];
    let mut fleet = Fleet::start(1, stores).await;
    for (reader, id) in [("big", 1_000_000), ("small", 1)] {
        assert_eq!(fleet.client(0).copy(message("peer", reader, id, BEGAN).to_string()).await.status, 200);
    }
    fill(&mongo).await;
    let client = fleet.client(0).clone();
    within(PATIENCE, "a small reader is known", async || poll(&client, "small").await == Some(1)).await;
    let before = memory_kib(fleet.pid(0), "VmRSS");
    let (other, mut slowest, mut others) = (client.clone(), Duration::ZERO, 0);
    let small = async {
        loop {
            let began = Instant::now();
            assert_eq!(poll(&other, "small").await, Some(1), "nobody else waits");
            (slowest, others) = (slowest.max(began.elapsed()), others + 1);
        }
    };
    let began = Instant::now();
    let exact = async || match poll(&client, "big").await {
        None => false,
        Some(count) => {
            assert_eq!(count, MESSAGES.unsigned_abs(), "exact, or not known");
            true
        }
    };
    tokio::select! {
        () = small => {}
        _ = within(PATIENCE, "the big reader is loaded", exact) => {}
    }
    let (took, highest) = (began.elapsed(), memory_kib(fleet.pid(0), "VmHWM"));
    assert!(slowest < OTHERS_WAIT, "{slowest:?}");
    assert!(highest < MOST_MEMORY, "{highest} KiB");
    println!(
        "a million unread in one pair: exact after {:.1} s; {others} polls of another reader meanwhile, the slowest \
         {:.2} s; memory of the service {} MiB before, {} MiB at its highest; Redis {} MiB",
        took.as_secs_f64(),
        slowest.as_secs_f64(),
        before / 1024,
        highest / 1024,
        redis.used_memory().await / 1024 / 1024,
    );
    fleet.terminate(0).await;
}
