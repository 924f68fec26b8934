//! The load: tasks that post copies until each is acknowledged, as NetEase does, and tasks that poll.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use otc_im::infra::clock::System;
use otc_im::infra::http_client;
use otc_im::ports::clock::Clock;
use reqwest::{Response, header::RETRY_AFTER};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::chance::Chance;
use super::ledger::{Event, Ledger, PEERS, READERS, peer, reader};
use crate::support::webhook::{PATH, SECRET, now, signature};

/// `unread.near_cache_staleness`, by default.
const STALENESS: Duration = Duration::from_millis(500);
const SENDERS: u64 = 8;
const SEND_EVERY: Duration = Duration::from_millis(8);
const POLL_EVERY: Duration = Duration::from_millis(25);
/// No new events while so many wait to be delivered again.
const MOST_WAITING: usize = 400;
/// An answer that takes longer than this does not come.
const PATIENCE: Duration = Duration::from_secs(8);

/// What has been seen so far.
#[derive(Debug, Default)]
pub struct Figures {
    /// Deliveries after the first of an event.
    pub redelivered: u64,
    /// Polls answered 200.
    pub polls: u64,
    /// Polls answered 503 or not at all.
    pub polls_refused: u64,
    /// Wrong numbers within a window in which they are allowed.
    pub stale: u64,
    /// The slowest answer to a poll.
    pub slowest_poll: Duration,
    /// The slowest answer to a copy.
    pub slowest_copy: Duration,
}

/// When a part of the service was last seen to be all right.
type Seen = Mutex<Vec<Option<Instant>>>;

/// What senders and pollers share.
pub struct Load {
    bases: Vec<String>,
    http: reqwest::Client,
    both: bool,
    producing: AtomicBool,
    stopped: AtomicBool,
    begun: Instant,
    quiet: AtomicUsize,
    waiting: Mutex<VecDeque<(Instant, Event)>>,
    /// What was sent.
    pub ledger: Mutex<Ledger>,
    /// What was seen.
    pub figures: Mutex<Figures>,
    /// What must never be: in words.
    pub wrongs: Mutex<Vec<String>>,
    /// Whether an instance may take in connections that it does not answer.
    pub deaf: AtomicBool,
    excused: Mutex<Option<(Instant, Option<Instant>)>>,
    copies_taken: Seen,
    polls_right: Seen,
}

