//! Recording messages: one insert for many, and a closer look at those that were there already.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};

use super::document::{STORE, Stored, from_document, millis, to_document};
use super::{DUPLICATE_KEY, MongoLog, bounded, pair, unavailable};
use crate::domain::ids::Millis;
use crate::domain::message::Message;
use crate::ports::StoreError;
use crate::ports::message_log::{CopyNo, Recorded};

/// A message of a batch, as it is in the log.
struct Taken<'a> {
    copy: CopyNo,
    kept: Cow<'a, Message>,
    recalled: bool,
    read: bool,
    mark: Option<Millis>,
}

impl<'a> Taken<'a> {
    fn first(message: &'a Message, recalled: bool) -> Self {
        let kept = Cow::Borrowed(message);
        Self { copy: CopyNo::First, kept, recalled, read: false, mark: None }
    }

    /// Whether an unread count waits for it, so that the mark of its pair matters.
    fn counts(&self) -> bool {
        self.kept.counts() && !self.recalled
    }

    fn pair(&self) -> String {
        pair(&self.kept.to, &self.kept.from)
    }

    /// It came after its receipt, and is not read yet.
    fn is_late(&self) -> bool {
        !self.read && self.mark.is_some_and(|mark| self.kept.timestamp <= mark)
    }
}

/// One outcome for each message of a batch, in their order.
type Outcomes<'a> = Vec<Result<Taken<'a>, StoreError>>;

impl MongoLog {
    /// The messages first, all of them durable, and only then the marks.
    pub(super) async fn record_batch(&self, messages: &[Message]) -> Vec<Result<Recorded, StoreError>> {
        let mut outcomes = self.insert_or_find(messages).await;
        self.look_at_marks(&mut outcomes).await;
        self.read_late(&mut outcomes).await;
        let recorded = |taken: Taken| Recorded::of(taken.copy, &taken.kept, taken.recalled, taken.mark);
        outcomes.into_iter().map(|outcome| outcome.map(recorded)).collect()
    }

    /// Inserts the messages, or fills in the tombstones that came before them, or finds what was there first.
    async fn insert_or_find<'a>(&self, messages: &'a [Message]) -> Outcomes<'a> {
        if messages.is_empty() {
            return Vec::new();
        }
        let insert = self.messages.insert_many(messages.iter().map(to_document)).ordered(false);
        let refused = match bounded(insert).await.map_or_else(refusals, |_| Ok(HashMap::new())) {
            Ok(refused) => refused,
            Err(error) => return unavailable(error).of_all(messages.len()),
        };
        let there = |index: &usize| refused.get(index).is_some_and(|(code, _)| *code == DUPLICATE_KEY);
        let keys: HashSet<_> =
            (0..messages.len()).filter(there).map(|n| messages[n].key.to_string()).collect();
        let mut found = self.found(&self.messages, keys).await;
        let mut outcomes = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            outcomes.push(match (refused.get(&index), &found) {
                (None, _) => Ok(Taken::first(message, false)),
                (Some((DUPLICATE_KEY, _)), Ok(there)) => {
                    let taken = self.take_up(message, there).await;
                    // Out of reach for one, out of reach for the rest: they are not to wait for it one after another.
                    if let Err(error @ StoreError::Unavailable { .. }) = &taken {
                        found = Err(error.again());
                    }
                    taken
                }
                (Some((DUPLICATE_KEY, _)), Err(error)) => Err(error.again()),
                (Some((_, refusal)), _) => Err(StoreError::unavailable(STORE, refusal.as_str())),
            });
        }
        outcomes
    }

    /// What there is to say of a message whose key was `found` taken.
    async fn take_up<'a>(
        &self,
        message: &'a Message,
        found: &HashMap<String, Document>,
    ) -> Result<Taken<'a>, StoreError> {
        let key = message.key.to_string();
        let mut stored = seen(found.get(&key))?;
        if stored.message.is_none() {
            if self.fill_tombstone(message, &key).await? {
                return Ok(Taken::first(message, true));
            }
            // Somebody else has, since it was found; it may have been an earlier copy of this very batch.
            stored = seen(self.found(&self.messages, [key.clone()]).await?.get(&key))?;
        }
        let kept = stored.message.ok_or_else(unseen)?;
        let copy = if kept == *message { CopyNo::Repeated } else { CopyNo::Conflicting };
        let Stored { recalled, read, .. } = stored;
        Ok(Taken { copy, kept: Cow::Owned(kept), recalled, read, mark: None })
    }

    /// Whether this call did it.
    async fn fill_tombstone(&self, message: &Message, key: &str) -> Result<bool, StoreError> {
        let mut fields = to_document(message);
        fields.remove("_id");
        fields.insert("counted", false);
        let tombstone = doc! { "_id": key, "msgType": null };
        let filled = bounded(self.messages.update_one(tombstone, doc! { "$set": fields })).await;
        Ok(filled.map_err(unavailable)?.matched_count == 1)
    }

    /// Finds the marks of all pairs that matter.
    async fn look_at_marks(&self, outcomes: &mut Outcomes<'_>) {
        let counting = outcomes.iter().flatten().filter(|taken| taken.counts());
        let pairs: HashSet<String> = counting.map(Taken::pair).collect();
        let found = self.found(&self.marks, pairs).await;
        for outcome in outcomes {
            let Some(taken) = outcome.as_mut().ok().filter(|taken| taken.counts()) else { continue };
            let mark = match &found {
                Ok(marks) => marks.get(&taken.pair()).map(|mark| millis(mark, "mark")).transpose(),
                Err(error) => Err(error.again()),
            };
            match mark {
                Ok(mark) => taken.mark = mark,
                Err(error) => *outcome = Err(error),
            }
        }
    }

    /// Sets `state` 1 on messages that came after their receipts.
    async fn read_late(&self, outcomes: &mut Outcomes<'_>) {
        let late = outcomes.iter().flatten().filter(|taken| taken.is_late());
        let keys: Vec<String> = late.map(|taken| taken.kept.key.to_string()).collect();
        if keys.is_empty() {
            return;
        }
        // By key alone: with `to`, the index on unread messages would be one to choose, and read them all.
        let late = doc! { "_id": { "$in": keys }, "state": 0, "counted": true };
        let read = bounded(self.messages.update_many(late, doc! { "$set": { "state": 1 } })).await;
        if let Err(error) = read.map_err(unavailable) {
            for outcome in outcomes {
                if outcome.as_ref().is_ok_and(Taken::is_late) {
                    *outcome = Err(error.again());
                }
            }
        }
    }
}

/// The code and the text of each refusal by its place in the batch; or why nothing can be said of any item of it. That
/// is also so where no majority has confirmed the writes: they may be rolled back, and so may what they came upon.
fn refusals(error: Error) -> Result<HashMap<usize, (i32, String)>, Error> {
    match &*error.kind {
        ErrorKind::InsertMany(failed) if failed.write_concern_error.is_none() => {
            let refused = failed.write_errors.iter().flatten();
            Ok(refused.map(|refusal| (refusal.index, (refusal.code, refusal.message.clone()))).collect())
        }
        _ => Err(error),
    }
}

fn seen(found: Option<&Document>) -> Result<Stored, StoreError> {
    from_document(found.ok_or_else(unseen)?)
}

/// What took the key is gone again, or no majority has it yet. The next copy will tell.
fn unseen() -> StoreError {
    StoreError::unavailable(STORE, "what was there first cannot be seen")
}
