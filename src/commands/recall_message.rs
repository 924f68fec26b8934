//! Takes a message back: a tombstone in the log, then the view.

use crate::domain::message::{ConvType, Recall};
use crate::domain::unread::Change;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::message_log::MessageLog;
use crate::ports::unread_view::UnreadView;

/// The message, here already or still to come, counts no more. Safe to repeat.
pub async fn recall_message(
    log: &dyn MessageLog,
    view: &dyn UnreadView,
    clock: &dyn Clock,
    recall: &Recall,
) -> Result<(), StoreError> {
    log.recall(recall).await?;
    if recall.key.conv_type == ConvType::Person {
        let change = Change::recalled(recall.to.clone(), recall.from.clone(), recall.key);
        view.apply(&change, clock.now()).await?;
    }
    Ok(())
}
