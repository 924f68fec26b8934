//! The unread view in this process: the domain's rules, one lock per reader.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use moka::sync::Cache;

use crate::domain::ids::{Accid, Millis};
use crate::domain::unread::{Change, Load, Merged, ReaderView, Reading, Snapshot, Total};
use crate::infra::changes::ChangeHub;
use crate::ports::StoreError;
use crate::ports::unread_view::{UnreadView, ViewedPair};

/// A view of at most so many readers. The least used are forgotten first and loaded again when asked for, which is
/// always safe: whatever is applied to a forgotten reader was in the log before.
#[derive(Debug)]
pub struct MemoryView {
    readers: Cache<Accid, Arc<Mutex<ReaderView>>>,
    changes: ChangeHub,
}

impl MemoryView {
    /// An empty view that remembers `max_readers`.
    pub fn new(max_readers: u64) -> Self {
        let changes = ChangeHub::default();
        changes.set_live(true);
        Self { readers: Cache::new(max_readers), changes }
    }

    /// Tells of every change.
    pub fn changes(&self) -> ChangeHub {
        self.changes.clone()
    }

    fn with<T>(&self, reader: &Accid, act: impl FnOnce(&mut ReaderView) -> T) -> T {
        let view = self.readers.get_with_by_ref(reader, Default::default);
        // A panic while the lock was held left no half change that a reload would not mend.
        act(&mut view.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Forgets everything, as a restart or `FLUSHALL` does.
    pub fn lose_everything(&self) {
        self.readers.invalidate_all();
    }
}

#[async_trait]
impl UnreadView for MemoryView {
    async fn read(&self, reader: &Accid, peers: &[Accid]) -> Result<Reading, StoreError> {
        let Some(view) = self.readers.get(reader) else { return Ok(Reading::Unknown) };
        Ok(view.lock().unwrap_or_else(PoisonError::into_inner).read(peers))
    }

    async fn total(&self, reader: &Accid) -> Result<Reading<Total>, StoreError> {
        let Some(view) = self.readers.get(reader) else { return Ok(Reading::Unknown) };
        Ok(view.lock().unwrap_or_else(PoisonError::into_inner).total())
    }

    async fn apply(&self, change: &Change, now: Millis) -> Result<(), StoreError> {
        self.with(&change.reader, |view| view.apply(change, now));
        self.changes.of(change.reader.as_str());
        Ok(())
    }

    async fn begin_load(&self, reader: &Accid, fresh_token: &str) -> Result<Load, StoreError> {
        Ok(self.with(reader, |view| view.begin_load(fresh_token)))
    }

    async fn merge(
        &self,
        reader: &Accid,
        load: &Load,
        snapshot: &Snapshot,
        now: Millis,
    ) -> Result<Merged, StoreError> {
        let merged = self.with(reader, |view| view.merge(load, snapshot, now));
        self.changes.of(reader.as_str());
        Ok(merged)
    }

    async fn explain(&self, reader: &Accid, peer: &Accid) -> Result<ViewedPair, StoreError> {
        let (unread, mark) = self.with(reader, |view| view.of_peer(peer));
        Ok(ViewedPair { unread, mark })
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
