//! The order of the log's writes, apart from the writes themselves.
//!
//! [`record`] decides what comes before what; a [`Steps`] does each step. MongoDB is one, a simulated disk in the tests is
//! another, so what the tests explore is this order and no copy of it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use futures_util::future::join;

use super::document::STORE;
use crate::domain::ids::{Accid, Millis};
use crate::domain::message::{Edit, Fact, Message, MessageKey, Recall, Receipt};
use crate::ports::StoreError;
use crate::ports::message_log::{InsertOutcome, Recorded, Since};

/// A reader and the peer whose messages are read.
pub type Pair = (Accid, Accid);

/// Writes of many documents at once without a transaction. Each step is durable when it has answered, and repeatable.
#[async_trait]
pub trait Steps: Sync {
    /// Inserts each message, or fills in the tombstone that came before it, or finds the copy that was there first, which
    /// it completes if that [is all that is missing](Message::is_completed_by).
    /// One outcome for each, in their order.
    async fn insert_or_find<'a>(&self, messages: &[&'a Message]) -> Vec<Result<StoredCopy<'a>, StoreError>>;

    /// Takes the messages back, those that are there and those that are still to come. One outcome for each recall, in
    /// their order.
    async fn lay_tombstones(&self, recalls: &[&Recall]) -> Vec<Result<(), StoreError>>;

    /// Changes what the messages say, those that are there and those that are still to come. One outcome for each edit,
    /// in their order.
    async fn edit(&self, edits: &[&Edit]) -> Vec<Result<(), StoreError>>;

    /// The read marks of these pairs; a pair without one is left out.
    async fn marks(
        &self,
        pairs: HashSet<Pair>,
    ) -> Result<HashMap<Pair, Result<Millis, StoreError>>, StoreError>;

    /// Sets `state` 1 on these messages, if they count.
    async fn set_read(&self, keys: Vec<MessageKey>) -> Result<(), StoreError>;

    /// Raises the mark of each pair, never lowers it. One outcome for each receipt, in their order.
    async fn raise_marks(&self, receipts: &[&Receipt]) -> Vec<Result<(), StoreError>>;

    /// Sets `state` 1 on all that each receipt covers. One outcome for each, in their order.
    async fn set_read_up_to(&self, receipts: &[&Receipt]) -> Vec<Result<(), StoreError>>;
}

/// What the log holds under the key of a message that was recorded.
#[derive(Debug)]
pub struct StoredCopy<'a> {
    /// Whether this copy was the first.
    pub copy: InsertOutcome,
    /// The copy that stays.
    pub kept: Cow<'a, Message>,
    /// Whether its sender took it back.
    pub recalled: bool,
    /// Whether its `state` is 1.
    pub read: bool,
}

impl<'a> StoredCopy<'a> {
    /// A message that was not there before; `recalled` if a tombstone was.
    pub fn first(message: &'a Message, recalled: bool) -> Self {
        Self { copy: InsertOutcome::First, kept: Cow::Borrowed(message), recalled, read: false }
    }

    /// A message whose key was taken by an earlier copy.
    pub fn further(message: &Message, kept: Message, since: Since, read: bool) -> Self {
        let copy = InsertOutcome::of_further(message, &kept, since);
        let recalled = since.taken_back;
        Self { copy, kept: Cow::Owned(kept), recalled, read }
    }

    /// A message that was known from NetEase's history, and whose copy has come now.
    pub fn completed(copy: &'a Message, known: &Message, recalled: bool, read: bool) -> Self {
        let kept = match copy.ignored == known.ignored {
            true => Cow::Borrowed(copy),
            // Decided when it became known.
            false => Cow::Owned(Message { ignored: known.ignored, ..copy.clone() }),
        };
        Self { copy: InsertOutcome::Completed, kept, recalled, read }
    }

    /// The pair whose mark matters: none, if no unread count waits for this message.
    fn pair(&self) -> Option<Pair> {
        let counts = self.kept.counts() && !self.recalled;
        counts.then(|| (self.kept.to.clone(), self.kept.from.clone()))
    }
}

/// A stored copy, and the mark of its pair.
struct Marked<'a> {
    stored: StoredCopy<'a>,
    mark: Option<Millis>,
}

impl Marked<'_> {
    /// The message came after its receipt, and is not read yet.
    fn is_late(&self) -> bool {
        !self.stored.read && self.mark.is_some_and(|mark| self.stored.kept.timestamp <= mark)
    }
}

