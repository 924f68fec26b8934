//! The message log: the truth about messages, receipts and recalls.

use std::collections::HashSet;

use async_trait::async_trait;

use super::StoreError;
use crate::domain::ids::{Accid, Millis, ServerId};
use crate::domain::message::{ConvType, Fact, Message, MessageRef, Recall, Receipt};
use crate::domain::unread::{Change, Snapshot};

/// Unread messages from which on a reader is loaded in turn with others of that size: a snapshot of so many is some
/// megabytes.
pub const BIG: u64 = 50_000;

/// Every message ever copied to us, with its state. MongoDB in production, SQLite when embedded.
///
/// What is recorded is durable when `record` has answered (majority and journal, or fsync). Recording is idempotent, and
/// facts commute: whatever the order in which they arrive, the log ends the same.
#[async_trait]
pub trait MessageLog: Send + Sync {
    /// Records facts. Answers one outcome for each, in their order: the failure of one need not be that of another.
    ///
    /// - A message is stored unless its key is there already, and its `state` brought in line with the reader's mark. The
    ///   first copy stays, whatever a later one says, also of two in the same `facts`. A message that was learnt from
    ///   NetEase's history is completed by its copy, which may also withhold it.
    /// - A receipt raises the reader's mark, never lowers it, and sets `state` 1 on every message that it covers.
    /// - A recall lays a tombstone: the message, here already or still to come, counts no more.
    /// - An edit changes what the message says, here already or still to come, and no count.
    async fn record(&self, facts: Vec<Fact>) -> Vec<Result<Recorded, StoreError>>;

    /// [`MessageLog::record`] of one fact.
    async fn record_one(&self, fact: Fact) -> Result<Recorded, StoreError> {
        let outcome = self.record(vec![fact]).await.pop();
        outcome.unwrap_or_else(|| Err(StoreError::unavailable("messages", "no outcome")))
    }

    /// How far the log knows the messages from `peer` to `reader` to go, of those up to and including `up_to`.
    async fn reach(&self, reader: &Accid, peer: &Accid, up_to: Millis) -> Result<Reach, StoreError>;

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

/// How far a pair goes in the log. Every message of it that was asked for and counts lies within one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// The newest message that the reader has not read.
    pub unread: Option<MessageRef>,
    /// The read mark, wherever it lies; read no earlier than `unread`.
    pub mark: Option<Millis>,
}

impl Reach {
    /// The later of the two.
    pub fn end(&self) -> Option<Millis> {
        self.unread.as_ref().map(|newest| newest.at).max(self.mark)
    }
}

/// What became of a recorded fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Whether this copy of a message was the first. A receipt or a recall always is: copies of those are not told apart.
    pub copy: InsertOutcome,
    /// What the unread view has to be told: of a message, the copy that stayed. `None` when it never counts.
    pub change: Option<Change>,
}

/// The first copy of a message, or a further one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertOutcome {
    /// Stored by this call.
    First,
    /// It was there already, and said the same: see [`Message::is_repeated_by`].
    Repeated,
    /// It was there already, from NetEase's history; what history lacks is stored now.
    Completed,
    /// It was there already and differs from this one; it stays.
    Conflicting,
}

/// What became of a message since its first copy came, or before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Since {
    /// It was taken back.
    pub taken_back: bool,
    /// It was edited.
    pub edited: bool,
}

impl InsertOutcome {
    /// What a further copy of a message is that the log has `kept`. One that was taken back may be withheld by a review
    /// that came after its first copy, and an edited one says something else: neither is a difference.
    pub fn of_further(copy: &Message, kept: &Message, Since { taken_back, edited }: Since) -> Self {
        let reviewed = taken_back && kept.withheld && !copy.withheld;
        let same = if reviewed || edited {
            let mut first = kept.clone();
            first.withheld &= !reviewed;
            if edited {
                first.details.body.clone_from(&copy.details.body);
                first.details.attach.clone_from(&copy.details.attach);
            }
            first.is_repeated_by(copy)
        } else {
            kept.is_repeated_by(copy)
        };
        if same { Self::Repeated } else { Self::Conflicting }
    }
}

impl Recorded {
    /// A receipt whose mark is raised.
    pub fn receipt(receipt: Receipt) -> Self {
        Self { copy: InsertOutcome::First, change: Some(Change::read(receipt)) }
    }

    /// A recall whose tombstone is laid.
    pub fn recall(Recall { key, from, to, taken_back: _ }: Recall) -> Self {
        let counts = key.conv_type == ConvType::Person;
        Self { copy: InsertOutcome::First, change: counts.then(|| Change::recalled(to, from, key)) }
    }

    /// An edit that is stored: no view is told.
    pub fn edit() -> Self {
        Self { copy: InsertOutcome::First, change: None }
    }

    /// A message that is stored, by this call or before. A recalled one is told as a recall, so that a view that counts
    /// it stops; so is one that is withheld and was there before, perhaps counted.
    pub fn message(copy: InsertOutcome, kept: &Message, recalled: bool, mark: Option<Millis>) -> Self {
        let withdrawn = recalled || kept.withheld && copy != InsertOutcome::First;
        let change = match withdrawn {
            true => {
                kept.is_between_two().then(|| Change::recalled(kept.to.clone(), kept.from.clone(), kept.key))
            }
            false => kept.unread().map(|unread| Change::arrived(unread, mark)),
        };
        Self { copy, change }
    }
}
