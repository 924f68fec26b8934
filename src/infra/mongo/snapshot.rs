//! Reading all that counts for one reader: row by row out of the server's replies, so that a reader with a million
//! unread messages costs this process the rows alone, and nobody else waits while they are read.

use std::collections::{HashMap, HashSet};

use mongodb::Collection;
use mongodb::bson::{DateTime, Document, RawDocument, doc};
use mongodb::error::{Error, Result as Answer};

use super::document::{self, unexpected};
use super::operation::{bounded, long};
use super::{MongoLog, store_error};
use crate::domain::ids::{Accid, Millis, ServerId};
use crate::domain::message::{ConvType, MessageKey};
use crate::domain::unread::{Snapshot, TOMBSTONE_MS};
use crate::ports::StoreError;
use crate::ports::message_log::BIG;

/// Documents of one reply: about a megabyte.
const BATCH: u32 = 10_000;
/// After so many rows others get their turn on this thread.
const ROWS_AT_ONCE: usize = 1_000;

impl MongoLog {
    /// Unread messages, marks, and what was recalled.
    pub(super) async fn read_snapshot(&self, reader: &Accid) -> Result<Snapshot, StoreError> {
        let (messages, marks, reader) = (self.messages.clone(), self.marks.clone(), reader.clone());
        let read = async move {
            let unread = doc! { "to": reader.as_str(), "state": 0, "counted": true };
            let fields = doc! { "_id": 0, "fromAccount": 1, "msgidServer": 1, "msgTimestamp": 1 };
            let unread = rows(&messages, unread, fields, |row| {
                Ok((accid(row, "fromAccount")?, server_id(row)?, millis(row, "msgTimestamp")?))
            });
            let unread = unread.await?;
            let (of, fields) = (doc! { "reader": reader.as_str() }, doc! { "_id": 0, "peer": 1, "mark": 1 });
            let mark = |row: &RawDocument| Ok((accid(row, "peer")?, millis(row, "mark")?));
            let marks = rows(&marks, of, fields, mark).await?;
            // A tombstone without its message is not asked for: whoever records that message will see it.
            let lately = DateTime::from_millis(DateTime::now().timestamp_millis() - TOMBSTONE_MS);
            let recalled = doc! {
                "to": reader.as_str(),
                "recalled": true,
                "convType": "PERSON",
                "recalledAt": { "$gte": lately },
            };
            let fields = doc! { "_id": 0, "fromAccount": 1, "msgidServer": 1 };
            let taken_back = |row: &RawDocument| Ok((accid(row, "fromAccount")?, server_id(row)?));
            let recalled = rows(&messages, recalled, fields, taken_back).await?;
            Ok(Snapshot { unread, marks, recalled })
        };
        long(read).await.map_err(store_error)
    }

    /// Those of `ids` that no document has.
    pub(super) async fn read_unknown(
        &self,
        reader: &Accid,
        ids: &[ServerId],
    ) -> Result<HashSet<ServerId>, StoreError> {
        let key = |server_id| MessageKey { conv_type: ConvType::Person, server_id }.to_string();
        let mut unknown: HashMap<String, ServerId> = ids.iter().map(|id| (key(*id), *id)).collect();
        for page in ids.chunks(ROWS_AT_ONCE) {
            let keys: Vec<String> = page.iter().map(|id| key(*id)).collect();
            // An edit alone does not make a message known.
            let known = doc! { "$or": [{ "msgType": { "$exists": true } }, { "recalled": true }] };
            let of = doc! { "to": reader.as_str(), "_id": { "$in": keys }, "$and": [known] };
            let messages = self.messages.clone();
            let found = async move {
                rows(&messages, of, doc! { "_id": 1 }, |row| {
                    row.get_str("_id").map(ToOwned::to_owned).map_err(|_| unexpected("no text in _id"))
                })
                .await
            };
            for key in bounded(found).await.map_err(store_error)? {
                unknown.remove(&key);
            }
        }
        Ok(unknown.into_values().collect())
    }

    /// Counts no further than it has to, in the index.
    pub(super) async fn has_many_unread(&self, reader: &Accid) -> Result<bool, StoreError> {
        let messages = self.messages.clone();
        let unread = doc! { "to": reader.as_str(), "state": 0, "counted": true };
        let count = async move { messages.count_documents(unread).limit(BIG + 1).await };
        Ok(bounded(count).await.map_err(store_error)? > BIG)
    }
}

/// What `read` makes of each document that `filter` finds. A row that was never written ends it.
async fn rows<T>(
    collection: &Collection<Document>,
    filter: Document,
    fields: Document,
    read: impl Fn(&RawDocument) -> Result<T, StoreError>,
) -> Answer<Vec<T>> {
    let mut cursor = collection.find(filter).projection(fields).batch_size(BATCH).await?;
    let mut rows = Vec::new();
    while cursor.advance().await? {
        rows.push(read(cursor.current()).map_err(Error::custom)?);
        if rows.len() % ROWS_AT_ONCE == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(rows)
}

fn accid(row: &RawDocument, name: &str) -> Result<Accid, StoreError> {
    document::as_accid(row.get_str(name).ok(), name)
}

fn server_id(row: &RawDocument) -> Result<ServerId, StoreError> {
    document::as_server_id(row.get_str("msgidServer").ok())
}

fn millis(row: &RawDocument, name: &str) -> Result<Millis, StoreError> {
    row.get_i64(name).map(Millis).map_err(|_| unexpected(&format!("no time in {name}")))
}
