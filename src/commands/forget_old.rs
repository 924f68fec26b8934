//! Retention: forgets what is done and old, in batches.

use crate::domain::ids::Millis;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::dead_letters::DeadLetters;
use crate::ports::log_upkeep::LogUpkeep;
use crate::ports::outbox::Notifications;

/// Messages deleted by one statement.
const MESSAGES: u32 = 1_000;
/// Dead letters deleted by one statement.
const LETTERS: u32 = 100;
/// Notifications deleted by one statement.
const NOTIFICATIONS: u32 = 500;
const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// Deletes every read message older than `days`; answers how many. What is unread stays, however old.
pub async fn forget_read(log: &dyn LogUpkeep, clock: &dyn Clock, days: u32) -> Result<u64, StoreError> {
    let before = days_ago(clock, days);
    in_batches(MESSAGES, || log.forget_read(before, MESSAGES)).await
}

/// Deletes every dead letter that came more than `days` ago; answers how many.
pub async fn forget_dead_letters(
    letters: &dyn DeadLetters,
    clock: &dyn Clock,
    days: u32,
) -> Result<u64, StoreError> {
    let before = days_ago(clock, days);
    in_batches(LETTERS, || letters.forget(before, LETTERS)).await
}

/// Deletes notifications, and friendships that were owed, accepted more than `days` ago and of which nothing is queued;
/// answers how many.
pub async fn forget_notifications(
    notifications: &dyn Notifications,
    clock: &dyn Clock,
    days: u32,
) -> Result<u64, StoreError> {
    let before = days_ago(clock, days);
    in_batches(NOTIFICATIONS, || notifications.forget(before, NOTIFICATIONS)).await
}

fn days_ago(clock: &dyn Clock, days: u32) -> Millis {
    clock.now().plus(-i64::from(days) * DAY_MS)
}

/// Goes on until a batch is not full.
async fn in_batches<F>(full: u32, forget: impl Fn() -> F + Send) -> Result<u64, StoreError>
where
    F: Future<Output = Result<u64, StoreError>> + Send,
{
    let mut total = 0;
    loop {
        let gone = forget().await?;
        total += gone;
        if gone < u64::from(full) {
            return Ok(total);
        }
    }
}
