//! A view and a log that count what is asked of them, fail on request, and wait for a test; and a clock that stands.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use otc_im::commands::projector::{LoadBounds, LoadCounters, Projector};
use otc_im::domain::ids::{Accid, Millis, ServerId};
use otc_im::domain::message::Fact;
use otc_im::domain::unread::{Change, Load, Merged, Reading, Snapshot, Total};
use otc_im::infra::clock::System;
use otc_im::ports::StoreError;
use otc_im::ports::clock::Clock;
use otc_im::ports::message_log::{MessageLog, Reach, Recorded};
use otc_im::ports::unread_view::{UnreadView, ViewedPair};
use otc_im::queries::unread_counts::UnreadCounts;
use tokio::sync::Semaphore;

use super::facts::NOW;

/// So many messages that the log knows nothing of are removed from the view.
pub const REMOVE_UNKNOWN: usize = 3;
/// So many loads run at once.
pub const AT_ONCE: usize = 4;
/// A load older than this is compared with the log.
pub const RECHECK_AFTER: i64 = 60_000;

/// Stands until it is set.
pub struct SetClock(pub AtomicI64);

impl Default for SetClock {
    fn default() -> Self {
        Self(AtomicI64::new(NOW.0))
    }
}

impl Clock for SetClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(SeqCst))
    }
}

/// The projection between these stores, with the bound that a service has by default.
pub fn projector(view: Arc<dyn UnreadView>, log: Arc<dyn MessageLog>, clock: Arc<dyn Clock>) -> Projector {
    let bounds = LoadBounds { at_once: AT_ONCE, remove_unknown: Some(REMOVE_UNKNOWN) };
    Projector::new(log, view, clock, Arc::new(System), bounds)
}

/// The query of the order page, on these stores.
pub fn counts(view: Arc<dyn UnreadView>, log: Arc<dyn MessageLog>, clock: Arc<dyn Clock>) -> UnreadCounts {
    counts_and_loads(view, log, clock).0
}

/// The same, and what its loads do.
pub fn counts_and_loads(
    view: Arc<dyn UnreadView>,
    log: Arc<dyn MessageLog>,
    clock: Arc<dyn Clock>,
) -> (UnreadCounts, LoadCounters) {
    let projector = projector(Arc::clone(&view), Arc::clone(&log), Arc::clone(&clock));
    let (loads, view_loader) = (projector.counters(), Arc::new(projector));
    let (started_at, fallbacks) = (Millis(0), Semaphore::new(0));
    let recheck_after_ms = RECHECK_AFTER;
    (UnreadCounts { view, log, view_loader, clock, recheck_after_ms, started_at, fallbacks }, loads)
}

/// Counts snapshots, lets each through the gate, and with `failing` fails it. Who is `big` is as big as none is here.
pub struct WatchedLog {
    pub inner: Arc<dyn MessageLog>,
    pub snapshots: AtomicUsize,
    pub failing: AtomicBool,
    pub gate: Semaphore,
    pub big: Mutex<HashSet<Accid>>,
    /// Snapshots of big readers that are under way, and the most that ever were.
    pub of_big: (AtomicUsize, AtomicUsize),
}

impl WatchedLog {
    /// With this many snapshots let through.
    pub fn over(inner: &Arc<dyn MessageLog>, permits: usize) -> Arc<Self> {
        let (snapshots, failing, gate) =
            (AtomicUsize::new(0), AtomicBool::new(false), Semaphore::new(permits));
        let (big, of_big) = Default::default();
        Arc::new(Self { inner: Arc::clone(inner), snapshots, failing, gate, big, of_big })
    }

    fn says_big(&self, reader: &Accid) -> bool {
        self.big.lock().unwrap().contains(reader)
    }
}

#[async_trait]
impl MessageLog for WatchedLog {
    async fn record(&self, facts: Vec<Fact>) -> Vec<Result<Recorded, StoreError>> {
        self.inner.record(facts).await
    }
    async fn reach(&self, reader: &Accid, peer: &Accid, up_to: Millis) -> Result<Reach, StoreError> {
        self.inner.reach(reader, peer, up_to).await
    }
    async fn snapshot(&self, reader: &Accid) -> Result<Snapshot, StoreError> {
        self.snapshots.fetch_add(1, SeqCst);
        if self.failing.load(SeqCst) {
            return Err(StoreError::unavailable("messages", "down, says the test"));
        }
        let (now, most) = &self.of_big;
        let big = usize::from(self.says_big(reader));
        most.fetch_max(now.fetch_add(big, SeqCst) + big, SeqCst);
        let _open = self.gate.acquire().await;
        let snapshot = self.inner.snapshot(reader).await;
        now.fetch_sub(big, SeqCst);
        snapshot
    }
    async fn unknown(&self, reader: &Accid, ids: &[ServerId]) -> Result<HashSet<ServerId>, StoreError> {
        self.inner.unknown(reader, ids).await
    }
    async fn is_big(&self, reader: &Accid) -> Result<bool, StoreError> {
        Ok(self.says_big(reader) || self.inner.is_big(reader).await?)
    }
    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }
}

/// Counts the reads that were answered, those of totals by themselves; with `failing`, every change and every read fails.
pub struct WatchedView {
    pub inner: Arc<dyn UnreadView>,
    pub reads: AtomicUsize,
    pub totals: AtomicUsize,
    pub failing: AtomicBool,
}

impl WatchedView {
    pub fn over(inner: &Arc<dyn UnreadView>) -> Arc<Self> {
        let (reads, totals, failing) = Default::default();
        Arc::new(Self { inner: Arc::clone(inner), reads, totals, failing })
    }

    fn answer(&self) -> Result<(), StoreError> {
        match self.failing.load(SeqCst) {
            true => Err(StoreError::unavailable("unread", "down, says the test")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl UnreadView for WatchedView {
    async fn read(&self, reader: &Accid, peers: &[Accid]) -> Result<Reading, StoreError> {
        self.answer()?;
        let reading = self.inner.read(reader, peers).await;
        self.reads.fetch_add(1, SeqCst);
        reading
    }
    async fn total(&self, reader: &Accid) -> Result<Reading<Total>, StoreError> {
        self.answer()?;
        let reading = self.inner.total(reader).await;
        self.totals.fetch_add(1, SeqCst);
        reading
    }
    async fn apply(&self, change: &Change, now: Millis) -> Result<(), StoreError> {
        self.answer()?;
        self.inner.apply(change, now).await
    }
    async fn begin_load(&self, reader: &Accid, fresh_token: &str) -> Result<Load, StoreError> {
        self.answer()?;
        self.inner.begin_load(reader, fresh_token).await
    }
    async fn merge(
        &self,
        reader: &Accid,
        load: &Load,
        snapshot: &Snapshot,
        now: Millis,
    ) -> Result<Merged, StoreError> {
        self.answer()?;
        self.inner.merge(reader, load, snapshot, now).await
    }
    async fn explain(&self, reader: &Accid, peer: &Accid) -> Result<ViewedPair, StoreError> {
        self.inner.explain(reader, peer).await
    }
    async fn ping(&self) -> Result<(), StoreError> {
        self.answer()
    }
}
