//! The unread view on one Redis server behind a near cache: polls of readers who have not changed stay in this process.

pub mod entries;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::RedisResult;

use super::tracking::Tracking;
use super::whole::{Known, Whole};
use super::{Connection, RedisView};
use crate::domain::ids::{Accid, Millis};
use crate::domain::unread::{Change, Load, Merged, Reading, Snapshot};
use crate::ports::StoreError;
use crate::ports::near_counters::NearCounters;
use crate::ports::unread_changes::UnreadChanges;
use crate::ports::unread_view::{Held, UnreadView};

/// How much a near cache may hold, and how old it may be.
#[derive(Debug, Clone, Copy)]
pub struct NearSettings {
    /// Readers that are kept; the least used are forgotten first.
    pub readers: usize,
    /// No answer is older than this, whatever becomes of the connection that tells of changes.
    pub staleness: Duration,
}

/// A [`RedisView`] that answers from memory what Redis has not said to have changed.
///
/// Whoever changes a reader through this view finds the change in the next poll through it. What others change is
/// found once Redis has told of it, a few milliseconds later, and after [`NearSettings::staleness`] in any case: how
/// that is known is told in `tracking.rs`. A reader whom Redis does not know is never kept.
pub struct NearView {
    inner: RedisView,
    tracking: Tracking,
    counters: NearCounters,
    changes: Arc<UnreadChanges>,
}

impl NearView {
    /// Over the server behind `connection`, which `url` leads to, too. Tracking begins in the background; until then,
    /// and whenever it fails, polls go to Redis. Errors are those of a URL that makes no sense.
    pub fn over(connection: Connection, url: &str, settings: NearSettings) -> RedisResult<Self> {
        let counters = NearCounters::default();
        let changes = Arc::default();
        let tracking =
            Tracking::start(connection.clone(), url, settings, counters.clone(), Arc::clone(&changes))?;
        Ok(Self { inner: RedisView::new(connection), tracking, counters, changes })
    }

    /// What it did so far.
    pub fn counters(&self) -> NearCounters {
        self.counters.clone()
    }

    /// Tells of what Redis says to have changed, and of what is changed through this view.
    pub fn changes(&self) -> Arc<UnreadChanges> {
        Arc::clone(&self.changes)
    }

    /// Forgets a reader whom this process has changed, or may have: also while the session is not fresh, as it may
    /// become so again.
    fn forget(&self, reader: &Accid) {
        if let Some(session) = self.tracking.current() {
            session.entries.remove(reader.as_str());
        }
        self.changes.of(reader.as_str());
    }
}

#[async_trait]
impl UnreadView for NearView {
    async fn read(&self, reader: &Accid, peers: &[Accid]) -> Result<Reading, StoreError> {
        let Some(session) = self.tracking.fresh() else {
            self.counters.bypassed.inc();
            return self.inner.read(reader, peers).await;
        };
        let (held, token) = session.entries.look(reader);
        if let Some(reading) = held.as_ref().and_then(|known| known.read(peers)) {
            self.counters.hits.inc();
            return Ok(reading);
        }
        self.counters.misses.inc();
        // What is held and is not enough is of a reader who was too large.
        let whole = match held {
            None => self.inner.read_whole(reader).await?,
            Some(_) => Whole::Large,
        };
        let known = match whole {
            Whole::Known(known) => known,
            Whole::Unknown => return Ok(Reading::Unknown),
            Whole::Large => match self.inner.read(reader, peers).await? {
                Reading::Known { counts, loaded_at } => Known::page(peers, &counts, loaded_at),
                Reading::Unknown => return Ok(Reading::Unknown),
            },
        };
        // Whichever it is, it tells of everybody who was asked for.
        let reading = known.read(peers).unwrap_or(Reading::Unknown);
        session.entries.fill(reader, token, Arc::new(known));
        Ok(reading)
    }

    async fn apply_all(&self, changes: &[Change], now: Millis) -> Vec<Result<(), StoreError>> {
        let outcomes = self.inner.apply_all(changes, now).await;
        for change in changes {
            self.forget(&change.reader);
        }
        outcomes
    }

    async fn begin_load(&self, reader: &Accid, fresh_token: &str) -> Result<Load, StoreError> {
        let outcome = self.inner.begin_load(reader, fresh_token).await;
        self.forget(reader);
        outcome
    }

    async fn merge(
        &self,
        reader: &Accid,
        load: &Load,
        snapshot: &Snapshot,
        now: Millis,
    ) -> Result<Merged, StoreError> {
        let outcome = self.inner.merge(reader, load, snapshot, now).await;
        self.forget(reader);
        outcome
    }

    async fn explain(&self, reader: &Accid, peer: &Accid) -> Result<Held, StoreError> {
        self.inner.explain(reader, peer).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }
}
