//! Which readers' counts may have changed, for those who watch them.

use async_trait::async_trait;

use crate::domain::ids::Accid;

/// Tells watchers of a reader that its counts may have changed.
///
/// A notification means "look again", no more: changes that come close together may be told as one.
pub trait UnreadChanges: Send + Sync {
    /// Whether every change is told, whoever makes it. If not, a watcher has to look by itself.
    fn are_live(&self) -> bool;

    /// Watches a reader until the answer is dropped.
    fn watch(&self, reader: &Accid) -> Box<dyn ReaderWatch>;
}

/// Watches one reader.
#[async_trait]
pub trait ReaderWatch: Send {
    /// Resolves once the reader may have changed since the last call. Cancel-safe.
    async fn changed(&mut self);
}
