//! Binds, while MariaDB dies or cannot be reached, through a pool of very few connections.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use reqwest::header::RETRY_AFTER;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::driver::lock;
use super::fleet::Fleet;
use super::maria::{Maria, url_through};
use super::trial::Trial;
use super::wire::{Fault, Wire};
use super::within;
use crate::support::client::http;
use crate::support::netease::NetEase;

const BINDERS: usize = 6;
const BIND_EVERY: Duration = Duration::from_millis(30);
/// The time between two faults, and the length of one.
const PAUSE: Duration = Duration::from_millis(700);
const FAULT: Duration = Duration::from_millis(2_500);
/// How long binds may fail after a fault.
const RECOVERY: Duration = Duration::from_secs(20);

/// Tasks that bind ever new buyers, each until it is bound.
pub struct Binders {
    base: String,
    http: reqwest::Client,
    /// Buyers with their tokens.
    pub bound: Mutex<HashMap<String, String>>,
    last: Mutex<Option<Instant>>,
    /// Binds that were answered 503.
    pub refused: AtomicU64,
    slowest: Mutex<Duration>,
    /// Any other answer, and tokens that changed.
    pub wrongs: Mutex<Vec<String>>,
    /// Set to end them.
    pub stopped: AtomicBool,
}

impl Binders {
    /// Against the instance at `base`.
    pub fn new(base: String) -> Arc<Self> {
        Arc::new(Self {
            base,
            http: http(),
            bound: Mutex::default(),
            last: Mutex::default(),
            refused: AtomicU64::default(),
            slowest: Mutex::default(),
            wrongs: Mutex::default(),
            stopped: AtomicBool::default(),
        })
    }

    /// Binds buyer after buyer.
    pub async fn run(self: Arc<Self>, number: usize) {
        let mut count = 0;
        while !self.stopped.load(Ordering::Relaxed) {
            count += u32::from(self.bind(&format!("buyer{number}.{count}")).await);
            tokio::time::sleep(BIND_EVERY).await;
        }
    }

    /// Whether the buyer is bound now; always with the same token.
    pub async fn bind(&self, buyer: &str) -> bool {
        let began = Instant::now();
        let body = json!({"buyer": buyer, "buyerName": buyer, "seller": "seller"}).to_string();
        let sent = self.http.post(format!("{}/v1/accounts/bind", self.base)).body(body).send().await;
        self.note_time(began.elapsed());
        let Ok(answer) = sent else {
            self.wrong(format!("{buyer}: no answer"));
            return false;
        };
        match answer.status().as_u16() {
            200 => {
                let answer: Value = answer.json().await.unwrap_or_default();
                self.note_token(buyer, answer["token"].as_str().unwrap_or_default());
                *lock(&self.last) = Some(began);
                true
            }
            503 if answer.headers().contains_key(RETRY_AFTER) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                false
            }
            other => {
                self.wrong(format!("{buyer}: {other} {}", answer.text().await.unwrap_or_default()));
                false
            }
        }
    }

    fn note_time(&self, took: Duration) {
        let mut slowest = lock(&self.slowest);
        *slowest = took.max(*slowest);
    }

    fn note_token(&self, buyer: &str, token: &str) {
        let mut bound = lock(&self.bound);
        let first = bound.entry(buyer.to_owned()).or_insert_with(|| token.to_owned());
        if first != token || token.is_empty() {
            self.wrong(format!("{buyer} has another token now"));
        }
    }

    fn wrong(&self, what: String) {
        lock(&self.wrongs).push(what);
    }

    /// Waits until they do, and tells how long that took.
    pub async fn succeed_again(&self, after: &str, fleet: &mut Fleet) -> Duration {
        let since = Instant::now();
        let bound = async || lock(&self.last).is_some_and(|last| last >= since);
        let again = AssertUnwindSafe(within(RECOVERY, "binds succeed again", bound)).catch_unwind().await;
        again.unwrap_or_else(|_| panic!("not after {after}; logged: {:#?}", fleet.complaints()))
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by scripts/test faults"]
async fn binds_wait_for_mariadb_and_never_change_a_token() {
    let (mut maria, netease) = (Maria::start().await, NetEase::start().await);
    let wire = Wire::to(maria.place()).await;
    let settings = vec![
        ("accounts.url", url_through(&wire.place())),
        // Few, so that those which are never given back are missed.
        ("accounts.max_connections", "4".to_owned()),
        ("netease.base_url", netease.base_url()),
    ];
    let mut fleet = Fleet::start(1, settings).await;
    let binders = Binders::new(fleet.bases()[0].clone());
    let mut tasks = JoinSet::new();
    (0..BINDERS).for_each(|number| drop(tasks.spawn(Arc::clone(&binders).run(number))));
    let mut longest = Duration::ZERO;
    let slow = Fault::Delay(Duration::from_millis(200));
    for _ in 0..Trial::rounds(1) {
        tokio::time::sleep(PAUSE).await;
        maria.kill();
        tokio::time::sleep(PAUSE).await;
        maria.restart().await;
        longest = longest.max(binders.succeed_again("a crash", &mut fleet).await);
        for fault in [Fault::Cut, Fault::LoseReplies, slow, Fault::Hold, Fault::Swallow, Fault::Swallow] {
            tokio::time::sleep(PAUSE).await;
            wire.set(fault);
            tokio::time::sleep(FAULT).await;
            wire.set(Fault::None);
            longest = longest.max(binders.succeed_again(&format!("{fault:?}"), &mut fleet).await);
        }
    }
    binders.stopped.store(true, Ordering::Relaxed);
    while tasks.join_next().await.is_some() {}
    let bound = lock(&binders.bound).clone();
    for (buyer, token) in &bound {
        assert!(binders.bind(buyer).await, "{buyer} is bound");
        assert!(netease.login(buyer, token).await, "NetEase knows the token of {buyer}");
    }
    assert!(lock(&binders.wrongs).is_empty(), "{:#?}", lock(&binders.wrongs));
    println!(
        "MariaDB is gone: {} buyers bound, {} binds refused; 0 wrong; bound again after {:.2} s at most; slowest {:.2} s",
        bound.len(),
        binders.refused.load(Ordering::Relaxed),
        longest.as_secs_f64(),
        lock(&binders.slowest).as_secs_f64(),
    );
}
