//! The unread view: a projection of the message log that may be lost at any time, and knows when it was.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::ids::{Accid, Millis, ServerId};
use crate::domain::unread::{Change, Load, Merged, Reading, Snapshot, Total};

/// Peers that one read may ask for.
pub const MAX_PEERS: usize = 500;

/// Per (reader, peer): how many messages are unread. Redis in production, memory when embedded.
///
/// Every change is made to the log first. A view that lost anything — all of it, one key, its newest writes on a
/// failover that empties it — must answer [`Reading::Unknown`] for the readers concerned, never a smaller number.
#[async_trait]
pub trait UnreadView: Send + Sync {
    /// The counts of `peers`, at most [`MAX_PEERS`], in one round trip; in two of a large reader whom a near cache does not have.
    async fn read(&self, reader: &Accid, peers: &[Accid]) -> Result<Reading, StoreError>;

    /// The sum of all counts and how many are not zero, of one moment; in one round trip, or in two of a large reader.
    async fn total(&self, reader: &Accid) -> Result<Reading<Total>, StoreError>;

    /// Takes one event in, atomically. Repeatable, in any order; `now` dates tombstones.
    async fn apply(&self, change: &Change, now: Millis) -> Result<(), StoreError>;

    /// Begins to load a reader: lays `fresh_token` unless another load's token lies there already, then tells what
    /// the view holds. Read the log only after this has answered.
    async fn begin_load(&self, reader: &Accid, fresh_token: &str) -> Result<Load, StoreError>;

    /// Merges what the log held, in both directions, and vouches for the reader from `now` on.
    /// Repeatable: a second time it answers [`Merged::Superseded`].
    async fn merge(
        &self,
        reader: &Accid,
        load: &Load,
        snapshot: &Snapshot,
        now: Millis,
    ) -> Result<Merged, StoreError>;

    /// What the view itself holds of one pair, for explaining a number: messages with their times, and the mark.
    async fn explain(&self, reader: &Accid, peer: &Accid) -> Result<ViewedPair, StoreError>;

    /// Loads from before this are to be rechecked: the view's store was replaced then, and may lack what they had.
    fn trusted_since(&self) -> Millis {
        Millis(0)
    }

    /// Whether the view answers, and does what it is here for.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// What the view holds of one pair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ViewedPair {
    /// The messages it counts, oldest first.
    pub unread: Vec<(ServerId, Millis)>,
    /// Everything up to here is read.
    pub mark: Option<Millis>,
}
