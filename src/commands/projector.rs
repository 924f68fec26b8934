//! Fills the unread view from the message log, reader by reader: one load per reader at a time, and not too many in all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::future::{BoxFuture, FutureExt, Shared, ready};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::ids::Accid;
use crate::domain::unread::{Load, Merged, Snapshot};
use crate::log_gate::LogGate;
use crate::ports::StoreError;
use crate::ports::clock::{Clock, Ids};
use crate::ports::message_log::MessageLog;
use crate::ports::unread_view::UnreadView;
use crate::ports::view_loader::ViewLoader;

/// Readers that are loaded or wait for it. Polls of further ones are told so at once.
const MOST_FLIGHTS: usize = 10_000;

/// A load that all who need its reader share: single-flight.
type Flight = Shared<BoxFuture<'static, Result<(), Arc<StoreError>>>>;

/// Counts what loads did.
#[derive(Debug, Clone, Default)]
pub struct LoadCounters {
    /// Loads of readers that were not known.
    pub loads: Counter,
    /// Loads of readers that were known, to compare view and log.
    pub rechecks: Counter,
    /// Messages that a recheck found missing from the view and added.
    pub healed_missing: Counter,
    /// Messages that a recheck found in the view though the log no longer counts them, and removed.
    pub healed_surplus: Counter,
    /// Messages that the view counts and the log knows nothing of, each time they were found and kept.
    pub kept_unknown: Counter,
}

impl LoadCounters {
    /// Shows them under `/metrics`.
    pub fn register(&self, registry: &mut Registry) {
        let Self { loads, rechecks, healed_missing, healed_surplus, kept_unknown } = self.clone();
        registry.register("view_loads", "Readers loaded into the unread view", loads);
        registry.register("view_rechecks", "Known readers compared with the log", rechecks);
        registry.register("view_healed_missing", "Messages that a recheck added to the view", healed_missing);
        registry.register("view_healed_surplus", "Messages that a recheck removed from it", healed_surplus);
        let help = "Messages that the view counts and the log knows nothing of, each time they were kept";
        registry.register("view_kept_unknown", help, kept_unknown);
    }
}

/// How many loads may run, and what they may remove.
#[derive(Debug, Clone, Copy)]
pub struct LoadBounds {
    /// Loads at the same time; beside them one of a reader with very many unread messages. Further ones wait.
    pub at_once: usize,
    /// A load removes at most so many messages that the log knows nothing of; of more it keeps all. `None`: no limit.
    pub remove_unknown: Option<usize>,
}

/// The projection from log to view. Clones are one.
#[derive(Clone)]
pub struct Projector(Arc<Inner>);

struct Inner {
    log: Arc<dyn MessageLog>,
    view: Arc<dyn UnreadView>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    slots: Arc<Semaphore>,
    /// Readers with very many unread messages are loaded one after another: each is megabytes of this process.
    big: Semaphore,
    remove_unknown: Option<usize>,
    flights: Mutex<HashMap<Accid, Flight>>,
    counters: LoadCounters,
}

/// What came of comparing a reader with the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reloaded {
    /// How the merge ended.
    pub merged: Merged,
    /// Messages that the view counts and the log knows nothing of, kept because they were too many.
    pub kept_unknown: usize,
}

impl Projector {
    /// From this log to this view.
    pub fn new(
        log: Arc<dyn MessageLog>,
        view: Arc<dyn UnreadView>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        bounds: LoadBounds,
    ) -> Self {
        let LoadBounds { at_once, remove_unknown } = bounds;
        let (slots, big) = (Arc::new(Semaphore::new(at_once)), Semaphore::new(1));
        let (flights, counters) = (Mutex::default(), LoadCounters::default());
        Self(Arc::new(Inner { log, view, clock, ids, slots, big, remove_unknown, flights, counters }))
    }

    /// What the loads did so far.
    pub fn counters(&self) -> LoadCounters {
        self.0.counters.clone()
    }

    /// Compares a reader with the log and puts the view right, beside whatever else loads that reader.
    pub async fn reconcile(&self, reader: &Accid) -> Result<Reloaded, StoreError> {
        let slot = self.slot().await;
        self.0.reload_in(slot, reader).await
    }

