//! NetEase goes away for a minute, at load, while instances are killed: nothing accepted is lost or done twice, known
//! users are never refused, and what has gathered is gone as soon as the quota allows.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::chance::Chance;
use super::driver::lock;
use super::fleet::Fleet;
use super::maria::{Maria, url_through};
use super::mongo::Mongo;
use super::redis_server::Redis;
use super::wire::{Fault, Wire};
use super::{seed, times, within};
use crate::support::client::http;
use crate::support::netease::NetEase;
use crate::support::stores::Settings;

/// Recipients, each of whom gets one notice after the other.
const RECIPIENTS: usize = 200;
/// Buyers whom NetEase knows before it goes away.
const BUYERS: usize = 8;
/// The time between two notices to one recipient, and between two binds of one buyer.
const NOTIFY_EVERY_MS: u64 = 3_300;
const BIND_EVERY: Duration = Duration::from_millis(700);
/// How long NetEase is away.
const OUTAGE: Duration = Duration::from_mins(1);
/// NetEase's quota, for all instances together (calls of one API in one second).
const QUOTA: usize = 100;
/// Notices that may have an unknown outcome: those that were on their way as NetEase or an instance went.
const MOST_UNKNOWN: usize = 100;
/// What may pass beside the time that the quota allows: until NetEase is seen to be back, and a dead instance's lease.
const SLACK: Duration = Duration::from_secs(25);

/// Notices and binds, and what was said about them.
struct Traffic {
    bases: Vec<String>,
    http: reqwest::Client,
    /// Notices by recipient, in the order in which they were accepted: number and id.
    accepted: Mutex<HashMap<usize, Vec<(u64, String)>>>,
    tokens: Mutex<HashMap<usize, String>>,
    binds: AtomicU64,
    pending: AtomicU64,
    slowest_bind: Mutex<Duration>,
    wrongs: Mutex<Vec<String>>,
    stopped: AtomicBool,
}

impl Traffic {
    fn new(bases: Vec<String>) -> Arc<Self> {
        Arc::new(Self {
            bases,
            http: http(),
            accepted: Mutex::default(),
            tokens: Mutex::default(),
            binds: AtomicU64::default(),
            pending: AtomicU64::default(),
            slowest_bind: Mutex::default(),
            wrongs: Mutex::default(),
            stopped: AtomicBool::default(),
        })
    }

