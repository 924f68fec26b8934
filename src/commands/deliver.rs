//! Delivers what is owed to NetEase: notices, friendships and reads out of the outbox, oldest first. When one is tried
//! again: `Policy` in `domain/outbox.rs`.

mod attempt;
mod log;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::register_account::Registrar;
use crate::domain::outbox::Policy;
use crate::ports::StoreError;
use crate::ports::accounts::Accounts;
use crate::ports::clock::{Clock, Ids};
use crate::ports::gateway::Gateway;
use crate::ports::outbox::{Backlog, Claimed, Lease, Outbox, Work};

/// How long the loop waits for work before it looks again by itself.
const IDLE: Duration = Duration::from_millis(500);
/// How often it sees how much is owed, and what dead holders left.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What an entry says whose holder died while it was sent.
const DIED: &str = "the instance that was sending it ended before NetEase's answer; it may have been sent";

/// The stores and the NetEase that deliveries need.
pub struct DeliveryPorts {
    /// What is owed.
    pub outbox: Arc<dyn Outbox>,
    /// Account and friendship rows.
    pub accounts: Arc<dyn Accounts>,
    /// NetEase, for work that nobody waits for.
    pub gateway: Arc<dyn Gateway>,
    /// Makes accounts, over the same gateway.
    pub registrar: Arc<Registrar>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Names leases.
    pub ids: Arc<dyn Ids>,
}

/// Bounds of deliveries.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryBounds {
    /// How long one is tried.
    pub policy: Policy,
    /// Milliseconds for which entries are held: longer than any call may take.
    pub lease_ms: i64,
    /// Claims that the loop holds at once.
    pub at_once: usize,
}

/// What became of deliveries so far.
#[derive(Debug, Clone, Default)]
pub struct DeliveryCounters {
    /// Done.
    pub sent: Counter,
    /// Given up.
    pub failed: Counter,
    /// Sent, and no answer came.
    pub unknown: Counter,
    /// To be tried again.
    pub postponed: Counter,
    /// Notices and friendships that wait, as of the last look.
    pub queued: Gauge,
    /// Seconds since the oldest of them was accepted.
    pub oldest_seconds: Gauge,
    /// Reads that NetEase was told of.
    pub reads_told: Counter,
    /// Reads that it will not be told of.
    pub reads_given_up: Counter,
    /// Reads that wait, as of the last look.
    pub reads_queued: Gauge,
}

impl DeliveryCounters {
    /// Shows them under `/metrics`.
    pub fn register(&self, registry: &mut Registry) {
        let Self { sent, failed, unknown, postponed, queued, oldest_seconds, .. } = self.clone();
        let Self { reads_told, reads_given_up, reads_queued, .. } = self.clone();
        registry.register("deliveries_sent", "Notices and owed friendships that NetEase has", sent);
        registry.register("deliveries_failed", "Those that were given up", failed);
        registry.register("deliveries_unknown", "Notices sent that NetEase did not answer", unknown);
        registry.register("deliveries_postponed", "Attempts that are to be made again", postponed);
        registry.register("outbox_queued", "Deliveries that wait, of all instances", queued);
        registry.register("outbox_oldest_seconds", "Age of the oldest of them", oldest_seconds);
        registry.register("reads_told", "Reads that NetEase was told of", reads_told);
        registry.register("reads_given_up", "Reads that NetEase was not told of", reads_given_up);
        registry.register(
            "reads_queued",
            "Reads that NetEase is to be told of, of all instances",
            reads_queued,
        );
    }
}

/// Delivers what is owed to NetEase.
pub struct DeliveryWorker {
    ports: DeliveryPorts,
    bounds: DeliveryBounds,
    counters: DeliveryCounters,
    /// Whether more waits than the last claim could take: new ones queue behind that.
    behind: AtomicBool,
    /// Queued notices and friendships as of the last look, and those accepted here since.
    queued: AtomicU64,
    /// Claims that are being carried here.
    in_flight: AtomicUsize,
    wake: Notify,
    stop: CancellationToken,
}

/// Entries that are held, and the hold on them.
#[derive(Debug)]
pub struct Leased {
    /// The hold.
    pub lease: Lease,
    /// What is held.
    pub claimed: Claimed,
}

impl DeliveryWorker {
    /// A worker that begins nothing new once `stop` is cancelled.
    pub fn new(ports: DeliveryPorts, bounds: DeliveryBounds, stop: CancellationToken) -> Self {
        Self {
            ports,
            bounds,
            counters: DeliveryCounters::default(),
            behind: AtomicBool::new(false),
            queued: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            wake: Notify::new(),
            stop,
        }
    }

