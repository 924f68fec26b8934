//! Recording messages: one insert for many, and a closer look at those that were there already.

use std::collections::{HashMap, HashSet};

use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};

use super::document::{DETAILS, HISTORY, STORE, from_document, millis, to_document};
use super::edit::{EDITABLE, under_edits};
use super::operation::{DUPLICATE_KEY, bounded, refusal, store_error};
use super::steps::{Pair, StoredCopy};
use super::{MongoLog, pair};
use crate::domain::ids::Millis;
use crate::domain::message::{Message, MessageKey};
use crate::ports::StoreError;
use crate::ports::log_upkeep::StoredMessage;
use crate::ports::message_log::Since;

impl MongoLog {
    /// Inserts the messages, or fills in the tombstones that came before them, or finds what was there first.
    pub(super) async fn insert_all<'a>(
        &self,
        messages: &[&'a Message],
    ) -> Vec<Result<StoredCopy<'a>, StoreError>> {
        if messages.is_empty() {
            return Vec::new();
        }
        let (log, documents) =
            (self.messages.clone(), messages.iter().map(|message| to_document(message)).collect::<Vec<_>>());
        let insert = async move { log.insert_many(documents).ordered(false).await };
        let refused = match bounded(insert).await.map_or_else(refusals, |_| Ok(HashMap::new())) {
            Ok(refused) => refused,
            Err(error) => return store_error(error).of_all(messages.len()),
        };
        let there = |index: &usize| refused.get(index).is_some_and(|(code, _)| *code == DUPLICATE_KEY);
        let keys: HashSet<_> =
            (0..messages.len()).filter(there).map(|n| messages[n].key.to_string()).collect();
        let mut found = self.found(&self.messages, keys).await;
        let mut outcomes = Vec::with_capacity(messages.len());
        for (index, &message) in messages.iter().enumerate() {
            outcomes.push(match (refused.get(&index), &found) {
                (None, _) => Ok(StoredCopy::first(message, false)),
                (Some((DUPLICATE_KEY, _)), Ok(there)) => {
                    let taken = self.take_up(message, there).await;
                    // Out of reach for one, out of reach for the rest: they are not to wait for it one after another.
                    if let Err(error @ (StoreError::Unavailable { .. } | StoreError::Refused { .. })) = &taken
                    {
                        found = Err(error.again());
                    }
                    taken
                }
                (Some((DUPLICATE_KEY, _)), Err(error)) => Err(error.again()),
                (Some((code, said)), _) => Err(refusal(Some(*code), said.as_str())),
            });
        }
        outcomes
    }

    /// What there is to say of a message whose key was `found` taken.
    async fn take_up<'a>(
        &self,
        message: &'a Message,
        found: &HashMap<String, Document>,
    ) -> Result<StoredCopy<'a>, StoreError> {
        let key = message.key.to_string();
        let mut stored = seen(found.get(&key))?;
        if stored.message.is_none() {
            if let Some(recalled) = self.fill_tombstone(message, &key).await? {
                return Ok(StoredCopy::first(message, recalled));
            }
            // Somebody else has, since it was found; it may have been an earlier copy of this very batch.
            stored = seen(self.found(&self.messages, [key.clone()]).await?.get(&key))?;
        }
        let kept = stored.message.ok_or_else(unseen)?;
        if kept.is_completed_by(message) {
            self.complete(message, &key).await?;
            return Ok(StoredCopy::completed(message, &kept, stored.recalled, stored.read));
        }
        let since = Since { taken_back: stored.recalled, edited: stored.edited };
        Ok(StoredCopy::further(message, kept, since, stored.read))
    }

    /// Fills in the tombstone, or what an edit has left; answers whether it is recalled, or `None` if somebody else did.
    async fn fill_tombstone(&self, message: &Message, key: &str) -> Result<Option<bool>, StoreError> {
        let mut fields = to_document(message);
        fields.remove("_id");
        let stage = doc! { "$set": under_edits(fields, message.counts()) };
        let (messages, tombstone) = (self.messages.clone(), doc! { "_id": key, "msgType": null });
        let fill = async move {
            messages.find_one_and_update(tombstone, vec![stage]).projection(doc! { "recalled": 1 }).await
        };
        let before = bounded(fill).await.map_err(store_error)?;
        Ok(before.map(|tombstone| tombstone.get_bool("recalled").unwrap_or(false)))
    }

    /// Stores what NetEase's history did not tell. To do it twice is the same as once.
    async fn complete(&self, copy: &Message, key: &str) -> Result<(), StoreError> {
        let mut fields = to_document(copy);
        for kept in ["_id", "state", "counted", "ignored"] {
            fields.remove(kept);
        }
        if copy.withheld {
            fields.insert("counted", false);
        }
        // History may have told in another field what the copy says in its own.
        let told = DETAILS.into_iter().filter(|detail| !fields.contains_key(detail)).chain(["learntFrom"]);
        let told: Document = told.map(|detail| (detail.to_owned(), "".into())).collect();
        // What an edit says stays: an edited message is not matched by the first, and loses nothing by the second.
        let (mut rest, mut told_of_rest) = (fields.clone(), told.clone());
        for name in EDITABLE {
            rest.remove(name);
            told_of_rest.remove(name);
        }
        let messages = self.messages.clone();
        let unedited = doc! { "_id": key, "learntFrom": HISTORY, "editedAt": null };
        let learnt = doc! { "_id": key, "learntFrom": HISTORY };
        let complete = async move {
            let update = doc! { "$set": fields, "$unset": told };
            if messages.update_one(unedited, update).await?.matched_count == 0 {
                messages.update_one(learnt, doc! { "$set": rest, "$unset": told_of_rest }).await?;
            }
            Ok(())
        };
        bounded(complete).await.map_err(store_error)
    }

    pub(super) async fn marks_of(
        &self,
        pairs: HashSet<Pair>,
    ) -> Result<HashMap<Pair, Result<Millis, StoreError>>, StoreError> {
        let keys = pairs.iter().map(|(reader, peer)| pair(reader, peer));
        let found = self.found(&self.marks, keys).await?;
        let mark = |of: Pair| {
            let mark = millis(found.get(&pair(&of.0, &of.1))?, "mark");
            Some((of, mark))
        };
        Ok(pairs.into_iter().filter_map(mark).collect())
    }

    pub(super) async fn set_state(&self, keys: Vec<MessageKey>) -> Result<(), StoreError> {
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        // By key alone: with `to`, the index on unread messages would be one to choose, and read them all.
        let late = doc! { "_id": { "$in": keys }, "state": 0, "counted": true };
        let messages = self.messages.clone();
        let read = async move { messages.update_many(late, doc! { "$set": { "state": 1 } }).await };
        bounded(read).await.map(drop).map_err(store_error)
    }
}

/// The code and the text of each refusal by its place in the batch; or why nothing can be said of any item of it. That
/// is also so where no majority has confirmed the writes: they may be rolled back, and so may what they came upon.
pub(super) fn refusals(error: Error) -> Result<HashMap<usize, (i32, String)>, Error> {
    match &*error.kind {
        ErrorKind::InsertMany(failed) if failed.write_concern_error.is_none() => {
            let refused = failed.write_errors.iter().flatten();
            Ok(refused.map(|refusal| (refusal.index, (refusal.code, refusal.message.clone()))).collect())
        }
        _ => Err(error),
    }
}

fn seen(found: Option<&Document>) -> Result<StoredMessage, StoreError> {
    from_document(found.ok_or_else(unseen)?)
}

/// What took the key is gone again, or no majority has it yet. The next copy will tell.
fn unseen() -> StoreError {
    StoreError::unavailable(STORE, "what was there first cannot be seen")
}
