//! Queries ask here for a reader to be loaded into the unread view, or rechecked; `commands/projector.rs` does it.

use std::sync::Arc;

use async_trait::async_trait;

use super::StoreError;
use crate::domain::ids::Accid;

/// Loads readers into the view, and compares them with the log.
#[async_trait]
pub trait ViewLoader: Send + Sync {
    /// Loads a reader whom the view does not know, or joins the load under way. It goes on if the caller leaves.
    async fn load(&self, reader: &Accid) -> Result<(), Arc<StoreError>>;

    /// Begins to compare a known reader with the log, in the background, if there is room for it now.
    fn recheck(&self, reader: &Accid);
}
