//! What this instance sees of the flow of copies, and of the users they concern, until it is written down.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use moka::sync::Cache;

use super::reconcile::Window;
use crate::domain::ids::{Accid, Millis};
use crate::ports::StoreError;
use crate::ports::view_loader::ViewLoader;

/// Users who are remembered to have been written down: about 100 bytes each.
const KNOWN: u64 = 200_000;
/// For how long. It is less than a day, for the day is what is written down.
const KNOWN_FOR: Duration = Duration::from_hours(6);
/// Users who wait to be written down. More than so many are forgotten: each will be seen again.
const MOST_PENDING: usize = 100_000;

/// Copies taken and refused since they were last written down.
#[derive(Debug, Default)]
pub struct CopyFlow {
    taken: AtomicU64,
    newest: AtomicI64,
    refused: Mutex<Option<Window>>,
}

/// What was seen of the flow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Copies that were taken.
    pub taken: u64,
    /// When the newest of them came.
    pub newest: Option<Millis>,
    /// From the first to the last that were refused, so that NetEase sends them again.
    pub refused: Option<Window>,
}

impl CopyFlow {
    /// A copy is durable.
    pub fn taken(&self, now: Millis) {
        self.taken.fetch_add(1, Relaxed);
        self.newest.fetch_max(now.0, Relaxed);
    }

    /// A copy was answered 503.
    pub fn refused(&self, now: Millis) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused = Some(widened(*refused, Window { from: now, to: now }));
    }

    /// All since the last time.
    pub fn take(&self) -> Seen {
        let newest = self.newest.swap(0, Relaxed);
        Seen {
            taken: self.taken.swap(0, Relaxed),
            newest: (newest > 0).then_some(Millis(newest)),
            refused: self.refused.lock().unwrap_or_else(PoisonError::into_inner).take(),
        }
    }

    /// It could not be written down: next time.
    pub fn give_back(&self, Seen { taken, newest, refused }: Seen) {
        self.taken.fetch_add(taken, Relaxed);
        self.newest.fetch_max(newest.map_or(0, |newest| newest.0), Relaxed);
        if let Some(window) = refused {
            let mut later = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            *later = Some(widened(*later, window));
        }
    }
}

/// The stretch from the first of both to the last.
pub fn widened(one: Option<Window>, other: Window) -> Window {
    match one {
        Some(one) => Window { from: one.from.min(other.from), to: one.to.max(other.to) },
        None => other,
    }
}

/// Users who poll or chat, each until it is written down, and then not for some hours.
#[derive(Debug)]
pub struct ActiveUsers {
    known: Cache<Accid, ()>,
    pending: Mutex<Vec<Accid>>,
}

impl Default for ActiveUsers {
    fn default() -> Self {
        let known = Cache::builder().max_capacity(KNOWN).time_to_live(KNOWN_FOR).build();
        Self { known, pending: Mutex::default() }
    }
}

impl ActiveUsers {
    /// This one does something.
    pub fn note(&self, user: &Accid) {
        if self.known.contains_key(user) {
            return;
        }
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.len() < MOST_PENDING {
            self.known.insert(user.clone(), ());
            pending.push(user.clone());
        }
    }

    /// Up to so many who are to be written down.
    pub fn take(&self, most: usize) -> Vec<Accid> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = pending.len().saturating_sub(most);
        pending.split_off(rest)
    }

    /// They could not be written down: next time.
    pub fn give_back(&self, users: Vec<Accid>) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).extend(users);
    }
}

/// A loader that notes whose counts are loaded or rechecked: everybody who polls is, now and then.
pub struct NotingLoader {
    /// Loads.
    pub inner: Arc<dyn ViewLoader>,
    /// Notes.
    pub active: Arc<ActiveUsers>,
}

#[async_trait]
impl ViewLoader for NotingLoader {
    async fn load(&self, reader: &Accid) -> Result<(), Arc<StoreError>> {
        self.active.note(reader);
        self.inner.load(reader).await
    }

    fn recheck(&self, reader: &Accid) {
        self.active.note(reader);
        self.inner.recheck(reader);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn window(from: i64, to: i64) -> Window {
        Window { from: Millis(from), to: Millis(to) }
    }

    #[test]
    fn what_could_not_be_written_down_comes_with_the_rest() {
        let flow = CopyFlow::default();
        assert_eq!(flow.take(), Seen::default());
        flow.taken(Millis(5));
        flow.taken(Millis(3));
        flow.refused(Millis(4));
        let first = flow.take();
        assert_eq!(first, Seen { taken: 2, newest: Some(Millis(5)), refused: Some(window(4, 4)) });
        flow.taken(Millis(9));
        flow.refused(Millis(8));
        flow.give_back(first);
        assert_eq!(flow.take(), Seen { taken: 3, newest: Some(Millis(9)), refused: Some(window(4, 8)) });
        assert_eq!(flow.take(), Seen::default());
    }

    #[test]
    fn a_user_is_written_down_once() {
        let active = ActiveUsers::default();
        let [ann, ben, zoe] = ["ann", "ben", "zoe"].map(Accid::of_user);
        for user in [&ann, &ben, &ann, &zoe] {
            active.note(user);
        }
        let two = active.take(2);
        assert_eq!(two, [ben.clone(), zoe.clone()]);
        active.give_back(two);
        active.note(&ben);
        assert_eq!(active.take(10), [ann, ben, zoe]);
        assert!(active.take(10).is_empty());
    }
}
