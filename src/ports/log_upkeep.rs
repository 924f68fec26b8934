//! What the upkeep of the message log needs: walking its readers, looking at one pair, forgetting what was read.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::ids::{Accid, Millis, ServerId};
use crate::domain::message::{Message, MessageKey};

/// The message log as its keeper sees it.
#[async_trait]
pub trait LogUpkeep: Send + Sync {
    /// The first reader after `after`, in the order of accids, who has unread messages or has ever read any.
    async fn next_reader(&self, after: Option<&Accid>) -> Result<Option<Accid>, StoreError>;

    /// How many such readers there are after `after`.
    async fn count_readers(&self, after: Option<&Accid>) -> Result<u64, StoreError>;

    /// What the log counts of one pair.
    async fn pair(&self, reader: &Accid, peer: &Accid) -> Result<PairTruth, StoreError>;

    /// What the log holds of a message: nothing, if it does not know it.
    async fn message(&self, key: MessageKey) -> Result<Option<StoredMessage>, StoreError>;

    /// Deletes at most `limit` messages that are read and older than `before`; answers how many. No count changes:
    /// only what a mark covers goes, and the mark stays.
    async fn forget_read(&self, before: Millis, limit: u32) -> Result<u64, StoreError>;
}

/// What the log counts of one pair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PairTruth {
    /// The messages that count, oldest first.
    pub unread: Vec<(ServerId, Millis)>,
    /// Everything up to here is read.
    pub mark: Option<Millis>,
}

/// What the log holds under the key of a message; without a message it is a tombstone that came first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// The message, once it has come.
    pub message: Option<Message>,
    /// Whether its sender took it back.
    pub recalled: bool,
    /// Whether it was edited.
    pub edited: bool,
    /// Whether its `state` is 1.
    pub read: bool,
}
