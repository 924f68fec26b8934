//! Upkeep of the message log: its readers, one pair, retention.

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::{Document, doc};

use super::MongoLog;
use super::document::{accid, from_document, millis, server_id};
use super::operation::{bounded, long, store_error};
use crate::domain::ids::{Accid, Millis};
use crate::domain::message::MessageKey;
use crate::ports::StoreError;
use crate::ports::log_upkeep::{LogUpkeep, PairTruth, StoredMessage};

impl MongoLog {
    /// What the index on unread messages and the one on marks serve: one step each, however many documents there are.
    async fn first_after(
        &self,
        collection: &Collection<Document>,
        field: &str,
        filter: Document,
    ) -> Result<Option<Accid>, StoreError> {
        let (collection, order, fields) =
            (collection.clone(), doc! { field: 1 }, doc! { "_id": 0, field: 1 });
        let find = async move { collection.find_one(filter).sort(order).projection(fields).await };
        let found = bounded(find).await.map_err(store_error)?;
        found.map(|document| accid(&document, field)).transpose()
    }

    async fn unread_of(
        &self,
        reader: &Accid,
        peer: &Accid,
        above: i64,
    ) -> mongodb::error::Result<Vec<Document>> {
        let unread = doc! {
            "to": reader.as_str(),
            "fromAccount": peer.as_str(),
            "msgTimestamp": { "$gt": above },
            "state": 0,
            "counted": true,
        };
        let fields = doc! { "_id": 0, "msgidServer": 1, "msgTimestamp": 1 };
        let messages = self.messages.clone();
        long(async move {
            let found = messages.find(unread).projection(fields).sort(doc! { "msgTimestamp": 1 }).await?;
            found.try_collect().await
        })
        .await
    }
}

#[async_trait]
impl LogUpkeep for MongoLog {
    async fn next_reader(&self, after: Option<&Accid>) -> Result<Option<Accid>, StoreError> {
        let after = after.map_or("", Accid::as_str);
        let unread = doc! { "to": { "$gt": after }, "state": 0, "counted": true };
        let unread = self.first_after(&self.messages, "to", unread).await?;
        let marked = self.first_after(&self.marks, "reader", doc! { "reader": { "$gt": after } }).await?;
        Ok(unread.into_iter().chain(marked).min())
    }

    async fn count_readers(&self, after: Option<&Accid>) -> Result<u64, StoreError> {
        let after = after.map_or("", Accid::as_str);
        let pipeline = [
            doc! { "$match": { "to": { "$gt": after }, "state": 0, "counted": true } },
            doc! { "$group": { "_id": "$to" } },
            doc! { "$unionWith": { "coll": "read_marks", "pipeline": [
                { "$match": { "reader": { "$gt": after } } },
                { "$group": { "_id": "$reader" } },
            ] } },
            doc! { "$group": { "_id": "$_id" } },
            doc! { "$count": "readers" },
        ];
        let messages = self.messages.clone();
        let count = async move { messages.aggregate(pipeline).allow_disk_use(true).await?.try_next().await };
        let counted = long(count).await.map_err(store_error)?;
        Ok(counted.and_then(|found| found.get_i32("readers").ok()).unwrap_or(0).unsigned_abs().into())
    }

    async fn pair(&self, reader: &Accid, peer: &Accid) -> Result<PairTruth, StoreError> {
        let mark = self.mark_of(reader, peer).await?;
        let above = mark.map_or(-1, |mark| mark.0);
        let found = self.unread_of(reader, peer, above).await.map_err(store_error)?;
        let message = |d: &Document| Ok((server_id(d)?, millis(d, "msgTimestamp")?));
        Ok(PairTruth { unread: found.iter().map(message).collect::<Result<_, StoreError>>()?, mark })
    }

    async fn message(&self, key: MessageKey) -> Result<Option<StoredMessage>, StoreError> {
        let key = key.to_string();
        let found = self.found(&self.messages, [key.clone()]).await?;
        found.get(&key).map(from_document).transpose()
    }

    async fn forget_read(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        let messages = self.messages.clone();
        let delete = async move {
            let read = doc! { "state": 1, "msgTimestamp": { "$lt": before.0 } };
            let found = messages.find(read).projection(doc! { "_id": 1 }).limit(limit.into()).await?;
            let found: Vec<Document> = found.try_collect().await?;
            let keys: Vec<_> = found.into_iter().filter_map(|mut document| document.remove("_id")).collect();
            let done = messages.delete_many(doc! { "_id": { "$in": keys }, "state": 1 }).await?;
            Ok(done.deleted_count)
        };
        long(delete).await.map_err(store_error)
    }
}
