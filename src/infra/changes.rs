//! The hub between a view, which knows who has changed, and whoever watches one of those readers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::domain::ids::Accid;
use crate::ports::unread_changes::{ReaderWatch, UnreadChanges};

/// Passes changes on to watchers. Clones are one hub.
#[derive(Debug, Clone, Default)]
pub struct ChangeHub(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    watched: Mutex<HashMap<Accid, watch::Sender<()>>>,
    live: AtomicBool,
}

impl ChangeHub {
    /// The view tells of every change from now on, or no longer; either way there may have been one.
    pub fn set_live(&self, live: bool) {
        self.0.live.store(live, Ordering::Release);
        self.all();
    }

    /// This reader may have changed.
    pub fn of(&self, reader: &str) {
        if let Some(watchers) = self.0.watched().get(reader) {
            watchers.send_replace(());
        }
    }

    /// Everybody may have changed.
    pub fn all(&self) {
        self.0.watched().values().for_each(|watchers| watchers.send_replace(()));
    }
}

impl Inner {
    fn watched(&self) -> MutexGuard<'_, HashMap<Accid, watch::Sender<()>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnreadChanges for ChangeHub {
    fn are_live(&self) -> bool {
        self.0.live.load(Ordering::Acquire)
    }

    fn watch(&self, reader: &Accid) -> Box<dyn ReaderWatch> {
        let told = self.0.watched().entry(reader.clone()).or_default().subscribe();
        Box::new(Watch { hub: Arc::clone(&self.0), reader: reader.clone(), told: Some(told) })
    }
}

struct Watch {
    hub: Arc<Inner>,
    reader: Accid,
    told: Option<watch::Receiver<()>>,
}

#[async_trait]
impl ReaderWatch for Watch {
    async fn changed(&mut self) {
        if let Some(told) = &mut self.told {
            // The sender lives for as long as somebody watches.
            let _ = told.changed().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.hub.watched();
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
        let changes = ChangeHub::default();
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
        let changes = ChangeHub::default();
        let (one, other) = (changes.watch(&accid("alice")), changes.watch(&accid("alice")));
        drop(one);
        assert_eq!(changes.0.watched().len(), 1);
        drop(other);
        assert_eq!(changes.0.watched().len(), 0);
    }
}
