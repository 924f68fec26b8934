//! Which Redis the view is on, and since when it has been that one.
//!
//! Another Redis may hold less than the one before it: a promoted replica lacks the last writes, a server restored
//! from a snapshot lacks minutes. Its readers look complete all the same. So each load from before the change counts
//! as old, and its reader is compared with the log at the next poll.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;

use crate::domain::ids::Millis;
use crate::infra::clock::System;
use crate::log_gate::LogGate;
use crate::ports::clock::Clock;

/// The servers that a connection leads to: their `run_id`s, and on a cluster which slots each of them has. Empty
/// where the user may not ask.
pub(super) type Servers = BTreeSet<String>;

/// The servers that polls read from. Clones are one: those who connect report to it, those who read ask it.
#[derive(Debug, Clone, Default)]
pub(super) struct ServerIdentity(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    changed_at: AtomicI64,
    current: Mutex<Option<Servers>>,
    changes: Counter,
}

impl ServerIdentity {
    /// When Redis last became another one; the beginning of time if it never did.
    pub fn changed_at(&self) -> Millis {
        Millis(self.0.changed_at.load(Ordering::Acquire))
    }

    /// How often Redis became another one.
    pub fn changes(&self) -> Counter {
        self.0.changes.clone()
    }

    /// Whether polls read from these servers. Servers that do not say who they are cannot be compared.
    pub fn is(&self, servers: &Servers) -> bool {
        !servers.is_empty() && self.current().as_ref() == Some(servers)
    }

    /// Whether the servers say who they are.
    pub fn is_known(&self) -> bool {
        self.current().as_ref().is_some_and(|servers| !servers.is_empty())
    }

    /// Reports the servers behind a new connection, before polls read through it.
    pub fn observe(&self, servers: Servers) {
        let mut current = self.current();
        let same = !servers.is_empty() && current.as_ref() == Some(&servers);
        if current.replace(servers).is_some() && !same {
            self.mark_changed();
        }
    }

    /// Makes every load up to now an old one.
    pub fn mark_changed(&self) {
        static CHANGED: LogGate = LogGate::new();
        self.0.changed_at.fetch_max(System.now().0, Ordering::AcqRel);
        self.0.changes.inc();
        if let Some(count) = CHANGED.pass() {
            tracing::warn!(
                count,
                "Redis is another one than before, or refuses writes: readers are compared with the log at their next poll"
            );
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Servers>> {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers<const N: usize>(names: [&str; N]) -> Servers {
        names.map(str::to_owned).into()
    }

    #[test]
    fn the_first_server_and_the_same_one_again_are_no_change_and_another_one_is() {
        let identity = ServerIdentity::default();
        identity.observe(servers(["a"]));
        identity.observe(servers(["a"]));
        assert_eq!((identity.changed_at(), identity.changes().get()), (Millis(0), 0));
        let before = System.now();
        identity.observe(servers(["b"]));
        assert!(identity.changed_at() >= before);
        identity.observe(servers(["b"]));
        assert_eq!(identity.changes().get(), 1);
        identity.observe(servers(["a"]));
        assert_eq!(identity.changes().get(), 2, "the one before that comes back is another one, too");
    }

    #[test]
    fn a_server_that_does_not_say_which_one_it_is_is_another_one_each_time() {
        let identity = ServerIdentity::default();
        for _ in 0..3 {
            identity.observe(Servers::new());
            assert!(!identity.is_known() && !identity.is(&Servers::new()));
        }
        assert_eq!(identity.changes().get(), 2);
    }
}
