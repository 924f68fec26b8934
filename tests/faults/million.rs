//! A million unread messages of one reader: counted exactly, loaded in bounded memory, and nobody else waits.
//!
//! How long others wait is measured and printed. Their polls go to Redis, for the near cache is off, and come at a
//! fixed rate: one that waits delays none of those behind it, so each second of the load counts alike.

use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

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
/// Between two polls of another reader.
const EVERY: Duration = Duration::from_millis(5);
/// How long they are measured without the load, for comparison.
const ALONE: Duration = Duration::from_secs(5);
/// What a poll of another reader may take beside the load: after that it would be refused.
const OTHERS_WAIT: Duration = Duration::from_secs(3);
/// Memory of the service at its highest, in KiB.
const MOST_MEMORY: u64 = 384 * 1024;

/// The sum of all counts; `None` while they are not known.
async fn poll(client: &Client, reader: &str, peers: i64) -> Option<u64> {
    let users: Vec<_> = (0..peers).map(peer).collect();
    let answer = client.post("/v1/unread", &json!({"self": reader, "users": users})).await;
    match answer.status {
        200 => answer.json().as_object().map(|counts| counts.values().filter_map(Value::as_u64).sum()),
        status => {
            assert_eq!(status, 503, "{}", answer.text);
            None
        }
    }
}

fn peer(number: i64) -> String {
    format!("peer{number}")
}

/// How long polls of a small reader took, the quickest first.
struct Others(Vec<Duration>);

impl Others {
    /// Polls without end; `ended` says when to stop, and its answer comes with what was measured.
    async fn beside<T>(client: &Client, ended: impl Future<Output = T>) -> (Self, T) {
        let (mut polls, mut every) = (JoinSet::new(), interval(EVERY));
        every.set_missed_tick_behavior(MissedTickBehavior::Burst);
        tokio::pin!(ended);
        let answer = loop {
            tokio::select! {
                answer = &mut ended => break answer,
                due = every.tick() => {
                    let client = client.clone();
                    polls.spawn(async move {
                        assert_eq!(poll(&client, "small", 1).await, Some(1), "nobody else waits");
                        due.elapsed()
                    });
                }
            }
        };
        let mut took = polls.join_all().await;
        took.sort_unstable();
        (Self(took), answer)
    }

    fn slowest(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Others {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let within = |percent: usize| {
            let at = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
            self.0.get(at).copied().unwrap_or_default().as_secs_f64() * 1e3
        };
        let (count, slowest) = (self.0.len(), self.slowest().as_secs_f64() * 1e3);
        let (p50, p99) = (within(50), within(99));
        write!(f, "{count} polls, p50 {p50:.1} ms, p99 {p99:.1} ms, slowest {slowest:.1} ms")
    }
}

/// Copies of a document that the service wrote itself, the same number from each peer.
async fn fill(mongo: &Mongo, peers: i64) {
    let messages = mongo.database().await.collection::<Document>("messages");
    let first = messages.find_one(doc! { "to": "big" }).await.unwrap().expect("the service wrote one");
    for from in (1..MESSAGES).step_by(usize::try_from(AT_ONCE).unwrap()) {
        let copies = (from..MESSAGES.min(from + AT_ONCE)).map(|n| {
            let id = (1_000_000 + n).to_string();
            let mut copy = first.clone();
            copy.insert("_id", format!("PERSON:{id}"));
            copy.insert("msgidServer", id);
            copy.insert("msgTimestamp", BEGAN + n);
            copy.insert("fromAccount", peer(n % peers));
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
    exact_beside_others(1).await;
}

/// Pairs are merged side by side, so this asks more of Redis at once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by scripts/test faults"]
async fn a_million_unread_in_a_hundred_pairs_are_exact_and_hold_nobody_up() {
    exact_beside_others(100).await;
}

async fn exact_beside_others(peers: i64) {
    let (mongo, redis) = (Mongo::start(1).await, Redis::start().await);
    let stores = vec![
        ("messages.url", mongo.url()),
        ("unread.url", redis.url()),
        ("unread.near_cache_readers", "0".to_owned()),
    ];
    let mut fleet = Fleet::start(1, stores).await;
    for (reader, id) in [("big", 1_000_000), ("small", 1)] {
        assert_eq!(fleet.client(0).copy(message(&peer(0), reader, id, BEGAN).to_string()).await.status, 200);
    }
    fill(&mongo, peers).await;
    let client = fleet.client(0).clone();
    within(PATIENCE, "a small reader is known", async || poll(&client, "small", 1).await == Some(1)).await;
    let before = memory_kib(fleet.pid(0), "VmRSS");
    let (alone, ()) = Others::beside(&client, tokio::time::sleep(ALONE)).await;
    let began = Instant::now();
    let exact = async || match poll(&client, "big", peers).await {
        None => false,
        Some(count) => {
            assert_eq!(count, MESSAGES.unsigned_abs(), "exact, or not known");
            true
        }
    };
    let load = async {
        within(PATIENCE, "the big reader is loaded", exact).await;
        began.elapsed()
    };
    let (others, took) = Others::beside(&client, load).await;
    let highest = memory_kib(fleet.pid(0), "VmHWM");
    assert!(others.slowest() < OTHERS_WAIT, "{others}");
    assert!(highest < MOST_MEMORY, "{highest} KiB");
    println!(
        "a million unread, pairs: {peers}; exact after {:.1} s; memory of the service {} MiB before, {} MiB at its highest; \
         Redis {} MiB\nanother reader meanwhile: {others}\nthe same reader before the load: {alone}",
        took.as_secs_f64(),
        before / 1024,
        highest / 1024,
        redis.used_memory().await / 1024 / 1024,
    );
    fleet.terminate(0).await;
}
