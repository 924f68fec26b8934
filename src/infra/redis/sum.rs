//! Sums the counts of a reader who has too many of them to be read whole.
//!
//! The sum is made anew each time, in Redis, by one script over the one key that holds all counts and their marker. So
//! it is exact whatever was lost before: with the key goes the marker, and a reader without marker is not known. A
//! total kept beside the counts would have to be added to, by every writer of every version, and nothing would show
//! that one of them had missed a step.
//!
//! The price is time of Redis in proportion to the peers who have unread messages: measured on two busy cores, 3 ms for
//! 10,000 of them and 50 ms for 100,000. Therefore an instance has one sum made at a time, however many ask, and with a
//! near cache none for a reader who has not changed; streams wait nine times as long as their look took
//! (`http/shared_looks.rs`).

use super::whole::Whole;
use super::{RedisView, counts_key, failure};
use crate::domain::ids::{Accid, Millis};
use crate::domain::unread::{Reading, Total};
use crate::ports::StoreError;

impl RedisView {
    /// The total of a reader: of what is read whole, or else the sum.
    pub(super) async fn total_of(&self, reader: &Accid) -> Result<Reading<Total>, StoreError> {
        match self.read_whole(reader).await? {
            Whole::Unknown => Ok(Reading::Unknown),
            Whole::All(counts) => Ok(counts.total().unwrap_or(Reading::Unknown)),
            Whole::TooLarge => self.sum(reader).await,
        }
    }

    /// The total of a reader, however large.
    pub(super) async fn sum(&self, reader: &Accid) -> Result<Reading<Total>, StoreError> {
        // Closed by nobody.
        let _turn = self.sums.acquire().await;
        let mut call = self.sum.prepare_invoke();
        call.key(counts_key(reader.as_str()));
        let sum: Option<(i64, u64, u64)> =
            call.invoke_async(&mut self.connection()).await.map_err(failure)?;
        let Some((loaded_at, messages, users)) = sum else { return Ok(Reading::Unknown) };
        Ok(Reading::Known { counts: Total { messages, users }, loaded_at: Millis(loaded_at) })
    }
}