    async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        // Closed by nobody.
        Arc::clone(&self.0.slots).acquire_owned().await.ok()
    }

    /// Joins the load of this reader, or begins one in `slot`, or in the next that is free.
    fn flight(&self, reader: &Accid, recheck_in: Option<OwnedSemaphorePermit>) -> Flight {
        let mut flights = self.0.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(reader) {
            return flight.clone();
        }
        if flights.len() >= MOST_FLIGHTS {
            let full = StoreError::unavailable("unread", "too many readers wait to be loaded");
            return ready(Err(Arc::new(full))).boxed().shared();
        }
        let (this, of) = (self.clone(), reader.clone());
        let task = tokio::spawn(async move {
            let ends = EndsFlight(&this.0, &of);
            match recheck_in {
                Some(slot) => ends.0.recheck_in(slot, &of).await,
                None => ends.0.load_in(this.slot().await, &of).await,
            }
        });
        let joined = async move {
            let outcome = task.await.unwrap_or_else(|panic| Err(StoreError::unavailable("unread", panic)));
            outcome.map_err(Arc::new)
        };
        let flight = joined.boxed().shared();
        flights.insert(reader.clone(), flight.clone());
        flight
    }
}

#[async_trait]
impl ViewLoader for Projector {
    async fn load(&self, reader: &Accid) -> Result<(), Arc<StoreError>> {
        self.flight(reader, None).await
    }

    fn recheck(&self, reader: &Accid) {
        // Polls wait for loads and for no recheck: it takes no place in front of them.
        if let Ok(slot) = Arc::clone(&self.0.slots).try_acquire_owned() {
            drop(self.flight(reader, Some(slot)));
        }
    }
}

impl Inner {
    async fn load_in(&self, slot: Option<OwnedSemaphorePermit>, reader: &Accid) -> Result<(), StoreError> {
        self.reload_in(slot, reader).await?;
        self.counters.loads.inc();
        Ok(())
    }

    async fn recheck_in(&self, slot: OwnedSemaphorePermit, reader: &Accid) -> Result<(), StoreError> {
        static HEALED: LogGate = LogGate::new();
        let Reloaded { merged, .. } = self.reload_in(Some(slot), reader).await?;
        self.counters.rechecks.inc();
        if let Merged::Done { added, removed } = merged
            && added + removed > 0
        {
            self.counters.healed_missing.inc_by(added as u64);
            self.counters.healed_surplus.inc_by(removed as u64);
            if let Some(count) = HEALED.pass() {
                tracing::warn!(
                    count,
                    %reader,
                    added,
                    removed,
                    "the unread view had drifted from the log and is healed"
                );
            }
        }
        Ok(())
    }

    /// The one right order: the view's token, the log, the merge. What is acknowledged meanwhile is not lost.
    async fn reload_in(
        &self,
        slot: Option<OwnedSemaphorePermit>,
        reader: &Accid,
    ) -> Result<Reloaded, StoreError> {
        // Not in a slot that a small one could have meanwhile.
        let (_slot, _turn) = match self.log.is_big(reader).await? {
            true => {
                drop(slot);
                (None, Some(self.big.acquire().await))
            }
            false => (slot, None),
        };
        // Dated by its beginning: a load that goes on after Redis has become another one is from before that.
        let began = self.clock.now();
        let mut load = self.view.begin_load(reader, &self.ids.fresh()).await?;
        let snapshot = self.log.snapshot(reader).await?;
        let kept_unknown = self.keep_unknown(reader, &mut load, &snapshot).await?;
        let merged = self.view.merge(reader, &load, &snapshot, began).await?;
        Ok(Reloaded { merged, kept_unknown })
    }

    /// Keeps messages that the log knows nothing of, if they are too many to be chance: the log was restored from a
    /// backup then, and the view has the only trace of them.
    async fn keep_unknown(
        &self,
        reader: &Accid,
        load: &mut Load,
        snapshot: &Snapshot,
    ) -> Result<usize, StoreError> {
        static KEPT: LogGate = LogGate::new();
        let Some(limit) = self.remove_unknown else { return Ok(0) };
        let surplus: Vec<_> = load.no_longer_counted(snapshot).into_iter().map(|(_, id)| *id).collect();
        if surplus.len() <= limit {
            return Ok(0);
        }
        let unknown = self.log.unknown(reader, &surplus).await?;
        if unknown.len() <= limit {
            return Ok(0);
        }
        load.held.retain(|(_, id)| !unknown.contains(id));
        self.counters.kept_unknown.inc_by(unknown.len() as u64);
        if let Some(count) = KEPT.pass() {
            tracing::error!(
                count,
                %reader,
                kept = unknown.len(),
                "the unread view counts messages that the log knows nothing of, and keeps them: see otc-im recount --force"
            );
        }
        Ok(unknown.len())
    }
}

/// Takes a load off the list when it ends, however it ends.
struct EndsFlight<'a>(&'a Inner, &'a Accid);

impl Drop for EndsFlight<'_> {
    fn drop(&mut self) {
        self.0.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(self.1);
    }
}
