//! Upkeep of the message log: its readers, one pair, retention.

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Collection, IndexModel};

use super::document::{accid, millis, server_id};
use super::{MongoLog, SNAPSHOT_TIMEOUT, STORE, bounded, unavailable};
use crate::domain::ids::{Accid, Millis};
use crate::ports::StoreError;
use crate::ports::log_upkeep::{LogUpkeep, PairTruth};

impl MongoLog {
    /// What the index on unread messages and the one on marks serve: one step each, however many documents there are.
    async fn first_after(
        &self,
        collection: &Collection<Document>,
        field: &str,
        filter: Document,
    ) -> Result<Option<Accid>, StoreError> {
        let find =
            collection.find_one(filter).sort(doc! { field: 1 }).projection(doc! { "_id": 0, field: 1 });
        let found = bounded(find).await.map_err(unavailable)?;
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
        self.messages
            .find(unread)
            .projection(fields)
            .sort(doc! { "msgTimestamp": 1 })
            .await?
            .try_collect()
            .await
    }

    async fn delete_read(&self, before: Millis, limit: u32) -> mongodb::error::Result<u64> {
        // Made when retention is first used: it would cost every receipt of those who do not.
        let index = IndexOptions::builder().partial_filter_expression(doc! { "state": 1 }).build();
        let index = IndexModel::builder().keys(doc! { "msgTimestamp": 1 }).options(index).build();
        self.messages.create_index(index).await?;
        let read = doc! { "state": 1, "msgTimestamp": { "$lt": before.0 } };
        let found = self.messages.find(read).projection(doc! { "_id": 1 }).limit(limit.into()).await?;
        let keys: Vec<_> =
            found.try_collect::<Vec<_>>().await?.into_iter().filter_map(|mut d| d.remove("_id")).collect();
        let done = self.messages.delete_many(doc! { "_id": { "$in": keys }, "state": 1 }).await?;
        Ok(done.deleted_count)
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
        let count = async { self.messages.aggregate(pipeline).allow_disk_use(true).await?.try_next().await };
        let counted = tokio::time::timeout(SNAPSHOT_TIMEOUT, count).await;
        let counted = counted.map_err(|late| StoreError::unavailable(STORE, late))?.map_err(unavailable)?;
        Ok(counted.and_then(|found| found.get_i32("readers").ok()).unwrap_or(0).unsigned_abs().into())
    }

    async fn pair(&self, reader: &Accid, peer: &Accid) -> Result<PairTruth, StoreError> {
        let mark = self.mark_of(reader, peer).await?;
        let above = mark.map_or(-1, |mark| mark.0);
        let read = tokio::time::timeout(SNAPSHOT_TIMEOUT, self.unread_of(reader, peer, above)).await;
        let found = read.map_err(|late| StoreError::unavailable(STORE, late))?.map_err(unavailable)?;
        let message = |d: &Document| Ok((server_id(d)?, millis(d, "msgTimestamp")?));
        Ok(PairTruth { unread: found.iter().map(message).collect::<Result<_, StoreError>>()?, mark })
    }

    async fn forget_read(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        let deleted = tokio::time::timeout(SNAPSHOT_TIMEOUT, self.delete_read(before, limit)).await;
        deleted.map_err(|late| StoreError::unavailable(STORE, late))?.map_err(unavailable)
    }
}
