//! The message log: the truth about messages, receipts and recalls.

use std::collections::HashSet;
use std::slice::from_ref;

use async_trait::async_trait;

use super::StoreError;
use super::store_error::only;
use crate::domain::ids::{Accid, Millis, ServerId};
use crate::domain::message::{Message, Recall, Receipt};
use crate::domain::unread::{Change, Snapshot};

/// The store's name in errors.
const STORE: &str = "messages";

/// Unread messages from which on a reader is loaded in turn with others of that size: a snapshot of so many is some
/// megabytes.
pub const BIG: u64 = 50_000;

/// Every message ever copied to us, with its state. MongoDB in production, SQLite when embedded.
///
/// When a method has answered, what it did is durable (majority and journal, or fsync). All of them may be repeated,
/// and commute: whatever the order in which the facts of a message arrive, the log ends the same.
#[async_trait]
pub trait MessageLog: Send + Sync {
    /// Stores each message unless its key is there already, and brings its `state` in line with the reader's mark.
    /// The first copy stays, whatever a later one says; that also goes for a message that is in `messages` twice.
    /// Answers one outcome for each, in their order: a failure of one need not be that of another.
    async fn record_all(&self, messages: &[Message]) -> Vec<Result<Recorded, StoreError>>;

    /// Raises each reader's mark, never lowers it, then sets `state` 1 on every message that it covers. Answers one
    /// outcome for each receipt, in their order.
    async fn mark_all(&self, receipts: &[Receipt]) -> Vec<Result<(), StoreError>>;

    /// [`MessageLog::record_all`] of one.
    async fn record(&self, message: &Message) -> Result<Recorded, StoreError> {
        only(STORE, self.record_all(from_ref(message)).await)
    }

    /// [`MessageLog::mark_all`] of one.
    async fn mark_read(&self, receipt: &Receipt) -> Result<(), StoreError> {
        only(STORE, self.mark_all(from_ref(receipt)).await)
    }

    /// How far the log knows the messages from `peer` to `reader` to go.
    async fn reach(&self, reader: &Accid, peer: &Accid) -> Result<Reach, StoreError>;

    /// Lays a tombstone: the message, here already or still to come, counts no more.
    async fn recall(&self, recall: &Recall) -> Result<(), StoreError>;

    /// All that counts as unread for a reader now, all the reader's marks, and what was recalled in the last
    /// [`TOMBSTONE_MS`](crate::domain::unread::TOMBSTONE_MS) at least.
    async fn snapshot(&self, reader: &Accid) -> Result<Snapshot, StoreError>;

    /// Those of these messages to `reader` from one person of which the log holds nothing, whatever their state.
    async fn unknown(&self, reader: &Accid, ids: &[ServerId]) -> Result<HashSet<ServerId>, StoreError>;

    /// Whether a reader has more than [`BIG`] unread messages, without reading them. A log that holds little never does.
    async fn is_big(&self, _reader: &Accid) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Whether the log answers at all.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// How far a pair goes in the log. Every message of it that counts lies within one of the two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reach {
    /// The time of the newest message that the reader has not read.
    pub unread: Option<Millis>,
    /// Everything up to here is read, as it was when `unread` was known or later.
    pub mark: Option<Millis>,
}

/// What the log holds under a message's key after it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Whether this copy was the first.
    pub copy: CopyNo,
    /// What the unread view has to be told: of the copy that stayed. `None` when it never counts.
    pub change: Option<Change>,
}

/// The first copy of a message, or a further one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyNo {
    /// Stored by this call.
    First,
    /// It was there already, the same.
    Repeated,
    /// It was there already and differs from this one; it stays.
    Conflicting,
}

impl Recorded {
    /// The outcome for a stored message. A recalled one is told as a recall, so that a view that counts it stops.
    pub fn of(copy: CopyNo, kept: &Message, recalled: bool, mark: Option<Millis>) -> Self {
        let change = kept.unread().map(|unread| match recalled {
            true => Change::recalled(unread.reader, unread.peer, kept.key),
            false => Change::arrived(unread, mark),
        });
        Self { copy, change }
    }
}
