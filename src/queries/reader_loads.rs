//! Loads a reader from the message log into the unread view: one load per reader at a time, and not too many in all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{BoxFuture, FutureExt, Shared};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::Semaphore;

use crate::domain::ids::Accid;
use crate::domain::unread::Merged;
use crate::ports::StoreError;
use crate::ports::clock::{Clock, Ids};
use crate::ports::message_log::MessageLog;
use crate::ports::unread_view::{UnreadView, reload};

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
}

/// The loads of this process.
pub struct ReaderLoads {
    log: Arc<dyn MessageLog>,
    view: Arc<dyn UnreadView>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    slots: Semaphore,
    /// Readers with very many unread messages are loaded one after another: each is megabytes of this process.
    big: Semaphore,
    flights: Mutex<HashMap<Accid, Flight>>,
    counters: LoadCounters,
}

impl ReaderLoads {
    /// At most `at_once` loads run at the same time, and beside them one of a reader with very many unread messages;
    /// further ones wait.
    pub fn new(
        log: Arc<dyn MessageLog>,
        view: Arc<dyn UnreadView>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        at_once: usize,
    ) -> Arc<Self> {
        let (slots, big) = (Semaphore::new(at_once), Semaphore::new(1));
        let (flights, counters) = (Mutex::default(), LoadCounters::default());
        Arc::new(Self { log, view, clock, ids, slots, big, flights, counters })
    }

    /// What the loads did so far.
    pub fn counters(&self) -> LoadCounters {
        self.counters.clone()
    }

    /// Loads a reader whom the view does not know, or joins the load under way. It goes on if the caller leaves.
    pub async fn load(self: &Arc<Self>, reader: &Accid) -> Result<(), Arc<StoreError>> {
        self.flight(reader, false).await
    }

    /// Begins to compare a known reader with the log, in the background, if there is room for it now.
    pub fn recheck(self: &Arc<Self>, reader: &Accid) {
        if self.slots.available_permits() > 0 {
            drop(self.flight(reader, true));
        }
    }

    fn flight(self: &Arc<Self>, reader: &Accid, known: bool) -> Flight {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(reader) {
            return flight.clone();
        }
        let (this, of) = (Arc::clone(self), reader.clone());
        let task = tokio::spawn(async move {
            let landing = Landing(&this, &of);
            landing.0.run(&of, known).await
        });
        let joined = async move {
            let outcome = task.await.unwrap_or_else(|panic| Err(StoreError::unavailable("unread", panic)));
            outcome.map_err(Arc::new)
        };
        let flight = joined.boxed().shared();
        flights.insert(reader.clone(), flight.clone());
        flight
    }

    async fn run(&self, reader: &Accid, known: bool) -> Result<(), StoreError> {
        let slot = self.slots.acquire().await;
        let _place = if self.log.is_big(reader).await? {
            // Not in a slot that a small one could have meanwhile.
            drop(slot);
            self.big.acquire().await
        } else {
            slot
        };
        let merged = reload(&*self.log, &*self.view, &*self.clock, &*self.ids, reader).await?;
        let LoadCounters { loads, rechecks, healed_missing, healed_surplus } = &self.counters;
        if !known {
            loads.inc();
            return Ok(());
        }
        rechecks.inc();
        if let Merged::Done { added, removed } = merged
            && added + removed > 0
        {
            healed_missing.inc_by(added as u64);
            healed_surplus.inc_by(removed as u64);
            tracing::warn!(%reader, added, removed, "the unread view had drifted from the log and is healed");
        }
        Ok(())
    }
}

/// Takes a load off the list when it ends, however it ends.
struct Landing<'a>(&'a ReaderLoads, &'a Accid);

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.0.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(self.1);
    }
}
