//! Dead letters, beside the messages.

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};

use super::document::{millis, unexpected};
use super::{MongoLog, bounded, inserted, unavailable};
use crate::ports::StoreError;
use crate::ports::dead_letters::{DeadLetter, DeadLetters};

#[async_trait]
impl DeadLetters for MongoLog {
    async fn keep(&self, letter: &DeadLetter) -> Result<(), StoreError> {
        let document = doc! {
            "_id": &letter.id,
            "receivedAt": letter.received_at.0,
            "reason": &letter.reason,
            "raw": &letter.raw,
        };
        inserted(bounded(self.dead_letters.insert_one(document)).await).map(|_| ())
    }

    async fn count(&self) -> Result<u64, StoreError> {
        bounded(self.dead_letters.count_documents(doc! {})).await.map_err(unavailable)
    }

    async fn find(&self, id: &str) -> Result<Option<DeadLetter>, StoreError> {
        let found = bounded(self.dead_letters.find_one(doc! { "_id": id })).await.map_err(unavailable)?;
        found.map(|document| letter(&document)).transpose()
    }

    async fn list(&self, after: Option<&str>, limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
        let rest = doc! { "_id": { "$gt": after.unwrap_or("") } };
        let find = self.dead_letters.find(rest).sort(doc! { "_id": 1 }).limit(limit.into());
        let found: Vec<Document> =
            bounded(async move { find.await?.try_collect().await }).await.map_err(unavailable)?;
        found.iter().map(letter).collect()
    }

    async fn remove(&self, id: &str) -> Result<(), StoreError> {
        bounded(self.dead_letters.delete_one(doc! { "_id": id })).await.map(|_| ()).map_err(unavailable)
    }
}

fn letter(document: &Document) -> Result<DeadLetter, StoreError> {
    let text = |name: &str| {
        document.get_str(name).map(ToOwned::to_owned).map_err(|_| unexpected(&format!("no text in {name}")))
    };
    Ok(DeadLetter {
        id: text("_id")?,
        received_at: millis(document, "receivedAt")?,
        reason: text("reason")?,
        raw: text("raw")?,
    })
}
