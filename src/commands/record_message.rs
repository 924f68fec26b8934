//! Stores a message copy and counts it.

use crate::domain::message::Message;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::message_log::{CopyNo, MessageLog};
use crate::ports::unread_view::UnreadView;

/// Writes to the log, then to the view. The view is told again of a repeated copy: it is the repetition that mends what a
/// crash between the two left undone.
pub async fn record_message(
    log: &dyn MessageLog,
    view: &dyn UnreadView,
    clock: &dyn Clock,
    message: &Message,
) -> Result<CopyNo, StoreError> {
    let recorded = log.record(message).await?;
    if let Some(change) = &recorded.change {
        view.apply(change, clock.now()).await?;
    }
    Ok(recorded.copy)
}
