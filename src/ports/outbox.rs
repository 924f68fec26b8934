//! Work owed to NetEase: notices, friendships and reads that are accepted and not yet done.

use std::collections::HashMap;

use async_trait::async_trait;

use super::StoreError;
use super::gateway::NoticeContent;
use crate::domain::ids::{Millis, UserId};
use crate::domain::message::MessageRef;
use crate::domain::outbox::{Settled, State};

/// A hold on entries. Nobody else is given them before `until`; a holder that has died just lets it run out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Unguessable, fresh for each claim: at most 36 characters.
    pub token: String,
    /// The end, by the clock of whoever claims: instances' clocks must agree to within a few seconds.
    pub until: Millis,
}

/// One delivery to one user or team: entries are numbered in the order in which they were accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(pub i64);

/// One delivery to one user or team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Its number.
    pub id: EntryId,
    /// The recipient of a notice, a user or the id of a team; the seller of a friendship; or whose messages are read.
    pub to: UserId,
    /// Attempts that NetEase may have seen.
    pub attempts: u32,
    /// When it was accepted.
    pub accepted_at: Millis,
}

/// What belongs together, held by a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The id of the notification that it is of, if it is one.
    pub notification: Option<String>,
    /// The sender of a notice, the buyer of a friendship, or who has read.
    pub from: UserId,
    /// What is to be done.
    pub work: Work,
}

impl Claimed {
    /// The same, a batch in as many as it takes for each to have at most so many recipients, in their order. Each has an
    /// outcome of its own: a later one may fail after an earlier one was sent.
    pub fn in_batches_of(self, most: usize) -> Vec<Self> {
        let Work::Batch(entries, notice) = self.work else { return vec![self] };
        let part = |entries: &[OutboxEntry]| Self {
            notification: self.notification.clone(),
            from: self.from.clone(),
            work: Work::Batch(entries.to_vec(), notice.clone()),
        };
        entries.chunks(most.max(1)).map(part).collect()
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Buyer and seller become friends.
    Friendship(OutboxEntry),
    /// A notice to one recipient.
    Notice(OutboxEntry, OutboxNotice),
    /// The same notice to 1 to [`BATCH`] recipients.
    Batch(Vec<OutboxEntry>, OutboxNotice),
    /// A notice to a team.
    Team(OutboxEntry, OutboxNotice),
    /// NetEase is told that this message and those before it are read.
    Read(OutboxEntry, MessageRef),
}

/// A notice in an envelope without an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxNotice {
    /// What it says.
    pub content: NoticeContent,
    /// Whether it carries its id, so that the client can drop a double.
    pub resendable: bool,
}

impl Work {
    /// The entries that it does, at least one.
    pub fn entries(&self) -> &[OutboxEntry] {
        match self {
            Self::Friendship(entry)
            | Self::Notice(entry, _)
            | Self::Team(entry, _)
            | Self::Read(entry, _) => std::slice::from_ref(entry),
            Self::Batch(entries, _) => entries,
        }
    }

    /// Whether doing it twice does no harm.
    pub fn is_repeatable(&self) -> bool {
        match self {
            Self::Friendship(_) | Self::Read(..) => true,
            Self::Notice(_, notice) | Self::Batch(_, notice) | Self::Team(_, notice) => notice.resendable,
        }
    }
}

/// How a notification goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By a call for each recipient.
    Each,
    /// By batch calls.
    Batch,
    /// To a team, which is the only recipient.
    Team,
}

/// Recipients of one notification: what one call of V9 takes (NIM server API, msg/sendBatchAttachMsg).
pub const BATCH: u32 = 5_000;

/// Entries in the order of their numbers. MySQL in production, SQLite when embedded: the accounts' database.
///
/// An entry can be claimed when it is queued, due, not leased, not begun, and first in its lane. A lane is the
/// notices of a user or team, one friendship, or the reads of one pair. So a recipient gets notices in the order in which they were
/// accepted, and one that waits for its next attempt holds back those behind it.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Owes a friendship, unless it is owed already. Durable.
    async fn owe_friendship(&self, buyer: &UserId, seller: &UserId, at: Millis) -> Result<(), StoreError>;

    /// Owes NetEase to be told that `reader` has read what `peer` wrote, up to and including `newest`. Durable. Of a pair
    /// one read waits at most: the newest. Tried anew from `at` on, it has all its attempts before it.
    async fn owe_read(
        &self,
        reader: &UserId,
        peer: &UserId,
        newest: &MessageRef,
        at: Millis,
    ) -> Result<(), StoreError>;

    /// Claims up to `limit` friendships and single notices, oldest first, and at most one batch; then reads, with what
    /// is left of `limit`, and at most a quarter of it: notices do not wait for reads. Several instances
    /// may claim at once; none waits for another, and no entry goes to two. It may answer less than there is, or
    /// nothing, when another one is ahead.
    async fn claim(&self, lease: &Lease, now: Millis, limit: u32) -> Result<Vec<Claimed>, StoreError>;

    /// Says that a call for these entries is about to be sent, and prolongs their lease to `lease.until`. False, and
    /// nothing said, if one of them is held by this lease no more: then the call must not be sent.
    async fn begin(&self, lease: &Lease, entries: &[EntryId]) -> Result<bool, StoreError>;

    /// Writes down what came of entries and lets go of them. Without effect on one that this lease holds no more.
    async fn settle(&self, lease: &Lease, outcomes: &[(EntryId, Settled)]) -> Result<(), StoreError>;

    /// The same of one read, of which nothing is kept once it is done, given up, or postponed with a newer one waiting.
    async fn settle_read(&self, lease: &Lease, entry: EntryId, outcome: &Settled) -> Result<(), StoreError>;

    /// Takes entries from holders who died after [`Self::begin`]: their outcome is not known, so a resendable one is
    /// queued again and any other becomes [`State::Unknown`], with `why`; either has had one attempt more. Until this
    /// is called they hold up their lanes. Answers how many.
    async fn reclaim_expired(&self, now: Millis, why: &str) -> Result<u64, StoreError>;

    /// How much is owed.
    async fn backlog(&self) -> Result<Backlog, StoreError>;
}