/// Locks, also after a panic elsewhere: the first failure is the one to report.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Load {
    /// For the instances at these addresses. `both`: every copy goes to each of them at once.
    pub fn new(bases: Vec<String>, both: bool) -> Arc<Self> {
        let (copies_taken, polls_right) = (vec![None; bases.len()], vec![None; bases.len() * READERS]);
        Arc::new(Self {
            bases,
            http: http_client::client(Duration::from_secs(2), PATIENCE, &http_client::Egress::default())
                .expect("a client can be made"),
            both,
            producing: AtomicBool::new(true),
            stopped: AtomicBool::new(false),
            begun: Instant::now(),
            quiet: AtomicUsize::new(READERS),
            waiting: Mutex::default(),
            ledger: Mutex::default(),
            figures: Mutex::default(),
            wrongs: Mutex::default(),
            deaf: AtomicBool::new(false),
            excused: Mutex::default(),
            copies_taken: Mutex::new(copies_taken),
            polls_right: Mutex::new(polls_right),
        })
    }

    /// Starts to send and to poll.
    pub fn start(self: &Arc<Self>, chance: &Chance) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for sender in 0..SENDERS {
            tasks.spawn(Arc::clone(self).send(chance.fork(sender)));
        }
        for instance in 0..self.bases.len() {
            for reader in 0..READERS {
                tasks.spawn(Arc::clone(self).poll(instance, reader));
            }
        }
        tasks
    }

    /// No new events; those that wait go on being delivered.
    pub fn end_production(&self) {
        self.producing.store(false, Ordering::Relaxed);
    }

    /// No new events for this reader from now on, so that none can mend what the service does not.
    pub fn leave_alone(&self, reader: usize) {
        self.quiet.store(reader, Ordering::Relaxed);
    }

    /// No more calls.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Wrong numbers are allowed from now on; at the end of the window only with a time.
    pub fn excuse(&self, until: Option<Instant>) {
        let mut excused = lock(&self.excused);
        let from = excused.filter(|(_, until)| until.is_none()).map_or_else(Instant::now, |(from, _)| from);
        *excused = Some((from, until));
    }

    /// Whether since then every instance took a copy, and answered a poll of every reader rightly.
    pub fn all_right_since(&self, since: Instant) -> bool {
        let all = |seen: &Seen| lock(seen).iter().all(|last| last.is_some_and(|last| last >= since));
        all(&self.polls_right) && (all(&self.copies_taken) || !self.producing.load(Ordering::Relaxed))
    }

    /// Something that must never be.
    pub fn wrong(&self, what: impl Into<String>) {
        let at = self.begun.elapsed().as_secs_f64();
        lock(&self.wrongs).push(format!("at {at:.2} s: {}", what.into()));
    }

    async fn send(self: Arc<Self>, mut chance: Chance) {
        while !self.stopped.load(Ordering::Relaxed) {
            for event in self.next(&mut chance) {
                self.deliver(event, &mut chance).await;
            }
            tokio::time::sleep(SEND_EVERY).await;
        }
    }

    /// What has waited long enough to be delivered again, else something new.
    fn next(&self, chance: &mut Chance) -> Vec<Event> {
        let mut waiting = lock(&self.waiting);
        if waiting.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            lock(&self.figures).redelivered += 1;
            return waiting.pop_front().map(|(_, event)| event).into_iter().collect();
        }
        if !self.producing.load(Ordering::Relaxed) || waiting.len() >= MOST_WAITING {
            return Vec::new();
        }
        drop(waiting);
        lock(&self.ledger).next(chance, System.now().0, self.quiet.load(Ordering::Relaxed))
    }

    async fn deliver(&self, event: Event, chance: &mut Chance) {
        let began = Instant::now();
        lock(&self.ledger).sent(&event, began);
        let first = chance.index(self.bases.len());
        let everywhere = self.both || chance.one_in(10);
        let to = (0..self.bases.len()).filter(|instance| everywhere || *instance == first);
        let taken = join_all(to.map(|instance| self.post(instance, &event))).await;
        if taken.contains(&true) {
            lock(&self.ledger).acked(&event, Instant::now());
        } else {
            let due = Instant::now() + chance.millis(30, 200);
            lock(&self.waiting).push_back((due, event));
        }
    }

    async fn post(&self, instance: usize, event: &Event) -> bool {
        let request = self.http.post(format!("{}{PATH}", self.bases[instance])).body(event.body.clone());
        let signed = signature(SECRET, &event.body, &now());
        let request = signed.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let began = Instant::now();
        let answer = request.send().await;
        let mut figures = lock(&self.figures);
        if answer.is_ok() {
            figures.slowest_copy = figures.slowest_copy.max(began.elapsed());
        }
        drop(figures);
        let taken = self.judge_status("a copy", answer).is_some();
        if taken {
            lock(&self.copies_taken)[instance] = Some(began);
        }
        taken
    }

    /// The response if it is a 200; a 503 says when to come again, and nothing else is an answer to these calls.
    fn judge_status(&self, what: &str, answer: reqwest::Result<Response>) -> Option<Response> {
        match answer {
            Ok(response) if response.status() == 200 => return Some(response),
            Ok(response) if response.status() == 503 => {
                if !response.headers().contains_key(RETRY_AFTER) {
                    self.wrong(format!("{what} was answered 503 without Retry-After"));
                }
            }
            Ok(response) => self.wrong(format!("{what} was answered {}", response.status())),
            Err(error) if error.is_timeout() && !self.deaf.load(Ordering::Relaxed) => {
                self.wrong(format!("{what} was not answered within {PATIENCE:?}"));
            }
            Err(_) => {}
        }
        None
    }

    async fn poll(self: Arc<Self>, instance: usize, number: usize) {
        let users: Vec<_> = (0..PEERS).map(peer).collect();
        let body = json!({"self": reader(number), "users": users}).to_string();
        while !self.stopped.load(Ordering::Relaxed) {
            let began = Instant::now();
            let request = self.http.post(format!("{}/v1/unread", self.bases[instance]));
            let answer = request.body(body.clone()).send().await;
            if answer.is_ok() {
                let mut figures = lock(&self.figures);
                figures.slowest_poll = figures.slowest_poll.max(began.elapsed());
            }
            let counts = match self.judge_status("a poll", answer) {
                Some(response) => response.text().await.ok(),
                None => None,
            };
            self.judge_poll(instance, number, began, counts.as_deref());
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    fn judge_poll(&self, instance: usize, number: usize, began: Instant, counts: Option<&str>) {
        let ended = Instant::now();
        let Some(counts) = counts.and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
            lock(&self.figures).polls_refused += 1;
            return;
        };
        lock(&self.figures).polls += 1;
        // Another instance may have acknowledged what this one's near cache has not heard of yet.
        let as_of = began.checked_sub(STALENESS).unwrap_or(began);
        let ledger = lock(&self.ledger);
        let mut off = Vec::new();
        for from in 0..PEERS {
            let (least, most) = ledger.bounds((number, from), as_of, ended);
            let count = counts[peer(from)].as_u64().and_then(|count| usize::try_from(count).ok());
            if !count.is_some_and(|count| (least..=most).contains(&count)) {
                off.push(format!("{} of {}: {count:?}, not {least}..={most}", peer(from), reader(number)));
            }
        }
        drop(ledger);
        if off.is_empty() {
            lock(&self.polls_right)[instance * READERS + number] = Some(began);
        } else if self.is_excused(began) {
            lock(&self.figures).stale += 1;
        } else {
            self.wrong(format!("instance {instance} answered for {}", off.join("; ")));
        }
    }

    fn is_excused(&self, began: Instant) -> bool {
        lock(&self.excused).is_some_and(|(from, until)| {
            // A poll that began before the fault may have been answered after it.
            began + PATIENCE >= from && until.is_none_or(|until| began <= until)
        })
    }
}
