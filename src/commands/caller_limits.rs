//! What one caller may take of NetEase: so many new accounts a minute, and so many binds at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::ids::Accid;
use crate::log_gate::LogGate;

/// Binds of one caller that are done at once. NetEase's quota is served in order, so nobody waits behind more of them.
const AT_ONCE: usize = 4;
/// Binds of one caller that are under way, those that wait for the others included.
const UNDER_WAY: usize = 256;
/// Callers whose new accounts are remembered. Past it the least used are forgotten first.
const CALLERS: u64 = 100_000;
/// What `limits.new_accounts_per_caller` is counted over.
const WINDOW: Duration = Duration::from_mins(1);

/// Why a caller has to come back later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OverLimit {
    /// As many new accounts as one caller may make in a minute.
    #[error("one caller may make {most} new accounts a minute; the next one in {} s", seconds(*.again_in))]
    NewAccounts {
        /// `limits.new_accounts_per_caller`.
        most: u32,
        /// When the next one may be made.
        again_in: Duration,
    },
    /// As many binds as one caller may have under way.
    #[error("one caller may have {UNDER_WAY} binds under way")]
    UnderWay,
}

impl OverLimit {
    /// After how many seconds it is worth trying again, at least 1.
    pub fn again_in_seconds(&self) -> u32 {
        match self {
            Self::NewAccounts { again_in, .. } => seconds(*again_in),
            Self::UnderWay => 1,
        }
    }
}

/// Rounded up, so that whoever waits for so long does not come too soon.
fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis().div_ceil(1000).max(1)).unwrap_or(u32::MAX)
}

/// Keeps each caller to their share, in this process.
pub struct CallerLimits {
    most_accounts: u32,
    window: Duration,
    made: Cache<Accid, Arc<Made>>,
    under_way: Mutex<HashMap<Accid, UnderWay>>,
}

/// New accounts of one caller since the first of them.
struct Made {
    until: Instant,
    accounts: AtomicU32,
}

struct UnderWay {
    turns: Arc<Semaphore>,
    binds: usize,
}

impl CallerLimits {
    /// Limits that let each caller make `most_accounts` new accounts a minute.
    pub fn new(most_accounts: u32) -> Arc<Self> {
        Self::over(WINDOW, most_accounts)
    }

    fn over(window: Duration, most_accounts: u32) -> Arc<Self> {
        let made = Cache::builder().max_capacity(CALLERS).time_to_live(window).build();
        Arc::new(Self { most_accounts, window, made, under_way: Mutex::default() })
    }

    /// Counts an account that `caller` is about to make, or says when they may.
    pub fn new_account(&self, caller: &Accid) -> Result<(), OverLimit> {
        let fresh = || Arc::new(Made { until: Instant::now() + self.window, accounts: AtomicU32::new(0) });
        let made = self.made.get_with_by_ref(caller, fresh);
        if made.accounts.fetch_add(1, Ordering::Relaxed) < self.most_accounts {
            return Ok(());
        }
        // Never more than it was: a caller that goes on asking for a minute does not come round to zero.
        made.accounts.fetch_sub(1, Ordering::Relaxed);
        tell_refused(caller);
        let again_in = made.until.saturating_duration_since(Instant::now());
        Err(OverLimit::NewAccounts { most: self.most_accounts, again_in })
    }

    /// Waits until `caller` may have one more bind done; refuses if too many wait already.
    pub async fn turn(self: &Arc<Self>, caller: &Accid) -> Result<BindPermit, OverLimit> {
        let place = self.enter(caller)?;
        let permit = Arc::clone(&place.turns).acquire_owned().await.ok();
        Ok(BindPermit { _permit: permit, _place: place })
    }