/// How much is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Queued notices and friendships, also those that are held or not due.
    pub queued: u64,
    /// When the oldest of them was accepted.
    pub oldest_at: Option<Millis>,
    /// Queued reads.
    pub reads: u64,
}

/// A notification as it is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNotification {
    /// A fresh identity: 36 characters.
    pub id: String,
    /// By what its caller can repeat it.
    pub key: Option<IdempotencyKey>,
    /// Keys accepted before this moment are forgotten.
    pub keys_since: Millis,
    /// The sender.
    pub from: UserId,
    /// The recipients, 1 to [`BATCH`], each once, in the order of the request; or a team, by its id.
    pub to: Vec<UserId>,
    /// What it says.
    pub notice: OutboxNotice,
    /// By which calls.
    pub way: Way,
    /// When it was accepted.
    pub at: Millis,
}

/// By what a caller can repeat a request without having it done twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Whose key it is: keys of different callers have nothing to do with each other. At most 128 characters.
    pub caller: String,
    /// What the caller chose, 1 to 255 characters of ASCII.
    pub key: String,
    /// SHA-256 of what was asked for, 64 hex digits: the same key must come with the same.
    pub fingerprint: String,
    /// The same as the release before this one computed it, for keys that it has stored.
    pub former_fingerprint: Option<String>,
}

impl IdempotencyKey {
    /// Whether the request that was stored with `fingerprint` is this one.
    pub fn repeats(&self, fingerprint: &str) -> bool {
        self.fingerprint == fingerprint || self.former_fingerprint.as_deref() == Some(fingerprint)
    }
}

/// What became of a notification that was to be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// It is durable. These of its entries are held by the lease that came with it.
    New(Vec<Claimed>),
    /// The same request was accepted before, as this id; nothing was added.
    Repeated(String),
    /// The key was used for another request; nothing was added.
    KeyTaken,
}

/// A notification and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationStatus {
    /// What it goes by.
    pub id: String,
    /// One for each recipient, in the order of the request; at least one.
    pub deliveries: Vec<Delivery>,
}

impl NotificationStatus {
    /// How far it is as a whole.
    pub fn state(&self) -> State {
        State::overall(self.deliveries.iter().map(|delivery| delivery.state))
    }

    /// The same, with what has become of some recipients since.
    pub fn learn(&mut self, outcomes: impl IntoIterator<Item = (UserId, Settled)>) {
        let mut outcomes: HashMap<UserId, Settled> = outcomes.into_iter().collect();
        for delivery in &mut self.deliveries {
            if let Some(Settled { state, attempts, last_error, .. }) = outcomes.remove(&delivery.to) {
                *delivery = Delivery { to: delivery.to.clone(), state, attempts, last_error };
            }
        }
    }
}

/// What became of a notification for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Who.
    pub to: UserId,
    /// How far it is.
    pub state: State,
    /// Attempts that NetEase may have seen.
    pub attempts: u32,
    /// Why it is not done, or not known to be.
    pub last_error: Option<String>,
}

/// The notifications whose entries are in the [`Outbox`].
#[async_trait]
pub trait Notifications: Send + Sync {
    /// Stores a notification with its entries, all or nothing, unless its key was used before. Durable. With a
    /// `lease`, those of its entries that could be claimed are claimed in the same step.
    async fn accept(&self, new: &NewNotification, lease: Option<&Lease>) -> Result<Accepted, StoreError>;

    /// A notification and what became of it.
    async fn status(&self, id: &str) -> Result<Option<NotificationStatus>, StoreError>;

    /// Forgets up to `limit` notifications, and friendships, that were accepted before this moment and of which
    /// nothing is queued. Answers how many.
    async fn forget(&self, before: Millis, limit: u32) -> Result<u64, StoreError>;
}
