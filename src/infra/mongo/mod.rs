//! The message log on MongoDB.
//!
//! No transaction: each method is a few writes, each of one document or of many one by one, in an order that lets any
//! interleaving, and any crash followed by the same call again, end in the same documents. A mark is written before the
//! messages that it covers are updated, and a message is written before its mark is looked at, so one of the two sides
//! always sees the other: of a batch as of a single one, for a step begins only when the one before has ended for all.
//!
//! `messages` is meant to be sharded by `to`: the same message always has the same `to`, so `_id` stays unique.

mod connect;
mod dead_letters;
mod document;
mod mark;
mod record;
pub mod steps;
mod upkeep;

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind, WriteFailure};
use mongodb::{Collection, Database};

pub use connect::{close, database, is_prepared, prepare};
use document::STORE;
use steps::{Entry, Pair, Steps};

use crate::domain::ids::{Accid, Millis};
use crate::domain::message::{Message, MessageKey, Recall, Receipt};
use crate::domain::unread::Snapshot;
use crate::ports::StoreError;
use crate::ports::message_log::{MessageLog, Recorded};

/// One operation, whatever the network does; the driver itself would wait for ever on a peer that stalls.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(3);
/// Reading one reader whole may take longer: nobody's webhook waits for it.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(30);
/// `DuplicateKey`
const DUPLICATE_KEY: i32 = 11_000;

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
        let found =
            bounded(self.marks.find_one(doc! { "_id": pair(reader, peer) })).await.map_err(unavailable)?;
        found.map(|mark| document::millis(&mark, "mark")).transpose()
    }

    async fn upsert(
        &self,
        collection: &Collection<Document>,
        filter: Document,
        update: Document,
    ) -> mongodb::error::Result<()> {
        let upsert =
            || bounded(collection.update_one(filter.clone(), update.clone()).upsert(true).into_future());
        let outcome = match upsert().await {
            Err(error) if is_duplicate(&error) => upsert().await,
            outcome => outcome,
        };
        outcome.map(|_| ())
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
        let find = collection.find(doc! { "_id": { "$in": keys } });
        let found: Vec<Document> =
            bounded(async move { find.await?.try_collect().await }).await.map_err(unavailable)?;
        let by_key = |document: Document| Some((document.get_str("_id").ok()?.to_owned(), document));
        Ok(found.into_iter().filter_map(by_key).collect())
    }

    /// Unread messages, marks, and what was recalled.
    async fn read_snapshot(&self, reader: &Accid) -> mongodb::error::Result<[Vec<Document>; 3]> {
        let unread = doc! { "to": reader.as_str(), "state": 0, "counted": true };
        let fields = doc! { "_id": 0, "fromAccount": 1, "msgidServer": 1, "msgTimestamp": 1 };
        let unread = self.messages.find(unread).projection(fields).await?.try_collect().await?;
        let marks = self.marks.find(doc! { "reader": reader.as_str() }).await?.try_collect().await?;
        // A tombstone without its message is not asked for: whoever records that message will see it.
        let recalled = doc! { "to": reader.as_str(), "recalled": true, "convType": "PERSON" };
        let fields = doc! { "_id": 0, "fromAccount": 1, "msgidServer": 1 };
        let recalled = self.messages.find(recalled).projection(fields).await?.try_collect().await?;
        Ok([unread, marks, recalled])
    }
}

#[async_trait]
impl Steps for MongoLog {
    async fn insert_or_find<'a>(&self, messages: &'a [Message]) -> Vec<Result<Entry<'a>, StoreError>> {
        self.insert_all(messages).await
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

    async fn raise_marks(&self, receipts: &[Receipt]) -> Vec<Result<(), StoreError>> {
        self.raise_all(receipts).await
    }

    async fn set_read_up_to(&self, receipts: &[&Receipt]) -> Vec<Result<(), StoreError>> {
        self.read_all(receipts).await
    }
}

#[async_trait]
impl MessageLog for MongoLog {
    async fn record_all(&self, messages: &[Message]) -> Vec<Result<Recorded, StoreError>> {
        steps::record(self, messages).await
    }

    async fn mark_all(&self, receipts: &[Receipt]) -> Vec<Result<(), StoreError>> {
        steps::mark_read(self, receipts).await
    }

    async fn recall(&self, recall: &Recall) -> Result<(), StoreError> {
        let tombstone = doc! {
            "$set": { "recalled": true, "counted": false },
            "$setOnInsert": { "fromAccount": recall.from.as_str() },
        };
        let key = recall.key.to_string();
        // An upsert has to name the shard key. A message that went to somebody else is recalled all the same.
        let outcome =
            self.upsert(&self.messages, doc! { "_id": &key, "to": recall.to.as_str() }, tombstone.clone());
        match outcome.await {
            Err(error) if is_duplicate(&error) => {
                bounded(self.messages.update_one(doc! { "_id": key }, tombstone))
                    .await
                    .map(|_| ())
                    .map_err(unavailable)
            }
            outcome => outcome.map_err(unavailable),
        }
    }

    async fn snapshot(&self, reader: &Accid) -> Result<Snapshot, StoreError> {
        let read = tokio::time::timeout(SNAPSHOT_TIMEOUT, self.read_snapshot(reader)).await;
        let [unread, marks, recalled] =
            read.map_err(|late| StoreError::unavailable(STORE, late))?.map_err(unavailable)?;
        let message = |d: &Document| {
            Ok((
                document::accid(d, "fromAccount")?,
                document::server_id(d)?,
                document::millis(d, "msgTimestamp")?,
            ))
        };
        let mark = |d: &Document| Ok((document::accid(d, "peer")?, document::millis(d, "mark")?));
        let taken_back = |d: &Document| Ok((document::accid(d, "fromAccount")?, document::server_id(d)?));
        Ok(Snapshot {
            unread: unread.iter().map(message).collect::<Result<_, StoreError>>()?,
            marks: marks.iter().map(mark).collect::<Result<_, StoreError>>()?,
            recalled: recalled.iter().map(taken_back).collect::<Result<_, StoreError>>()?,
        })
    }

    async fn ping(&self) -> Result<(), StoreError> {
        bounded(self.database.run_command(doc! { "ping": 1 })).await.map(|_| ()).map_err(unavailable)
    }
}

/// The key of a pair's mark; an accid has no slash.
fn pair(reader: &Accid, peer: &Accid) -> String {
    format!("{reader}/{peer}")
}

async fn bounded<T>(
    operation: impl IntoFuture<Output = mongodb::error::Result<T>>,
) -> mongodb::error::Result<T> {
    tokio::time::timeout(OPERATION_TIMEOUT, operation.into_future())
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Whether an insert was the first under its key.
fn inserted<T>(outcome: mongodb::error::Result<T>) -> Result<bool, StoreError> {
    match outcome {
        Ok(_) => Ok(true),
        Err(error) if is_duplicate(&error) => Ok(false),
        Err(error) => Err(unavailable(error)),
    }
}

fn is_duplicate(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(refusal)) => refusal.code == DUPLICATE_KEY,
        ErrorKind::Command(refusal) => refusal.code == DUPLICATE_KEY,
        _ => false,
    }
}

fn unavailable(error: Error) -> StoreError {
    StoreError::unavailable(STORE, error)
}
