//! Dead letters, beside the messages.

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};

use super::MongoLog;
use super::document::{millis, unexpected};
use super::operation::{bounded, is_duplicate, store_error};
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
        let letters = self.dead_letters.clone();
        match bounded(async move { letters.insert_one(document).await }).await {
            Err(error) if !is_duplicate(&error) => Err(store_error(error)),
            _ => Ok(()),
        }
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let letters = self.dead_letters.clone();
        bounded(async move { letters.count_documents(doc! {}).await }).await.map_err(store_error)
    }

    async fn find(&self, id: &str) -> Result<Option<DeadLetter>, StoreError> {
        let (letters, key) = (self.dead_letters.clone(), doc! { "_id": id });
        let found = bounded(async move { letters.find_one(key).await }).await.map_err(store_error)?;
        found.map(|document| letter(&document)).transpose()
    }

    async fn list(&self, after: Option<&str>, limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
        let rest = doc! { "_id": { "$gt": after.unwrap_or("") } };
        let letters = self.dead_letters.clone();
        let find = async move {
            letters
                .find(rest)
                .sort(doc! { "_id": 1 })
                .limit(limit.into())
                .await?
                .try_collect::<Vec<_>>()
                .await
        };
        let found = bounded(find).await.map_err(store_error)?;
        found.iter().map(letter).collect()
    }

    async fn remove(&self, id: &str) -> Result<(), StoreError> {
        let (letters, key) = (self.dead_letters.clone(), doc! { "_id": id });
        bounded(async move { letters.delete_one(key).await }).await.map(|_| ()).map_err(store_error)
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
