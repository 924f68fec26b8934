//! The message log on MongoDB.
//!
//! No transaction: each method is a few single-document writes in an order that lets any interleaving, and any crash
//! followed by the same call again, end in the same documents. A mark is written before the messages that it covers
//! are updated, and a message is written before its mark is looked at, so one of the two sides always sees the other.
//!
//! `messages` is meant to be sharded by `to`: the same message always has the same `to`, so `_id` stays unique.

mod connect;
mod dead_letters;
mod document;
mod upkeep;

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind, WriteFailure};
use mongodb::{Collection, Database};

pub use connect::{database, is_prepared, prepare};
use document::{STORE, Stored, from_document, to_document, unexpected};

use crate::domain::ids::{Accid, Millis};
use crate::domain::message::{Message, Recall, Receipt};
use crate::domain::unread::Snapshot;
use crate::ports::StoreError;
use crate::ports::message_log::{CopyNo, MessageLog, Recorded};

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

    /// Inserts the message, or fills in the tombstone that came before it, or finds what was there first.
    async fn insert_or_find(&self, message: &Message) -> Result<(CopyNo, Stored), StoreError> {
        let new = |recalled| (CopyNo::First, Stored { message: Some(message.clone()), recalled });
        let document = to_document(message);
        if inserted(bounded(self.messages.insert_one(&document)).await)? {
            return Ok(new(false));
        }
        let key = message.key.to_string();
        let mut fields = document;
        fields.remove("_id");
        fields.insert("counted", false);
        let tombstone = doc! { "_id": &key, "msgType": null };
        let filled = bounded(self.messages.update_one(tombstone, doc! { "$set": fields })).await;
        if filled.map_err(unavailable)?.matched_count == 1 {
            return Ok(new(true));
        }
        let found = bounded(self.messages.find_one(doc! { "_id": &key })).await.map_err(unavailable)?;
        let kept = from_document(&found.ok_or_else(|| unexpected("a message vanished"))?)?;
        let same = kept.message.as_ref() == Some(message);
        Ok((if same { CopyNo::Repeated } else { CopyNo::Conflicting }, kept))
    }

    async fn mark_of(&self, reader: &Accid, peer: &Accid) -> Result<Option<Millis>, StoreError> {
        let found =
            bounded(self.marks.find_one(doc! { "_id": pair(reader, peer) })).await.map_err(unavailable)?;
        found.map(|mark| document::millis(&mark, "mark")).transpose()
    }

    /// Raises the mark. Two first receipts of a pair may both try to insert it; the one that loses updates it.
    async fn raise_mark(&self, receipt: &Receipt) -> Result<(), StoreError> {
        let Receipt { reader, peer, up_to } = receipt;
        let raise = doc! {
            "$max": { "mark": up_to.0 },
            "$setOnInsert": { "reader": reader.as_str(), "peer": peer.as_str() },
        };
        self.upsert(&self.marks, doc! { "_id": pair(reader, peer) }, raise).await.map_err(unavailable)
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

    /// Sets `state` 1 on what the reader has read; also on a message that came after its receipt.
    async fn mark_messages(&self, receipt: &Receipt) -> Result<(), StoreError> {
        let read = doc! {
            "to": receipt.reader.as_str(),
            "fromAccount": receipt.peer.as_str(),
            "msgTimestamp": { "$lte": receipt.up_to.0 },
            "state": 0,
            "counted": true,
        };
        let updated = bounded(self.messages.update_many(read, doc! { "$set": { "state": 1 } })).await;
        updated.map(|_| ()).map_err(unavailable)
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
impl MessageLog for MongoLog {
    async fn record(&self, message: &Message) -> Result<Recorded, StoreError> {
        let (copy, stored) = self.insert_or_find(message).await?;
        let kept = stored.message.as_ref().unwrap_or(message);
        let mark = if kept.counts() { self.mark_of(&kept.to, &kept.from).await? } else { None };
        if let Some(up_to) = mark.filter(|mark| kept.timestamp <= *mark) {
            let receipt = Receipt { reader: kept.to.clone(), peer: kept.from.clone(), up_to };
            self.mark_messages(&receipt).await?;
        }
        Ok(Recorded::of(copy, kept, stored.recalled, mark))
    }

    async fn mark_read(&self, receipt: &Receipt) -> Result<(), StoreError> {
        self.raise_mark(receipt).await?;
        self.mark_messages(receipt).await
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
