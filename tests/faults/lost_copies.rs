//! Copies are lost for good, at load: some by chance, all of them while the webhook cannot be reached for longer than
//! NetEase tries. After reconciling with its history, under load and with the reconciling killed, every count is right.

use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio::task::JoinSet;

use super::chance::Chance;
use super::fleet::Fleet;
use super::maria::Maria;
use super::mongo::Mongo;
use super::redis_server::Redis;
use super::{seed, times, within};
use crate::support::netease::NetEase;
use crate::support::process::{command, run};
use crate::support::stores::Settings;
use crate::support::webhook::now;

const READERS: usize = 12;
const PEERS: usize = 5;
/// The time between two messages of one sender.
const SEND_EVERY_MS: u64 = 60;
/// For how long no copy arrives. `scripts/test faults 30` makes it ten minutes.
const DEAD: Duration = Duration::from_secs(20);
/// One copy in twenty is lost for good.
const DROP_RATE: f64 = 0.05;

fn reader(number: usize) -> String {
    format!("reader-{number}")
}

fn peer(number: usize) -> String {
    format!("peer-{number}")
}

fn settings(maria: &Maria, mongo: &Mongo, redis: &Redis, netease: &NetEase) -> Settings {
    vec![
        ("accounts.url", super::maria::url_through(&maria.place())),
        ("messages.url", mongo.url()),
        ("unread.url", redis.url()),
        ("netease.base_url", netease.base_url()),
        ("netease.reconcile_after", "1s".to_owned()),
        ("netease.reconcile_calls_per_second", "40".to_owned()),
        ("limits.new_accounts_per_caller", "10000".to_owned()),
    ]
}

/// Everybody writes to everybody, and what is lost is lost.
struct Chatter {
    netease: Arc<NetEase>,
    sent: AtomicU64,
    stopped: AtomicBool,
}

impl Chatter {
    fn start(netease: &Arc<NetEase>) -> (Arc<Self>, JoinSet<()>) {
        let chatter = Arc::new(Self {
            netease: Arc::clone(netease),
            sent: AtomicU64::default(),
            stopped: AtomicBool::default(),
        });
        let (mut tasks, chance) = (JoinSet::new(), Chance::new(seed()));
        for from in 0..PEERS {
            tasks.spawn(Arc::clone(&chatter).write(from, chance.fork(from as u64)));
        }
        (chatter, tasks)
    }

    async fn write(self: Arc<Self>, from: usize, mut chance: Chance) {
        while !self.stopped.load(Ordering::Relaxed) {
            let to = reader(chance.index(READERS));
            let (from, to) = if chance.one_in(5) { (to, peer(from)) } else { (peer(from), to) };
            self.netease.tell("send", json!({"from": from, "to": to, "wait": false})).await;
            self.sent.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(chance.millis(0, 2 * SEND_EVERY_MS)).await;
        }
    }

    async fn stop(&self, mut tasks: JoinSet<()>) {
        self.stopped.store(true, Ordering::Relaxed);
        while tasks.join_next().await.is_some() {}
    }
}

/// Everybody has an account, and everybody who reads has polled.
async fn bind_all(fleet: &Fleet) {
    for reader in (0..READERS).map(reader) {
        for peer in (0..PEERS).map(peer) {
            let bind = json!({"buyer": reader, "seller": peer});
            fleet.client(0).post("/v1/accounts/bind", &bind).await.ok();
        }
        fleet.client(0).post("/v1/unread", &json!({"self": reader, "users": [peer(0)]})).await.ok();
    }
}

/// Each count of both instances that is not NetEase's own: who, from whom, what was answered, and what is right.
async fn wrong_counts(fleet: &Fleet, netease: &NetEase) -> Vec<String> {
    let pairs = (0..READERS).flat_map(|r| (0..PEERS).map(move |p| (reader(r), peer(p))));
    let pairs: Vec<_> = pairs.flat_map(|(r, p)| [(r.clone(), p.clone()), (p, r)]).collect();
    let judge = async |(reader, peer): (String, String)| {
        let right = netease.unread(&reader, &peer).await;
        let mut wrong = Vec::new();
        for instance in 0..fleet.len() {
            let asked = json!({"self": reader, "users": [peer]});
            let told = fleet.client(instance).post("/v1/unread", &asked).await.ok()[&peer].clone();
            if told != right {
                wrong
                    .push(format!("{reader} from {peer}: instance {instance} says {told}, right is {right}"));
            }
        }
        wrong
    };
    join_all(pairs.into_iter().map(judge)).await.concat()
}