    fn enter(self: &Arc<Self>, caller: &Accid) -> Result<UnderWayPermit, OverLimit> {
        let mut callers = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let of_caller = callers
            .entry(caller.clone())
            .or_insert_with(|| UnderWay { turns: Arc::new(Semaphore::new(AT_ONCE)), binds: 0 });
        if of_caller.binds >= UNDER_WAY {
            return Err(OverLimit::UnderWay);
        }
        of_caller.binds += 1;
        let turns = Arc::clone(&of_caller.turns);
        Ok(UnderWayPermit { limits: Arc::clone(self), caller: caller.clone(), turns })
    }
}

fn tell_refused(caller: &Accid) {
    static REFUSED: LogGate = LogGate::new();
    if let Some(count) = REFUSED.pass() {
        tracing::warn!(count, %caller, "a caller makes too many new accounts, and is refused");
    }
}

/// One of the binds that a caller has done at once, until it is dropped.
pub struct BindPermit {
    _permit: Option<OwnedSemaphorePermit>,
    _place: UnderWayPermit,
}

/// One of the binds that a caller has under way, until it is dropped.
struct UnderWayPermit {
    limits: Arc<CallerLimits>,
    caller: Accid,
    turns: Arc<Semaphore>,
}

impl Drop for UnderWayPermit {
    fn drop(&mut self) {
        let mut callers = self.limits.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut of_caller) = callers.entry(self.caller.clone()) {
            of_caller.get_mut().binds -= 1;
            if of_caller.get().binds == 0 {
                of_caller.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;

    fn user(name: &str) -> Accid {
        Accid::of_user(name)
    }

    #[test]
    fn so_many_new_accounts_then_none_until_the_window_is_over() {
        let hour = Duration::from_hours(1);
        let limits = CallerLimits::over(hour, 3);
        for _ in 0..3 {
            assert_eq!(limits.new_account(&user("mallory")), Ok(()));
        }
        let Err(OverLimit::NewAccounts { most: 3, again_in }) = limits.new_account(&user("mallory")) else {
            panic!("the fourth is refused")
        };
        assert!(again_in <= hour);
        assert_eq!(limits.new_account(&user("alice")), Ok(()), "others are not concerned");

        let window = Duration::from_millis(50);
        let (limits, began) = (CallerLimits::over(window, 1), Instant::now());
        assert_eq!(limits.new_account(&user("mallory")), Ok(()));
        while limits.new_account(&user("mallory")).is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "the window never ends");
            std::thread::yield_now();
        }
        assert!(began.elapsed() >= window, "not before it was told");
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_never_too_short() {
        for (millis, told) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_999, 60)] {
            let again_in = Duration::from_millis(millis);
            assert_eq!(OverLimit::NewAccounts { most: 1, again_in }.again_in_seconds(), told);
        }
    }

    #[tokio::test]
    async fn a_caller_has_a_few_turns_at_once_and_the_next_waits_for_one_of_them() {
        let limits = CallerLimits::new(1);
        let (mallory, alice) = (user("mallory"), user("alice"));
        let mut held = join_all((0..AT_ONCE).map(|_| limits.turn(&mallory))).await;
        let mut next = Box::pin(limits.turn(&mallory));
        assert!(futures_util::poll!(&mut next).is_pending());
        assert!(limits.turn(&alice).await.is_ok(), "others are not concerned");
        held.pop();
        assert!(next.await.is_ok());
    }

    #[tokio::test]
    async fn past_so_many_a_caller_is_refused_and_what_is_done_is_forgotten() {
        let limits = CallerLimits::new(1);
        let mallory = user("mallory");
        let held = join_all((0..AT_ONCE).map(|_| limits.turn(&mallory))).await;
        let mut waiting: Vec<_> = (AT_ONCE..UNDER_WAY).map(|_| Box::pin(limits.turn(&mallory))).collect();
        for one in &mut waiting {
            assert!(futures_util::poll!(one).is_pending());
        }
        assert_eq!(limits.turn(&mallory).await.err(), Some(OverLimit::UnderWay));
        drop((held, waiting));
        assert!(limits.under_way.lock().unwrap().is_empty());
        assert!(limits.turn(&mallory).await.is_ok());
    }
}
