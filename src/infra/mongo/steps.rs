//! The order of the log's writes, apart from the writes themselves.
//!
//! [`record`] and [`mark_read`] decide what comes before what; a [`Steps`] does each step. MongoDB is one, a simulated
//! disk in the tests is another, so what the tests explore is this order and no copy of it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use async_trait::async_trait;

use crate::domain::ids::{Accid, Millis};
use crate::domain::message::{Message, MessageKey, Receipt};
use crate::ports::StoreError;
use crate::ports::message_log::{CopyNo, Recorded};

/// A reader and the peer whose messages are read.
pub type Pair = (Accid, Accid);

/// Writes of many documents at once without a transaction. Each step is durable when it has answered, and repeatable.
#[async_trait]
pub trait Steps: Sync {
    /// Inserts each message, or fills in the tombstone that came before it, or finds the copy that was there first.
    /// One outcome for each, in their order.
    async fn insert_or_find<'a>(&self, messages: &'a [Message]) -> Vec<Result<Entry<'a>, StoreError>>;

    /// The read marks of these pairs; a pair without one is left out.
    async fn marks(
        &self,
        pairs: HashSet<Pair>,
    ) -> Result<HashMap<Pair, Result<Millis, StoreError>>, StoreError>;

    /// Sets `state` 1 on these messages, if they count.
    async fn set_read(&self, keys: Vec<MessageKey>) -> Result<(), StoreError>;

    /// Raises the mark of each pair, never lowers it. One outcome for each receipt, in their order.
    async fn raise_marks(&self, receipts: &[Receipt]) -> Vec<Result<(), StoreError>>;

    /// Sets `state` 1 on all that each receipt covers. One outcome for each, in their order.
    async fn set_read_up_to(&self, receipts: &[&Receipt]) -> Vec<Result<(), StoreError>>;
}

/// What the log holds under the key of a message that was recorded.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Whether this copy was the first.
    pub copy: CopyNo,
    /// The copy that stays.
    pub kept: Cow<'a, Message>,
    /// Whether its sender took it back.
    pub recalled: bool,
    /// Whether its `state` is 1.
    pub read: bool,
}

impl<'a> Entry<'a> {
    /// A message that was not there before; `recalled` if a tombstone was.
    pub fn first(message: &'a Message, recalled: bool) -> Self {
        Self { copy: CopyNo::First, kept: Cow::Borrowed(message), recalled, read: false }
    }

    /// A message whose key was taken by an earlier copy.
    pub fn further(message: &Message, kept: Message, recalled: bool, read: bool) -> Self {
        let copy = if kept == *message { CopyNo::Repeated } else { CopyNo::Conflicting };
        Self { copy, kept: Cow::Owned(kept), recalled, read }
    }

    /// The pair whose mark matters: none, if no unread count waits for this message.
    fn pair(&self) -> Option<Pair> {
        let counts = self.kept.counts() && !self.recalled;
        counts.then(|| (self.kept.to.clone(), self.kept.from.clone()))
    }
}

/// An entry, and the mark of its pair.
struct Marked<'a> {
    entry: Entry<'a>,
    mark: Option<Millis>,
}

impl Marked<'_> {
    /// The message came after its receipt, and is not read yet.
    fn is_late(&self) -> bool {
        !self.entry.read && self.mark.is_some_and(|mark| self.entry.kept.timestamp <= mark)
    }
}

/// Records messages: all of them durable first, only then a look at the marks. [`mark_read`] writes marks before it looks
/// for messages, so of a message and its receipt one always sees the other.
pub async fn record(log: &impl Steps, messages: &[Message]) -> Vec<Result<Recorded, StoreError>> {
    let entries = log.insert_or_find(messages).await;
    let mut marked = with_marks(log, entries).await;
    let late = marked.iter().flatten().filter(|marked| marked.is_late());
    let late: Vec<MessageKey> = late.map(|marked| marked.entry.kept.key).collect();
    if !late.is_empty()
        && let Err(error) = log.set_read(late).await
    {
        for outcome in marked.iter_mut().filter(|marked| marked.as_ref().is_ok_and(Marked::is_late)) {
            *outcome = Err(error.again());
        }
    }
    let recorded = |Marked { entry, mark }| Recorded::of(entry.copy, &entry.kept, entry.recalled, mark);
    marked.into_iter().map(|outcome| outcome.map(recorded)).collect()
}

async fn with_marks<'a>(
    log: &impl Steps,
    entries: Vec<Result<Entry<'a>, StoreError>>,
) -> Vec<Result<Marked<'a>, StoreError>> {
    let pairs: HashSet<Pair> = entries.iter().flatten().filter_map(Entry::pair).collect();
    let marks = if pairs.is_empty() { Ok(HashMap::new()) } else { log.marks(pairs).await };
    let mark_of = |entry: &Entry| match (entry.pair(), &marks) {
        (None, _) => Ok(None),
        (Some(pair), Ok(marks)) => match marks.get(&pair) {
            None => Ok(None),
            Some(Ok(mark)) => Ok(Some(*mark)),
            Some(Err(error)) => Err(error.again()),
        },
        (Some(_), Err(error)) => Err(error.again()),
    };
    let with_mark = |entry| Ok(Marked { mark: mark_of(&entry)?, entry });
    entries.into_iter().map(|outcome| outcome.and_then(with_mark)).collect()
}

/// Takes in receipts: all marks durable first, only then the messages that they cover.
pub async fn mark_read(log: &impl Steps, receipts: &[Receipt]) -> Vec<Result<(), StoreError>> {
    let raised = log.raise_marks(receipts).await;
    let marked: Vec<_> =
        raised.iter().zip(receipts).filter(|(raised, _)| raised.is_ok()).map(|(_, r)| r).collect();
    if marked.is_empty() {
        return raised;
    }
    let mut read = log.set_read_up_to(&marked).await.into_iter();
    raised.into_iter().map(|raised| raised.and_then(|()| read.next().unwrap_or(Ok(())))).collect()
}
