//! The unread view: a projection of the message log that may be lost at any time, and knows when it was.

use std::slice::from_ref;

use async_trait::async_trait;

use super::StoreError;
use super::clock::{Clock, Ids};
use super::message_log::MessageLog;
use super::store_error::only;
use crate::domain::ids::{Accid, Millis, ServerId};
use crate::domain::unread::{Change, Load, Merged, Reading, Snapshot};

/// The store's name in errors.
const STORE: &str = "unread";

/// Per (reader, peer): how many messages are unread. Redis in production, memory when embedded.
///
/// Every change is made to the log first. A view that lost anything — all of it, one key, its newest writes on a
/// failover that empties it — must answer [`Reading::Unknown`] for the readers concerned, never a smaller number.
#[async_trait]
pub trait UnreadView: Send + Sync {
    /// The counts of `peers` (at most 500), in one round trip.
    async fn read(&self, reader: &Accid, peers: &[Accid]) -> Result<Reading, StoreError>;

    /// Takes events in, each atomically and with an outcome of its own, in their order. Repeatable, in any order;
    /// `now` dates tombstones.
    async fn apply_all(&self, changes: &[Change], now: Millis) -> Vec<Result<(), StoreError>>;

    /// [`UnreadView::apply_all`] of one.
    async fn apply(&self, change: &Change, now: Millis) -> Result<(), StoreError> {
        only(STORE, self.apply_all(from_ref(change), now).await)
    }

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
    async fn explain(&self, reader: &Accid, peer: &Accid) -> Result<Held, StoreError>;

    /// Whether the view answers at all.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// What the view holds of one pair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// The messages it counts, oldest first.
    pub unread: Vec<(ServerId, Millis)>,
    /// Everything up to here is read.
    pub mark: Option<Millis>,
}

/// Loads a reader from the log into the view, or compares a known one with the log: the one right order of the three
/// steps. What is acknowledged meanwhile is not lost, whoever does it.
pub async fn reload(
    log: &dyn MessageLog,
    view: &dyn UnreadView,
    clock: &dyn Clock,
    ids: &dyn Ids,
    reader: &Accid,
) -> Result<Merged, StoreError> {
    let load = view.begin_load(reader, &ids.fresh()).await?;
    let snapshot = log.snapshot(reader).await?;
    view.merge(reader, &load, &snapshot, clock.now()).await
}
