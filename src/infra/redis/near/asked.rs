//! What is asked of a reader: the counts of a page, or the total.

use crate::domain::ids::{Accid, Millis};
use crate::domain::unread::{Reading, Total};
use crate::infra::redis::RedisView;
use crate::infra::redis::whole::ReaderCounts;
use crate::ports::StoreError;
use crate::ports::unread_view::UnreadView;

/// A question that is answered from what is held, or by Redis.
pub(super) trait Asked: Copy + Send + Sync {
    /// The answer, where the reader is known.
    type Counts: Send;

    /// The answer from what is held, if that is enough.
    fn told(self, held: &ReaderCounts) -> Option<Reading<Self::Counts>>;

    /// The answer of Redis about a reader who may be large.
    fn ask(
        self,
        view: &RedisView,
        reader: &Accid,
    ) -> impl Future<Output = Result<Reading<Self::Counts>, StoreError>> + Send;

    /// That answer, to be held.
    fn held(self, counts: &Self::Counts, loaded_at: Millis) -> ReaderCounts;
}

/// The counts of these peers.
#[derive(Clone, Copy)]
pub(super) struct Page<'a>(pub &'a [Accid]);

impl Asked for Page<'_> {
    type Counts = Vec<u64>;

    fn told(self, held: &ReaderCounts) -> Option<Reading> {
        held.read(self.0)
    }

    async fn ask(self, view: &RedisView, reader: &Accid) -> Result<Reading, StoreError> {
        view.read(reader, self.0).await
    }

    fn held(self, counts: &Vec<u64>, loaded_at: Millis) -> ReaderCounts {
        ReaderCounts::page(self.0, counts, loaded_at)
    }
}

/// The total.
#[derive(Clone, Copy)]
pub(super) struct All;

impl Asked for All {
    type Counts = Total;

    fn told(self, held: &ReaderCounts) -> Option<Reading<Total>> {
        held.total()
    }

    async fn ask(self, view: &RedisView, reader: &Accid) -> Result<Reading<Total>, StoreError> {
        view.sum(reader).await
    }

    fn held(self, total: &Total, loaded_at: Millis) -> ReaderCounts {
        ReaderCounts::total_alone(*total, loaded_at)
    }
}
