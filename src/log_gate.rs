//! Rate limit for log lines: one a second for each place, with a count of what the line stands for.
//!
//! A line per failing request turns an outage, or a stranger with a loop, into gigabytes of log. A [`LogGate`] is a
//! `static` beside the line it guards:
//!
//! ```
//! use otc_im::log_gate::LogGate;
//! static REFUSED: LogGate = LogGate::new();
//! if let Some(count) = REFUSED.pass() {
//!     tracing::warn!(count, "connections were refused");
//! }
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Instant;

/// Milliseconds between two lines of one place.
const PERIOD_MS: u64 = 1000;

/// Lets one line a second through.
#[derive(Debug)]
pub struct LogGate {
    /// When the next line may be written, in milliseconds since the process began.
    next_ms: AtomicU64,
    /// Events since the last line that was written.
    waiting: AtomicU64,
}

impl LogGate {
    /// A gate whose first line passes.
    pub const fn new() -> Self {
        Self { next_ms: AtomicU64::new(0), waiting: AtomicU64::new(0) }
    }

    /// Counts one event. Answers how many events the line stands for, this one included, if it is to be written now.
    ///
    /// What was counted and never written (no event came after the second was over) shows in metrics alone.
    pub fn pass(&self) -> Option<u64> {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        self.pass_at(u64::try_from(BEGAN.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn pass_at(&self, now_ms: u64) -> Option<u64> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let next = self.next_ms.load(Ordering::Relaxed);
        let mine = now_ms >= next
            && self
                .next_ms
                .compare_exchange(
                    next,
                    now_ms.saturating_add(PERIOD_MS),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok();
        mine.then(|| self.waiting.swap(0, Ordering::Relaxed))
    }
}

impl Default for LogGate {
    fn default() -> Self {
        Self::new()
    }
}

/// A gate for each of a few things that one line may be about: those about one thing hide none about another.
#[derive(Debug)]
pub struct LogGates<K>(Mutex<Vec<(K, LogGate)>>);

impl<K: PartialEq> LogGates<K> {
    /// Gates whose first lines pass.
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// [`LogGate::pass`] of the gate for `about`, which is of a closed list: each keeps its gate for ever.
    pub fn pass(&self, about: K) -> Option<u64> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = gates.iter().position(|(known, _)| *known == about).unwrap_or_else(|| {
            gates.push((about, LogGate::new()));
            gates.len() - 1
        });
        gates[at].1.pass()
    }
}

impl<K: PartialEq> Default for LogGates<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_stands_for_all_that_came_since_the_last() {
        let gate = LogGate::new();
        assert_eq!(gate.pass_at(5), Some(1));
        assert_eq!(gate.pass_at(5), None);
        assert_eq!(gate.pass_at(1004), None);
        assert_eq!(gate.pass_at(1005), Some(3));
        assert_eq!(gate.pass_at(9000), Some(1));
    }
    #[test]
    fn lines_about_one_thing_hide_none_about_another() {
        let gates = LogGates::new();
        assert_eq!((gates.pass("accounts"), gates.pass("messages")), (Some(1), Some(1)));
        assert_eq!((gates.pass("accounts"), gates.pass("messages")), (None, None));
    }
}