    /// Posts until an instance that lives has answered.
    async fn post(&self, path: &str, key: Option<&str>, body: &Value, chance: &mut Chance) -> (u16, Value) {
        loop {
            let base = &self.bases[chance.index(self.bases.len())];
            let request = self.http.post(format!("{base}{path}")).body(body.to_string());
            let request =
                key.into_iter().fold(request, |request, key| request.header("Idempotency-Key", key));
            if let Ok(answer) = request.send().await {
                let status = answer.status().as_u16();
                if let Ok(text) = answer.text().await {
                    return (status, serde_json::from_str(&text).unwrap_or_default());
                }
            }
            // Killed before it answered: with the same key, the same notice.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn notify(self: Arc<Self>, recipient: usize, mut chance: Chance) {
        for n in 1.. {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            let key = format!("{recipient}-{n}");
            let body = json!({"to": format!("recipient-{recipient}"), "attach": {"n": n}});
            let (status, answer) = self.post("/v1/notifications", Some(&key), &body, &mut chance).await;
            match (status, answer["id"].as_str()) {
                (202, Some(id)) => self.accept(recipient, n, id),
                other => self.wrong(format!("notice {key} was answered {other:?}: {answer}")),
            }
            tokio::time::sleep(chance.millis(0, 2 * NOTIFY_EVERY_MS)).await;
        }
    }

    async fn bind(self: Arc<Self>, buyer: usize, mut chance: Chance) {
        for n in 0.. {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            let body = json!({"buyer": format!("buyer-{buyer}"), "seller": format!("seller-{buyer}-{n}")});
            let began = Instant::now();
            let (status, answer) = self.post("/v1/accounts/bind", None, &body, &mut chance).await;
            self.judge_bind(buyer, status, &answer, began.elapsed());
            tokio::time::sleep(BIND_EVERY).await;
        }
    }

    fn judge_bind(&self, buyer: usize, status: u16, answer: &Value, took: Duration) {
        let mut slowest = lock(&self.slowest_bind);
        *slowest = took.max(*slowest);
        drop(slowest);
        self.binds.fetch_add(1, Ordering::Relaxed);
        let token = answer["token"].as_str().unwrap_or_default().to_owned();
        let known = lock(&self.tokens).entry(buyer).or_insert_with(|| token.clone()).clone();
        if status != 200 || token.is_empty() || known != token {
            self.wrong(format!("buyer {buyer}, whom NetEase knows, was answered {status}: {answer}"));
        }
        if answer["friend"]["state"] == "pending" {
            self.pending.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn accept(&self, recipient: usize, n: u64, id: &str) {
        lock(&self.accepted).entry(recipient).or_default().push((n, id.to_owned()));
    }

    fn wrong(&self, what: String) {
        lock(&self.wrongs).push(what);
    }

    fn count(&self) -> usize {
        lock(&self.accepted).values().map(Vec::len).sum()
    }
}

/// The state of every accepted notice.
async fn states(traffic: &Traffic, fleet: &Fleet) -> HashMap<(usize, u64), String> {
    let accepted = lock(&traffic.accepted).clone();
    let mut states = HashMap::new();
    for (recipient, notices) in accepted {
        for (n, id) in notices {
            let told = fleet.client(0).get(&format!("/v1/notifications/{id}")).await.ok();
            states.insert((recipient, n), told["state"].as_str().unwrap_or_default().to_owned());
        }
    }
    states
}

async fn queued(fleet: &Fleet) -> u64 {
    let text = fleet.client(0).get("/metrics").await.text;
    let line = text.lines().find(|line| line.starts_with("otc_im_outbox_queued "));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).expect("a gauge of what is queued")
}

/// Holds what NetEase delivered against what was said of each notice; answers how many were sent, how many are unknown,
/// and how many of those NetEase never got.
async fn reckon(
    traffic: &Traffic,
    netease: &NetEase,
    states: &HashMap<(usize, u64), String>,
) -> (usize, usize, usize) {
    let (mut unknown, mut never) = (0, 0);
    for recipient in 0..RECIPIENTS {
        let got = netease.look(&format!("notices?to=recipient-{recipient}")).await;
        let number = |notice: &Value| {
            let attach: Value =
                serde_json::from_str(notice["attach"].as_str().unwrap_or_default()).unwrap_or_default();
            attach["n"].as_u64().expect("a number that we gave")
        };
        let got: Vec<u64> = got["notices"].as_array().expect("a list").iter().map(number).collect();
        if !got.is_sorted() {
            traffic.wrong(format!("recipient {recipient} got them out of order: {got:?}"));
        }
        for ((_, n), state) in states.iter().filter(|((to, _), _)| *to == recipient) {
            let times = got.iter().filter(|number| *number == n).count();
            unknown += usize::from(state == "unknown");
            never += usize::from(state == "unknown" && times == 0);
            match (&**state, times) {
                ("sent", 1) | ("unknown", 0 | 1) => {}
                _ => traffic
                    .wrong(format!("notice {n} to {recipient} is {state} and was delivered {times} times")),
            }
        }
    }
    (states.len() - unknown, unknown, never)
}

/// Binds the buyers whom NetEase is to know, and begins to notify and to bind.
async fn begin(traffic: &Arc<Traffic>, fleet: &Fleet) -> JoinSet<()> {
    let (mut tasks, chance) = (JoinSet::new(), Chance::new(seed()));
    for buyer in 0..BUYERS {
        let body = json!({"buyer": format!("buyer-{buyer}"), "seller": "seller"});
        fleet.client(0).post("/v1/accounts/bind", &body).await.ok();
        tasks.spawn(Arc::clone(traffic).bind(buyer, chance.fork(1_000 + buyer as u64)));
    }
    for recipient in 0..RECIPIENTS {
        tasks.spawn(Arc::clone(traffic).notify(recipient, chance.fork(recipient as u64)));
    }
    tasks
}

/// NetEase is away for so long, and instances die meanwhile.
async fn outage(wire: &Wire, fleet: &mut Fleet, time: Duration) {
    wire.set(Fault::Cut);
    for instance in [0, 1, 0] {
        tokio::time::sleep(time / 4).await;
        fleet.kill(instance);
        tokio::time::sleep(Duration::from_millis(300)).await;
        fleet.launch(instance).await;
    }
    tokio::time::sleep(time / 4).await;
    wire.set(Fault::None);
}

/// The settings of a fleet that calls NetEase through `wire`.
fn settings(maria: &Maria, mongo: &Mongo, redis: &Redis, wire: &Wire) -> Settings {
    vec![
        ("accounts.url", url_through(&maria.place())),
        ("messages.url", mongo.url()),
        ("unread.url", redis.url()),
        ("netease.base_url", format!("http://{}/nimserver", wire.place())),
        ("netease.timeout", "1s".to_owned()),
        // Few buyers stand for many, each with a seller whom nobody has named before.
        ("limits.new_accounts_per_caller", "10000".to_owned()),
        ("netease.instances", "2".to_owned()),
        ("notifications.lease", "25s".to_owned()),
        ("notifications.patience", "500ms".to_owned()),
    ]
}

/// NetEase's own log of calls: never more than the quota in a second, and so never a 416.
async fn judge_calls(traffic: &Traffic, netease: &NetEase) -> u64 {
    let stats = netease.look("stats").await;
    for (api, figures) in stats["calls"].as_object().expect("APIs") {
        let most = figures["maxInOneSecond"].as_u64().expect("a figure");
        if most > QUOTA as u64 || figures["codes"].get("416").is_some() {
            traffic.wrong(format!("{api} was called too often: {figures}"));
        }
    }
    stats["calls"]["msg/sendAttachMsg"]["maxInOneSecond"].as_u64().expect("a figure")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by scripts/test faults"]
async fn a_minute_without_netease_loses_nothing_and_doubles_nothing() {
    let (maria, mongo, redis) = (Maria::start().await, Mongo::start(1).await, Redis::start().await);
    let netease = NetEase::start().await;
    let wire = Wire::to(netease.base_url().replace("http://", "").replace("/nimserver", "")).await;
    let mut fleet = Fleet::start(2, settings(&maria, &mongo, &redis, &wire)).await;
    let traffic = Traffic::new(fleet.bases());
    let mut tasks = begin(&traffic, &fleet).await;
    tokio::time::sleep(Duration::from_secs(5)).await;

    let (before, away) = (traffic.count(), OUTAGE * times());
    outage(&wire, &mut fleet, away).await;
    let (gathered, back) = (traffic.count() - before, Instant::now());
    // And one dies in the middle of the draining.
    tokio::time::sleep(Duration::from_secs(2)).await;
    fleet.kill(1);
    fleet.launch(1).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    traffic.stopped.store(true, Ordering::Relaxed);
    while tasks.join_next().await.is_some() {}

    let allowed = Duration::from_secs((gathered / QUOTA) as u64) + SLACK;
    let gone = format!("the backlog of {gathered} is gone");
    within(allowed, &gone, async || queued(&fleet).await == 0).await;
    let drained = back.elapsed();
    let states = states(&traffic, &fleet).await;
    let (sent, unknown, never) = reckon(&traffic, &netease, &states).await;
    let most = judge_calls(&traffic, &netease).await;
    let complaints = fleet.complaints();
    assert!(lock(&traffic.wrongs).is_empty(), "{:#?}\nlogged: {complaints:#?}", lock(&traffic.wrongs));
    assert!(sent > gathered, "{sent} sent");
    assert!(unknown < MOST_UNKNOWN, "{unknown} are unknown, {never} of them were never sent");
    println!(
        "NetEase is away for {} s: {} notices accepted, {gathered} of them meanwhile, {sent} delivered once, {unknown} \
         unknown ({never} of them never sent), 0 lost, 0 doubled, 0 out of order; {} binds of known users, 0 refused, {} pending, slowest {:.2} s; \
         backlog gone {:.1} s after NetEase was back; at most {most} notices in a second; seed {}",
        away.as_secs(),
        traffic.count(),
        traffic.binds.load(Ordering::Relaxed),
        traffic.pending.load(Ordering::Relaxed),
        lock(&traffic.slowest_bind).as_secs_f64(),
        drained.as_secs_f64(),
        seed(),
    );
}
