//! Since when the loads that a Redis holds are believed.
//!
//! A Redis that is another one than before may hold less than the one before it: a replica that was promoted lacks the
//! last writes, a server restored from a snapshot lacks minutes. What it says of a reader looks complete all the same.
//! So every load from before such a change is taken for old, and its reader is compared with the log at the next poll.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;

use crate::domain::ids::Millis;
use crate::infra::clock::System;
use crate::log_gate::LogGate;
use crate::ports::clock::Clock;

/// Which servers a connection leads to: their `run_id`s, and on a cluster which slots each of them has.
pub(super) type Servers = BTreeSet<String>;

/// Shared by whoever connects and whoever reads.
#[derive(Debug, Clone, Default)]
pub(super) struct Trust(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    since: AtomicI64,
    seen: Mutex<Option<Servers>>,
    replaced: Counter,
}

impl Trust {
    /// Loads from before this are old. The beginning of time until Redis was another one for the first time.
    pub fn since(&self) -> Millis {
        Millis(self.0.since.load(Ordering::Acquire))
    }

    /// How often Redis was another one.
    pub fn replaced(&self) -> Counter {
        self.0.replaced.clone()
    }

    /// A connection leads there; no servers at all if it does not say where. To be told before anybody reads through it.
    pub fn leads_to(&self, servers: Servers) {
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let known = !servers.is_empty() && seen.as_ref() == Some(&servers);
        if seen.replace(servers).is_some() && !known {
            self.lose();
        }
    }

    /// What is believed up to now is believed no more.
    pub fn lose(&self) {
        static REPLACED: LogGate = LogGate::new();
        self.0.since.fetch_max(System.now().0, Ordering::AcqRel);
        self.0.replaced.inc();
        if let Some(count) = REPLACED.pass() {
            tracing::warn!(
                count,
                "Redis is another one than before, or refuses writes: readers are compared with the log at their next poll"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers<const N: usize>(names: [&str; N]) -> Servers {
        names.map(str::to_owned).into()
    }

    #[test]
    fn the_first_server_and_the_same_one_again_are_believed_and_another_one_is_not() {
        let trust = Trust::default();
        trust.leads_to(servers(["a"]));
        trust.leads_to(servers(["a"]));
        assert_eq!((trust.since(), trust.replaced().get()), (Millis(0), 0));
        let before = System.now();
        trust.leads_to(servers(["b"]));
        assert!(trust.since() >= before);
        trust.leads_to(servers(["b"]));
        assert_eq!(trust.replaced().get(), 1);
        trust.leads_to(servers(["a"]));
        assert_eq!(trust.replaced().get(), 2, "the one before that comes back is another one, too");
    }

    #[test]
    fn a_server_that_does_not_say_which_one_it_is_is_another_one_each_time() {
        let trust = Trust::default();
        for _ in 0..3 {
            trust.leads_to(Servers::new());
        }
        assert_eq!(trust.replaced().get(), 2);
    }
}
