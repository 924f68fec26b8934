//! Retention: forgets messages that were read long ago.

use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::log_upkeep::LogUpkeep;

/// Messages deleted by one statement.
const BATCH: u32 = 1_000;
const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// Deletes every read message older than `days`, in batches; answers how many. What is unread stays, however old.
pub async fn forget_read(log: &dyn LogUpkeep, clock: &dyn Clock, days: u32) -> Result<u64, StoreError> {
    let before = clock.now().plus(-i64::from(days) * DAY_MS);
    let mut total = 0;
    loop {
        let gone = log.forget_read(before, BATCH).await?;
        total += gone;
        if gone < u64::from(BATCH) {
            return Ok(total);
        }
    }
}
