//! Dead letters, beside the messages.

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};

use super::MongoLog;
use super::document::{millis, unexpected};
use super::operation::{DUPLICATE_KEY, bounded, long, refusal, store_error};
use super::record::refusals;
use crate::domain::ids::Millis;
use crate::ports::StoreError;
use crate::ports::dead_letters::{DeadLetter, DeadLetters};

#[async_trait]
impl DeadLetters for MongoLog {
    async fn keep_all(&self, letters: &[DeadLetter]) -> Result<(), StoreError> {
        if letters.is_empty() {
            return Ok(());
        }
        let document = |DeadLetter { id, received_at, reason, raw }: &DeadLetter| {
            doc! { "_id": id, "receivedAt": received_at.0, "reason": reason, "raw": raw }
        };
        let (collection, documents) =
            (self.dead_letters.clone(), letters.iter().map(document).collect::<Vec<_>>());
        let insert = async move { collection.insert_many(documents).ordered(false).await };
        let Err(error) = bounded(insert).await else { return Ok(()) };
        let refused = refusals(error).map_err(store_error)?;
        match refused.into_values().find(|(code, _)| *code != DUPLICATE_KEY) {
            Some((code, said)) => Err(refusal(Some(code), said)),
            None => Ok(()),
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

    async fn forget(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        let letters = self.dead_letters.clone();
        let delete = async move {
            let old = doc! { "receivedAt": { "$lt": before.0 } };
            let found = letters.find(old).projection(doc! { "_id": 1 }).limit(limit.into()).await?;
            let found: Vec<Document> = found.try_collect().await?;
            let keys: Vec<_> = found.into_iter().filter_map(|mut document| document.remove("_id")).collect();
            Ok(letters.delete_many(doc! { "_id": { "$in": keys } }).await?.deleted_count)
        };
        long(delete).await.map_err(store_error)
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