/// Records facts: all of them durable first, and only then the look at what they mean for each other. So of a message
/// and its receipt, in one batch or in two, one always sees the other.
pub async fn record(log: &impl Steps, facts: Vec<Fact>) -> Vec<Result<Recorded, StoreError>> {
    let ByKind { messages, receipts, recalls, edits } = ByKind::of(&facts);
    let (raised, (copies, laid, edited)) = join(log.raise_marks(&receipts), async {
        // A tombstone that is laid first would stand in the way of its message until a majority has it.
        let copies = log.insert_or_find(&messages).await;
        (copies, log.lay_tombstones(&recalls).await, log.edit(&edits).await)
    })
    .await;
    let (stored, read) = join(stored(log, copies), read(log, &receipts, raised)).await;
    let (mut stored, mut read, mut laid) = (stored.into_iter(), read.into_iter(), laid.into_iter());
    let mut edited = edited.into_iter();
    let outcome = |fact| match fact {
        Fact::Message(_) => stored.next(),
        Fact::Receipt(receipt) => read.next().map(|done| done.map(|()| Recorded::receipt(receipt))),
        Fact::Edit(_) => edited.next().map(|done| done.map(|()| Recorded::edit())),
        Fact::Recall(recall) => laid.next().map(|done| done.map(|()| Recorded::recall(recall))),
    };
    facts.into_iter().map(outcome).map(|known| known.unwrap_or_else(no_outcome)).collect()
}

/// Facts of each kind, in their order.
#[derive(Default)]
struct ByKind<'a> {
    messages: Vec<&'a Message>,
    receipts: Vec<&'a Receipt>,
    recalls: Vec<&'a Recall>,
    edits: Vec<&'a Edit>,
}

impl<'a> ByKind<'a> {
    fn of(facts: &'a [Fact]) -> Self {
        let mut by_kind = Self::default();
        for fact in facts {
            match fact {
                Fact::Message(message) => by_kind.messages.push(message),
                Fact::Receipt(receipt) => by_kind.receipts.push(receipt),
                Fact::Edit(edit) => by_kind.edits.push(edit),
                Fact::Recall(recall) => by_kind.recalls.push(recall),
            }
        }
        by_kind
    }
}

fn no_outcome<T>() -> Result<T, StoreError> {
    Err(StoreError::unavailable(STORE, "no outcome"))
}

/// Brings the `state` of messages in line with the marks.
async fn stored(
    log: &impl Steps,
    copies: Vec<Result<StoredCopy<'_>, StoreError>>,
) -> Vec<Result<Recorded, StoreError>> {
    let mut marked = with_marks(log, copies).await;
    let late = marked.iter().flatten().filter(|marked| marked.is_late());
    let late: Vec<MessageKey> = late.map(|marked| marked.stored.kept.key).collect();
    if !late.is_empty()
        && let Err(error) = log.set_read(late).await
    {
        for outcome in marked.iter_mut().filter(|marked| marked.as_ref().is_ok_and(Marked::is_late)) {
            *outcome = Err(error.again());
        }
    }
    let recorded =
        |Marked { stored, mark }| Recorded::message(stored.copy, &stored.kept, stored.recalled, mark);
    marked.into_iter().map(|outcome| outcome.map(recorded)).collect()
}

async fn with_marks<'a>(
    log: &impl Steps,
    copies: Vec<Result<StoredCopy<'a>, StoreError>>,
) -> Vec<Result<Marked<'a>, StoreError>> {
    let pairs: HashSet<Pair> = copies.iter().flatten().filter_map(StoredCopy::pair).collect();
    let marks = if pairs.is_empty() { Ok(HashMap::new()) } else { log.marks(pairs).await };
    let mark_of = |stored: &StoredCopy| match (stored.pair(), &marks) {
        (None, _) => Ok(None),
        (Some(pair), Ok(marks)) => match marks.get(&pair) {
            None => Ok(None),
            Some(Ok(mark)) => Ok(Some(*mark)),
            Some(Err(error)) => Err(error.again()),
        },
        (Some(_), Err(error)) => Err(error.again()),
    };
    let with_mark = |stored| Ok(Marked { mark: mark_of(&stored)?, stored });
    copies.into_iter().map(|outcome| outcome.and_then(with_mark)).collect()
}

/// Sets `state` 1 on the messages that the raised marks cover.
async fn read(
    log: &impl Steps,
    receipts: &[&Receipt],
    raised: Vec<Result<(), StoreError>>,
) -> Vec<Result<(), StoreError>> {
    let marked = raised.iter().zip(receipts).filter(|(raised, _)| raised.is_ok());
    let marked: Vec<&Receipt> = marked.map(|(_, receipt)| *receipt).collect();
    if marked.is_empty() {
        return raised;
    }
    let mut read = log.set_read_up_to(&marked).await.into_iter();
    raised.into_iter().map(|raised| raised.and_then(|()| read.next().unwrap_or_else(no_outcome))).collect()
}
