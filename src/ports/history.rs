//! What NetEase itself keeps of conversations: the way back to messages whose copies were lost.

use async_trait::async_trait;

use super::gateway::GatewayError;
use crate::domain::ids::{Accid, Millis, ServerId};
use crate::domain::message::Message;

/// NetEase's history. Every request only reads, is bounded in time, and keeps to a share of NetEase's quota.
#[async_trait]
pub trait History: Send + Sync {
    /// The persons with whom `of` has exchanged a message at `since` or later; each once.
    async fn peers(&self, of: &Accid, since: Millis) -> Result<Vec<Accid>, GatewayError>;

    /// A page of what the two have written to each other, in both directions, oldest first.
    ///
    /// What NetEase does not persist, and what was recalled, is not in it.
    async fn page(&self, of: &Accid, peer: &Accid, from: &PageStart) -> Result<Page, GatewayError>;

    /// Whether it is worth asking for the last read time.
    fn tells_last_read(&self) -> bool {
        false
    }

    /// Up to when `reader` has read what `peer` wrote, where NetEase can tell.
    async fn last_read(&self, _reader: &Accid, _peer: &Accid) -> Result<Option<Millis>, GatewayError> {
        Ok(None)
    }
}

/// Where a page of a conversation begins, and where the conversation is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageStart {
    /// No earlier than this.
    pub from: Millis,
    /// No later than this.
    pub to: Millis,
    /// Not this one, which ended the page before.
    pub after: Option<ServerId>,
    /// What NetEase calls the place, where it has a name for it; what is above holds all the same.
    pub token: Option<String>,
}

/// A page of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Messages, oldest first. One that cannot be understood is left out.
    pub messages: Vec<Message>,
    /// How many were left out.
    pub unreadable: usize,
    /// Where the next page begins, if there may be one.
    pub next: Option<PageStart>,
}
