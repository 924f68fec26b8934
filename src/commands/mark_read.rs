//! Marks a chat as read because the site says so: it has shown it on a page of its own.

use std::sync::Arc;

use super::clamp_receipt::clamp_receipt;
use super::record_facts::record_fact;
use crate::domain::ids::{Millis, UserId};
use crate::domain::message::{Fact, MessageRef, Receipt};
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::message_log::{MessageLog, Reach};
use crate::ports::outbox::Outbox;
use crate::ports::unread_view::UnreadView;

/// Where read marks go.
pub struct ReadMarker {
    /// The truth.
    pub log: Arc<dyn MessageLog>,
    /// The projection.
    pub view: Arc<dyn UnreadView>,
    /// Where it is owed to NetEase to be told of them; `None` if it is not told.
    pub told: Option<Arc<dyn Outbox>>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// How far a mark may lie ahead of now or of the newest message that it could mean, in milliseconds.
    pub allowance_ms: i64,
}

/// Somebody has read what somebody else has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadMark {
    /// Who has read.
    pub reader: UserId,
    /// Whose messages.
    pub peer: UserId,
    /// The newest `msgTimestamp` that is read. `None`: all that the log holds.
    pub up_to: Option<Millis>,
}

impl ReadMarker {
    /// Makes the mark durable, then tells the view, as of a receipt. Safe to repeat, and to be repeated after an error:
    /// the view is told again of what the log has already.
    ///
    /// What NetEase is to be told is owed *before* the mark is made: after it the log no longer knows what was unread.
    pub async fn mark(&self, mark: ReadMark) -> Result<(), StoreError> {
        let (reader, peer) = (mark.reader.accid(), mark.peer.accid());
        if reader == peer {
            return Ok(());
        }
        let (up_to, newest) = match mark.up_to {
            None => {
                let reach = self.log.reach(reader, peer, Millis::END).await?;
                // Nothing was ever written, so there is nothing to read.
                let Some(up_to) = reach.end() else { return Ok(()) };
                (up_to, reach.unread)
            }
            Some(up_to) => {
                let receipt = Receipt { reader: reader.clone(), peer: peer.clone(), up_to };
                let latest = self.clock.now().plus(self.allowance_ms);
                let (clamped, _) = clamp_receipt(&*self.log, receipt, latest, self.allowance_ms).await?;
                (clamped.up_to, self.newest_up_to(&mark, clamped.up_to).await?)
            }
        };
        if let (Some(outbox), Some(newest)) = (&self.told, newest) {
            outbox.owe_read(&mark.reader, &mark.peer, &newest, self.clock.now()).await?;
        }
        let receipt = Receipt { reader: reader.clone(), peer: peer.clone(), up_to };
        record_fact(&*self.log, &*self.view, &*self.clock, Fact::Receipt(receipt)).await?;
        Ok(())
    }

    /// The newest message that this mark will make read, if NetEase is to be told of it.
    async fn newest_up_to(&self, mark: &ReadMark, up_to: Millis) -> Result<Option<MessageRef>, StoreError> {
        if self.told.is_none() {
            return Ok(None);
        }
        let Reach { unread, .. } = self.log.reach(mark.reader.accid(), mark.peer.accid(), up_to).await?;
        Ok(unread)
    }
}
