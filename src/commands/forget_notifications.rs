//! Retention: forgets notifications, and friendships that were owed, once they are done and old.

use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::outbox::Notifications;

/// Notifications deleted by one statement.
const BATCH: u32 = 500;
const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// Deletes what was accepted more than `days` ago and of which nothing is queued, in batches; answers how much.
pub async fn forget_notifications(
    notifications: &dyn Notifications,
    clock: &dyn Clock,
    days: u32,
) -> Result<u64, StoreError> {
    let before = clock.now().plus(-i64::from(days) * DAY_MS);
    let mut total = 0;
    loop {
        let gone = notifications.forget(before, BATCH).await?;
        total += gone;
        if gone < u64::from(BATCH) {
            return Ok(total);
        }
    }
}
