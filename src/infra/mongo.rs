//! The message log on MongoDB.
//!
//! There is no transaction. A batch of facts is a few commands, in an order (`steps`) that lets any interleaving, and any
//! crash followed by the same call again, end in the same documents: a mark is written before the messages that it covers
//! are updated, and a message is written before its mark is looked at, so one of the two sides always sees the other.
//!
//! `messages` is meant to be sharded by `to`: the same message always has the same `to`, so `_id` stays unique.

mod connect;
mod dead_letters;
mod document;
mod edit;
mod gaps;
mod indexes;
mod mark;
mod operation;
mod probe;
mod recall;
mod record;
mod snapshot;
pub mod steps;
mod update;
mod upkeep;

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::{Collection, Database};

pub use connect::{close, database};
pub use indexes::{INDEXES, Index, Lack, lacks, prepare};
use operation::{bounded, store_error};
pub use probe::{UnusableMongo, can_write, foreign_unique_indexes, is_replicated};
use steps::{Pair, Steps, StoredCopy};

use crate::domain::ids::{Accid, Millis, ServerId};
use crate::domain::message::{Edit, Fact, Message, MessageKey, Recall, Receipt};
use crate::domain::unread::Snapshot;
use crate::ports::StoreError;
use crate::ports::message_log::{MessageLog, Reach, Recorded};

/// The message log, and the dead letters beside it, in a MongoDB database.
#[derive(Debug)]
pub struct MongoLog {
    database: Database,
    messages: Collection<Document>,
    marks: Collection<Document>,
    dead_letters: Collection<Document>,
}

impl MongoLog {
    /// The log in `database`, whose indexes [`prepare`] has made.
    pub fn new(database: Database) -> Self {
        Self {
            messages: database.collection("messages"),
            marks: database.collection("read_marks"),
            dead_letters: database.collection("dead_letters"),
            database,
        }
    }

    async fn mark_of(&self, reader: &Accid, peer: &Accid) -> Result<Option<Millis>, StoreError> {
        let (marks, key) = (self.marks.clone(), pair(reader, peer));
        let found = bounded(async move { marks.find_one(doc! { "_id": key }).await });
        found.await.map_err(store_error)?.map(|mark| document::millis(&mark, "mark")).transpose()
    }

    /// The documents under these keys, by key.
    async fn found(
        &self,
        collection: &Collection<Document>,
        keys: impl IntoIterator<Item = String>,
    ) -> Result<HashMap<String, Document>, StoreError> {
        let keys: Vec<String> = keys.into_iter().collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let collection = collection.clone();
        let find = async move {
            collection.find(doc! { "_id": { "$in": keys } }).await?.try_collect::<Vec<_>>().await
        };
        let found = bounded(find).await.map_err(store_error)?;
        let by_key = |document: Document| Some((document.get_str("_id").ok()?.to_owned(), document));
        Ok(found.into_iter().filter_map(by_key).collect())
    }
}

#[async_trait]
impl Steps for MongoLog {
    async fn insert_or_find<'a>(&self, messages: &[&'a Message]) -> Vec<Result<StoredCopy<'a>, StoreError>> {
        self.insert_all(messages).await
    }

    async fn lay_tombstones(&self, recalls: &[&Recall]) -> Vec<Result<(), StoreError>> {
        self.recall_all(recalls).await
    }

    async fn edit(&self, edits: &[&Edit]) -> Vec<Result<(), StoreError>> {
        self.edit_all(edits).await
    }

    async fn marks(
        &self,
        pairs: HashSet<Pair>,
    ) -> Result<HashMap<Pair, Result<Millis, StoreError>>, StoreError> {
        self.marks_of(pairs).await
    }

    async fn set_read(&self, keys: Vec<MessageKey>) -> Result<(), StoreError> {
        self.set_state(keys).await
    }

    async fn raise_marks(&self, receipts: &[&Receipt]) -> Vec<Result<(), StoreError>> {
        self.raise_all(receipts).await
    }

    async fn set_read_up_to(&self, receipts: &[&Receipt]) -> Vec<Result<(), StoreError>> {
        self.read_all(receipts).await
    }
}

#[async_trait]
impl MessageLog for MongoLog {
    async fn record(&self, facts: Vec<Fact>) -> Vec<Result<Recorded, StoreError>> {
        steps::record(self, facts).await
    }

    async fn reach(&self, reader: &Accid, peer: &Accid, up_to: Millis) -> Result<Reach, StoreError> {
        let unread = doc! {
            "to": reader.as_str(), "fromAccount": peer.as_str(), "state": 0, "counted": true,
            "msgTimestamp": { "$lte": up_to.0 },
        };
        // The first entry that the index on unread messages has, read backwards.
        let messages = self.messages.clone();
        let newest = async move {
            let newest = messages.find_one(unread).sort(doc! { "msgTimestamp": -1 });
            newest.projection(doc! { "_id": 0, "msgTimestamp": 1, "msgidServer": 1, "msgidClient": 1 }).await
        };
        let newest = bounded(newest).await.map_err(store_error)?;
        let unread = newest.as_ref().map(document::message_ref).transpose()?;
        // The mark last: whatever is read meanwhile has raised it before.
        Ok(Reach { unread, mark: self.mark_of(reader, peer).await? })
    }

    async fn snapshot(&self, reader: &Accid) -> Result<Snapshot, StoreError> {
        self.read_snapshot(reader).await
    }

    async fn unknown(&self, reader: &Accid, ids: &[ServerId]) -> Result<HashSet<ServerId>, StoreError> {
        self.read_unknown(reader, ids).await
    }

    async fn is_big(&self, reader: &Accid) -> Result<bool, StoreError> {
        self.has_many_unread(reader).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let database = self.database.clone();
        let ping = async move { database.run_command(doc! { "ping": 1 }).await };
        bounded(ping).await.map(|_| ()).map_err(store_error)
    }
}

/// The key of a pair's mark; an accid has no slash.
fn pair(reader: &Accid, peer: &Accid) -> String {
    format!("{reader}/{peer}")
}
