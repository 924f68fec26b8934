//! A session: one tracking connection, and the counts cached while it tells of changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::{PushInfo, PushKind, Value};

use super::PROBE;
use super::counters::NearCounters;
use super::near::entries::Entries;
use super::whole::ReaderCounts;
use crate::infra::changes::ChangeHub;

/// One tracking connection, and the counts cached under it.
pub(super) struct TrackingSession {
    /// The cached counts of readers.
    pub entries: Entries<Arc<ReaderCounts>>,
    changes: ChangeHub,
    counters: NearCounters,
    born: Instant,
    /// When the last heartbeat that was answered was sent, in microseconds after `born`.
    confirmed: AtomicU64,
    /// Which server polls read from is not known at the moment.
    suspended: AtomicBool,
    ended: AtomicBool,
}

impl TrackingSession {
    pub fn new(readers: usize, counters: NearCounters, changes: ChangeHub) -> Self {
        let (entries, born, confirmed) = (Entries::new(readers), Instant::now(), AtomicU64::new(0));
        let (suspended, ended) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { entries, changes, counters, born, confirmed, suspended, ended }
    }

    /// Whether everything that changed until `staleness` ago has been heard of.
    pub fn is_fresh(&self, staleness: Duration) -> bool {
        let confirmed = Duration::from_micros(self.confirmed.load(Ordering::Acquire));
        let over = self.ended.load(Ordering::Acquire) || self.suspended.load(Ordering::Acquire);
        !over && self.born.elapsed().saturating_sub(confirmed) <= staleness
    }

    /// A heartbeat that was sent then has been answered.
    pub fn confirm(&self, sent: Instant) {
        let after = sent.saturating_duration_since(self.born).as_micros();
        self.confirmed.store(u64::try_from(after).unwrap_or(0), Ordering::Release);
        self.suspended.store(false, Ordering::Release);
        self.counters.active.set(1);
    }

    /// The connection of polls did not say where it leads: nothing is answered from memory until it does.
    pub fn suspend(&self) {
        self.suspended.store(true, Ordering::Release);
        self.counters.active.set(0);
    }

    /// The connection is no longer kept.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Applies a push of Redis. Must be done when this returns: a reply may come next.
    pub fn on_push(&self, push: &PushInfo) {
        match (&push.kind, push.data.first()) {
            (PushKind::Disconnection, _) => self.end(),
            (PushKind::Invalidate, Some(Value::Array(keys))) => {
                for key in keys {
                    self.invalidate(key);
                }
            }
            // Without keys everything is gone: FLUSHALL, FLUSHDB, or a replica that is filled anew.
            (PushKind::Invalidate, _) => self.clear(),
            _ => {}
        }
    }

    /// Drops the counts of all readers, and begins new generations.
    pub fn clear(&self) {
        self.entries.clear();
        self.changes.all();
    }

    fn invalidate(&self, key: &Value) {
        if let Value::BulkString(key) = key
            && let Some(reader) = reader_of(key)
        {
            self.entries.remove(reader);
            self.changes.of(reader);
            self.counters.invalidations.inc();
        }
    }
}

/// The reader whose counts this key holds. Polls read no other key.
fn reader_of(key: &[u8]) -> Option<&str> {
    let reader = std::str::from_utf8(key).ok()?.strip_prefix("im:{")?.strip_suffix("}:n")?;
    (reader != PROBE).then_some(reader)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_of_counts_names_a_reader() {
        assert_eq!(reader_of(b"im:{ann}:n"), Some("ann"));
        assert_eq!(reader_of(b"im:{n}:n"), Some("n"));
        for other in ["im:{ann}:m", "im:{ann}:g", "im:{ann}:u:n", "im:", "x", "im:{ann}:u:}:", "im:{!}:n"] {
            assert_eq!(reader_of(other.as_bytes()), None, "{other}");
        }
        assert_eq!(reader_of(&[0xff]), None);
    }

    #[test]
    fn a_session_is_fresh_for_as_long_as_was_said_after_a_heartbeat_that_was_answered() {
        let session = TrackingSession::new(1, NearCounters::default(), ChangeHub::default());
        session.confirm(session.born);
        assert!(session.is_fresh(Duration::from_mins(1)));
        assert!(!session.is_fresh(Duration::ZERO));
        session.on_push(&PushInfo { kind: PushKind::Disconnection, data: vec![] });
        assert!(!session.is_fresh(Duration::from_mins(1)));
    }
}