/// `otc-im reconcile --all`, running.
fn reconciling(fleet: &Fleet, from: i64) -> Child {
    let from = from.to_string();
    let mut command = command(&["reconcile", "--all", "--from", &from], &fleet.settings(0), fleet.folder());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by scripts/test faults"]
async fn copies_that_are_lost_for_good_are_found_in_neteases_history() {
    let (maria, mongo, redis) = (Maria::start().await, Mongo::start(1).await, Redis::start().await);
    let netease = Arc::new(NetEase::start().await);
    let mut fleet = Fleet::start(2, settings(&maria, &mongo, &redis, &netease)).await;
    bind_all(&fleet).await;
    netease.send_copies_to(&fleet.bases()[0]);
    netease.faults(json!({"dropRate": DROP_RATE, "maxAttempts": 3})).await;
    // NetEase's clock is another one.
    let began = now().parse::<i64>().expect("milliseconds") - 60_000;
    let (chatter, tasks) = Chatter::start(&netease);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let dead = DEAD * times();
    netease.send_copies_to("http://127.0.0.1:9");
    tokio::time::sleep(dead).await;
    netease.send_copies_to(&fleet.bases()[1]);

    // Reconciling goes on beside the load, and is killed half-way; so is an instance. It makes no call in its first second.
    let mut chance = Chance::new(seed());
    for round in 0..3 {
        let mut running = reconciling(&fleet, began);
        tokio::time::sleep(chance.millis(1_300, 2_200)).await;
        running.kill().expect("it can be killed");
        running.wait().expect("it ends");
        if round == 1 {
            fleet.kill(1);
            fleet.launch(1).await;
        }
    }
    chatter.stop(tasks).await;
    netease.drain().await;
    let before = wrong_counts(&fleet, &netease).await.len();
    let reconcile = Instant::now();
    let from = began.to_string();
    let (code, out, log) = run(&["reconcile", "--all", "--from", &from], &fleet.settings(0), fleet.folder());
    assert_eq!(code, Some(0), "{log}");
    let took = reconcile.elapsed();
    let wrong = wrong_counts(&fleet, &netease).await;
    assert!(wrong.is_empty(), "{wrong:#?}\nreconcile said: {out}");
    let copies = netease.look("stats").await["copies"].clone();
    let lost =
        copies["dropped"].as_u64().unwrap_or_default() + copies["givenUp"].as_u64().unwrap_or_default();
    let sent = chatter.sent.load(Ordering::Relaxed);
    assert!(lost > sent / 4, "{copies}");
    println!(
        "copies are lost for good, all of them for {} s and one in twenty by chance: {sent} messages, {lost} copies lost; \
         {before} counts were wrong before the last run, 0 after it; it took {:.1} s; seed {}",
        dead.as_secs(),
        took.as_secs_f64(),
        seed(),
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by scripts/test faults"]
async fn a_service_that_was_down_finds_by_itself_what_it_missed() {
    let (maria, mongo, redis) = (Maria::start().await, Mongo::start(1).await, Redis::start().await);
    let netease = Arc::new(NetEase::start().await);
    let mut fleet = Fleet::start(2, settings(&maria, &mongo, &redis, &netease)).await;
    bind_all(&fleet).await;
    netease.send_copies_to(&fleet.bases()[0]);
    netease.faults(json!({"maxAttempts": 3})).await;
    let (chatter, tasks) = Chatter::start(&netease);
    // Whoever is active is written down every five seconds.
    tokio::time::sleep(Duration::from_secs(7)).await;
    for instance in 0..2 {
        fleet.kill(instance);
    }
    tokio::time::sleep(Duration::from_secs(70)).await;
    chatter.stop(tasks).await;
    netease.drain().await;
    for instance in 0..2 {
        fleet.launch(instance).await;
    }
    let wrong = wrong_counts(&fleet, &netease).await.len();
    assert!(wrong > 0, "nothing was missed");
    let took = within(Duration::from_mins(1), "every count is right", async || {
        wrong_counts(&fleet, &netease).await.is_empty()
    });
    let took = took.await;
    println!(
        "no instance runs for 70 s, and NetEase gives up: {} messages, {wrong} counts wrong at the start, 0 after {:.1} s; \
         seed {}",
        chatter.sent.load(Ordering::Relaxed),
        took.as_secs_f64(),
        seed(),
    );
}
