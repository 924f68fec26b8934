//! Copies that NetEase signed and nobody understood.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::ids::Millis;

/// A kept text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Hex SHA-256 of `raw`: the same text, sent again, is the same letter.
    pub id: String,
    /// When it first came.
    pub received_at: Millis,
    /// Why it was not understood.
    pub reason: String,
    /// The text, whole.
    pub raw: String,
}

/// Where they are kept: beside the messages.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Keeps the letters, in one write; one that is there already stays as it is. Durable when answered.
    async fn keep_all(&self, letters: &[DeadLetter]) -> Result<(), StoreError>;

    /// How many are kept.
    async fn count(&self) -> Result<u64, StoreError>;

    /// The letter with this id.
    async fn find(&self, id: &str) -> Result<Option<DeadLetter>, StoreError>;

    /// At most `limit` letters in the order of their ids, from the first one after `after`.
    async fn list(&self, after: Option<&str>, limit: u32) -> Result<Vec<DeadLetter>, StoreError>;

    /// Removes a letter that has been dealt with. Repeatable.
    async fn remove(&self, id: &str) -> Result<(), StoreError>;

    /// Removes at most `limit` letters that came before `before`; answers how many.
    async fn forget(&self, before: Millis, limit: u32) -> Result<u64, StoreError>;
}
