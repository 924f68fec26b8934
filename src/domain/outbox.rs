//! What is owed to NetEase: the states of a delivery, and what comes after each attempt. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

use super::ids::Millis;

/// The first pause after an attempt that NetEase answered with passing trouble; it doubles with each one.
const FIRST_PAUSE_MS: i64 = 1_000;
/// The longest pause.
const LONGEST_PAUSE_MS: i64 = 60_000;
/// The pause after an attempt that did not reach NetEase: short, because the gateway itself rests meanwhile.
const NOT_REACHED_PAUSE_MS: i64 = 1_000;
/// An idempotency key is remembered for 24 h.
pub const KEY_LIFETIME_MS: i64 = 24 * 3_600 * 1_000;
/// The longest attach, in characters (NIM server API, msg/sendAttachMsg).
pub const MAX_ATTACH_CHARS: usize = 4096;
/// Where a notice carries its id, so that a client which gets it twice can drop the second.
pub const ID_FIELD: &str = "notificationId";

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Still to be done.
    Queued,
    /// NetEase has it.
    Sent,
    /// Given up: refused for good, or tried too often.
    Failed,
    /// Sent, and no answer came: it may have been done, and will not be done again.
    Unknown,
}

/// The word that answers and log lines have for it.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        })
    }
}

impl State {
    /// The state of a notification to many: queued while one is, then the worst of them.
    pub fn overall(states: impl IntoIterator<Item = Self>) -> Self {
        let weight = |state: &Self| match state {
            Self::Queued => 3,
            Self::Unknown => 2,
            Self::Failed => 1,
            Self::Sent => 0,
        };
        states.into_iter().max_by_key(weight).unwrap_or(Self::Sent)
    }
}

/// What one attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// NetEase has done it.
    Done,
    /// Refused for good.
    Refused(String),
    /// Sent, and no answer came.
    Unknown(String),
    /// NetEase answered that it cannot now; nothing was done.
    Transient(String),
    /// NetEase was not asked, or not reached; nothing was done. Worth trying again after this many milliseconds.
    NotReached(String, Option<i64>),
}

/// How long a delivery is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Attempts that NetEase may have seen, at least 1.
    pub attempts: u32,
    /// Milliseconds after which a delivery is given up, however few its attempts.
    pub give_up_after_ms: i64,
}

/// What is known of a delivery before an attempt is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Attempts that NetEase may have seen.
    pub attempts: u32,
    /// When it was accepted.
    pub accepted_at: Millis,
    /// Whether doing it twice does no harm: a friendship, a read, or a notice by whose id the client drops a double.
    pub repeatable: bool,
}

/// What is written down after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// How far it is now.
    pub state: State,
    /// Attempts that NetEase may have seen, this one included.
    pub attempts: u32,
    /// Not before this moment is it tried again.
    pub due_at: Millis,
    /// Why it is not done, for people.
    pub last_error: Option<String>,
}

impl Policy {
    /// Whether it is too late for what was accepted then.
    pub fn is_over(&self, accepted_at: Millis, now: Millis) -> bool {
        now.since(accepted_at) >= self.give_up_after_ms
    }

    /// What comes after `attempt`, which ended `now`. `chance` spreads the pauses; any number will do.
    pub fn settle(&self, progress: Progress, attempt: Attempt, now: Millis, chance: u64) -> Settled {
        let Progress { attempts, accepted_at, repeatable } = progress;
        let done = |state, attempts, last_error| Settled { state, attempts, due_at: now, last_error };
        let (seen, why, pause) = match attempt {
            Attempt::Done => return done(State::Sent, attempts + 1, None),
            Attempt::Refused(why) => return done(State::Failed, attempts + 1, Some(why)),
            Attempt::Unknown(why) if !repeatable => return done(State::Unknown, attempts + 1, Some(why)),
            Attempt::Unknown(why) | Attempt::Transient(why) => {
                (attempts + 1, why, spread(doubled(attempts), chance))
            }
            Attempt::NotReached(why, Some(pause)) => (attempts, why, pause),
            Attempt::NotReached(why, None) => (attempts, why, spread(NOT_REACHED_PAUSE_MS, chance)),
        };
        if seen >= self.attempts || self.is_over(accepted_at, now) {
            return done(State::Failed, seen, Some(format!("given up: {why}")));
        }
        Settled { state: State::Queued, attempts: seen, due_at: now.plus(pause), last_error: Some(why) }
    }
}

