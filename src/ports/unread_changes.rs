//! Hears which readers' counts may have changed, for those who watch them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::domain::ids::Accid;

/// Tells watchers of a reader that its counts may have changed.
///
/// A notification means "look again", no more: changes that come close together may be told as one.
#[derive(Debug, Default)]
pub struct UnreadChanges {
    watched: Mutex<HashMap<Accid, watch::Sender<()>>>,
    live: AtomicBool,
}

impl UnreadChanges {
    /// Whether the view tells of every change, whoever makes it. If not, a watcher has to look by itself.
    pub fn are_live(&self) -> bool {
        self.live.load(Ordering::Acquire)
    }

    /// The view tells of every change from now on, or no longer; either way there may have been one.
    pub fn set_live(&self, live: bool) {
        self.live.store(live, Ordering::Release);
        self.all();
    }

    /// This reader may have changed.
    pub fn of(&self, reader: &str) {
        if let Some(watchers) = self.watched().get(reader) {
            watchers.send_replace(());
        }
    }

    /// Everybody may have changed.
    pub fn all(&self) {
        self.watched().values().for_each(|watchers| watchers.send_replace(()));
    }

    /// Begins to watch a reader.
    pub fn watch(self: &Arc<Self>, reader: &Accid) -> ReaderWatch {
        let told = self.watched().entry(reader.clone()).or_default().subscribe();
        ReaderWatch { changes: Arc::clone(self), reader: reader.clone(), told: Some(told) }
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<Accid, watch::Sender<()>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches one reader until it is dropped.
#[derive(Debug)]
pub struct ReaderWatch {
    changes: Arc<UnreadChanges>,
    reader: Accid,
    told: Option<watch::Receiver<()>>,
}

impl ReaderWatch {
    /// Resolves once the reader may have changed since the last call. Cancel-safe.
    pub async fn changed(&mut self) {
        if let Some(told) = &mut self.told {
            // The sender lives for as long as somebody watches.
            let _ = told.changed().await;
        }
    }
}

impl Drop for ReaderWatch {
    fn drop(&mut self) {
        let mut watched = self.changes.watched();
        self.told = None;
        if watched.get(&self.reader).is_some_and(|watchers| watchers.receiver_count() == 0) {
            watched.remove(&self.reader);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn accid(name: &str) -> Accid {
        Accid::of_user(name)
    }

    #[test]
    fn a_watcher_is_told_of_its_reader_alone_and_of_everything() {
        let changes = Arc::new(UnreadChanges::default());
        let mut alice = changes.watch(&accid("alice"));
        let mut told = || alice.changed().now_or_never().is_some();
        assert!(!told());
        changes.of("bob");
        assert!(!told());
        changes.of("alice");
        changes.of("alice");
        assert!(told());
        assert!(!told(), "two that came together are told as one");
        changes.all();
        assert!(told());
        changes.set_live(true);
        assert!(told(), "there may have been one before");
        assert!(changes.are_live());
    }

    #[test]
    fn nothing_is_kept_of_those_whom_nobody_watches() {
        let changes = Arc::new(UnreadChanges::default());
        let (one, other) = (changes.watch(&accid("alice")), changes.watch(&accid("alice")));
        drop(one);
        assert_eq!(changes.watched().len(), 1);
        drop(other);
        assert_eq!(changes.watched().len(), 0);
    }
}