    /// What became of deliveries so far.
    pub fn counters(&self) -> DeliveryCounters {
        self.counters.clone()
    }

    /// A fresh lease.
    pub fn lease(&self) -> Lease {
        Lease { token: self.ports.ids.fresh(), until: self.ports.clock.now().plus(self.bounds.lease_ms) }
    }

    /// All that one claim got, each as much as one call to NetEase does.
    pub fn leased(&self, lease: &Lease, claimed: Vec<Claimed>) -> Vec<Leased> {
        let most = self.ports.gateway.most_recipients();
        let calls = claimed.into_iter().flat_map(|claimed| claimed.in_batches_of(most));
        calls.map(|claimed| Leased { lease: lease.clone(), claimed }).collect()
    }

    /// Whether something new may be sent at once: nothing waits before it, there is a hand
    /// free, and NetEase is well.
    pub fn is_free(&self) -> bool {
        !self.behind.load(Ordering::Relaxed)
            && self.in_flight.load(Ordering::Relaxed) < self.bounds.at_once
            && self.ports.gateway.circuit_open_for().is_none()
            && !self.stop.is_cancelled()
    }

    /// Notices and friendships that wait, as far as is known here.
    pub fn queued(&self) -> u64 {
        self.queued.load(Ordering::Relaxed)
    }

    /// Says that `entries` more were accepted and left to the loop.
    pub fn expect(&self, entries: u64) {
        self.queued.fetch_add(entries, Ordering::Relaxed);
        self.wake.notify_one();
    }

    /// Works until told to stop, then finishes what is under way.
    pub async fn run(self: Arc<Self>) {
        let mut under_way = JoinSet::new();
        let mut looked_at = None;
        while !self.stop.is_cancelled() {
            if looked_at.is_none_or(|at: Instant| at.elapsed() >= LOOK_EVERY) {
                self.look().await.unwrap_or_else(out_of_reach);
                looked_at = Some(Instant::now());
            }
            let room = self.bounds.at_once.saturating_sub(under_way.len());
            // Not one by one: a claim of many costs little more than a claim of one.
            if room * 2 >= self.bounds.at_once {
                for held in self.claim(room).await.unwrap_or_else(out_of_reach) {
                    let worker = Arc::clone(&self);
                    under_way.spawn(async move { worker.deliver(held).await });
                }
            }
            tokio::select! {
                Some(_) = under_way.join_next() => while under_way.try_join_next().is_some() {},
                () = self.wake.notified() => {}
                () = tokio::time::sleep(IDLE) => {}
                () = self.stop.cancelled() => {}
            }
        }
        while under_way.join_next().await.is_some() {}
    }

    /// Takes over what dead holders left, and sees how much is owed.
    async fn look(&self) -> Result<(), StoreError> {
        let now = self.ports.clock.now();
        let taken_over = self.ports.outbox.reclaim_expired(now, DIED).await?;
        if taken_over > 0 {
            tracing::warn!(entries = taken_over, "deliveries were cut off by the end of an instance");
        }
        let Backlog { queued, oldest_at, reads } = self.ports.outbox.backlog().await?;
        self.queued.store(queued, Ordering::Relaxed);
        self.counters.reads_queued.set(i64::try_from(reads).unwrap_or(i64::MAX));
        self.counters.queued.set(i64::try_from(queued).unwrap_or(i64::MAX));
        self.counters.oldest_seconds.set(oldest_at.map_or(0, |at| now.since(at).max(0) / 1_000));
        Ok(())
    }

    /// Claims up to `room` entries, none while NetEase is out of reach: its quota is better spent when it is back.
    async fn claim(&self, room: usize) -> Result<Vec<Leased>, StoreError> {
        if room == 0 {
            return Ok(Vec::new());
        }
        if self.ports.gateway.circuit_open_for().is_some() {
            self.behind.store(true, Ordering::Relaxed);
            return Ok(Vec::new());
        }
        let lease = self.lease();
        let limit = u32::try_from(room).unwrap_or(u32::MAX);
        let claimed = self.ports.outbox.claim(&lease, self.ports.clock.now(), limit).await?;
        let reads = claimed.iter().filter(|claimed| matches!(claimed.work, Work::Read(..))).count();
        self.behind.store(claimed.len() - reads >= room, Ordering::Relaxed);
        Ok(self.leased(&lease, claimed))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of an error's handler")]
fn out_of_reach<T: Default>(error: StoreError) -> T {
    log::trying_again(&error);
    T::default()
}