/// `attach` with the notification's id, a UUID, inside. `None` if it cannot carry one: it is no JSON object, has a field
/// of that name already, or would grow past [`MAX_ATTACH_CHARS`].
pub fn with_id(attach: &str, id: &str) -> Option<String> {
    // Values are passed over as they are written, for a number may have more digits than a value holds.
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(attach).ok()?;
    let rest = attach.trim_start().strip_prefix('{').filter(|_| !fields.contains_key(ID_FIELD))?;
    // Spliced in, not written anew: whatever else it holds stays as the caller wrote it, to the last digit.
    let comma = if fields.is_empty() { "" } else { "," };
    let with_id = format!(r#"{{"{ID_FIELD}":"{id}"{comma}{rest}"#);
    (with_id.chars().count() <= MAX_ATTACH_CHARS).then_some(with_id)
}

fn doubled(attempts: u32) -> i64 {
    (FIRST_PAUSE_MS << attempts.min(6)).min(LONGEST_PAUSE_MS)
}

/// Somewhere between half of `pause` and all of it.
fn spread(pause: i64, chance: u64) -> i64 {
    let half = pause / 2;
    let share = i64::try_from(chance % 1_000).unwrap_or(0);
    half + half * share / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { attempts: 3, give_up_after_ms: 3_600_000 };
    const NOW: Millis = Millis(1_000_000);

    fn fresh(attempts: u32) -> Progress {
        Progress { attempts, accepted_at: NOW, repeatable: false }
    }

    fn why() -> String {
        "why".to_owned()
    }

    #[test]
    fn done_and_refused_are_final() {
        let sent = POLICY.settle(fresh(0), Attempt::Done, NOW, 0);
        assert_eq!(sent, Settled { state: State::Sent, attempts: 1, due_at: NOW, last_error: None });
        let failed = POLICY.settle(fresh(0), Attempt::Refused(why()), NOW, 0);
        assert_eq!((failed.state, failed.attempts, failed.last_error), (State::Failed, 1, Some(why())));
    }

    #[test]
    fn an_unknown_outcome_is_tried_again_only_where_that_does_no_harm() {
        assert_eq!(POLICY.settle(fresh(0), Attempt::Unknown(why()), NOW, 0).state, State::Unknown);
        let repeatable = Progress { repeatable: true, ..fresh(0) };
        assert_eq!(POLICY.settle(repeatable, Attempt::Unknown(why()), NOW, 0).state, State::Queued);
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_are_spread_over_their_later_half() {
        let policy = Policy { attempts: u32::MAX, ..POLICY };
        for (attempts, longest) in [(0, 1_000), (1, 2_000), (5, 32_000), (6, 60_000), (100, 60_000)] {
            for chance in [0, 1, 500, 999, u64::MAX] {
                let settled = policy.settle(fresh(attempts), Attempt::Transient(why()), NOW, chance);
                let pause = settled.due_at.since(NOW);
                assert!((longest / 2..=longest).contains(&pause), "{attempts} attempts: {pause} ms");
                assert_eq!((settled.state, settled.attempts), (State::Queued, attempts + 1));
            }
        }
    }

    #[test]
    fn trouble_is_borne_so_often_and_no_more() {
        assert_eq!(POLICY.settle(fresh(1), Attempt::Transient(why()), NOW, 0).state, State::Queued);
        let last = POLICY.settle(fresh(2), Attempt::Transient(why()), NOW, 0);
        assert_eq!((last.state, last.attempts), (State::Failed, 3));
        assert_eq!(last.last_error.as_deref(), Some("given up: why"));
    }

    #[test]
    fn not_reaching_netease_uses_no_attempt_but_time() {
        let later = |ms| NOW.plus(ms);
        let tried = |at, pause| POLICY.settle(fresh(2), Attempt::NotReached(why(), pause), at, 0);
        let queued = tried(later(3_599_999), Some(10_000));
        assert_eq!((queued.state, queued.attempts, queued.due_at), (State::Queued, 2, later(3_609_999)));
        assert!((500..=1_000).contains(&tried(NOW, None).due_at.since(NOW)));
        assert_eq!(tried(later(3_600_000), None).state, State::Failed);
    }

    #[test]
    fn an_object_carries_the_id_and_stays_as_it_was_written() {
        let carried = |attach: &str| with_id(attach, "7");
        assert_eq!(
            carried(r#" {"n": 1.50e99} "#).as_deref(),
            Some(r#"{"notificationId":"7","n": 1.50e99} "#)
        );
        assert_eq!(carried("{}").as_deref(), Some(r#"{"notificationId":"7"}"#));
        for fields in [r#""wei":1000000000000000000001,"d":1.10,"d":1e400}"#, r#""\u0061" : "\ud800\/" }"#] {
            let with_id = format!(r#"{{"notificationId":"7",{fields}"#);
            assert_eq!(carried(&format!("{{{fields}")), Some(with_id));
        }
        let named = r#"{"notification\u0049d":1}"#;
        for cannot in ["text", "[1]", "7", "", r#"{"notificationId":"mine"}"#, named, r#"{"a":1"#] {
            assert_eq!(carried(cannot), None, "{cannot}");
        }
        let full = |chars: usize| format!(r#"{{"a":"{}"}}"#, "文".repeat(chars - 8));
        assert!(
            carried(&full(MAX_ATTACH_CHARS - 21)).is_some_and(|it| it.chars().count() == MAX_ATTACH_CHARS)
        );
        assert_eq!(carried(&full(MAX_ATTACH_CHARS - 20)), None);
    }

    #[test]
    fn many_are_queued_while_one_is_then_the_worst() {
        use State::{Failed, Queued, Sent, Unknown};
        assert_eq!(State::overall([Sent, Queued, Failed, Unknown]), Queued);
        assert_eq!(State::overall([Sent, Failed, Unknown]), Unknown);
        assert_eq!(State::overall([Failed, Sent]), Failed);
        assert_eq!(State::overall([Sent, Sent]), Sent);
    }
}
