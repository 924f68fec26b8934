//! Stores message copies and counts them.

use super::tell_view::tell_view;
use crate::domain::message::Message;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::message_log::{CopyNo, MessageLog};
use crate::ports::unread_view::UnreadView;

/// Writes to the log, then to the view; answers one outcome for each message, in their order. The view is told again
/// of a repeated copy: it is the repetition that mends what a crash between the two left undone.
pub async fn record_messages(
    log: &dyn MessageLog,
    view: &dyn UnreadView,
    clock: &dyn Clock,
    messages: &[Message],
) -> Vec<Result<CopyNo, StoreError>> {
    let recorded = log.record_all(messages).await.into_iter();
    let recorded = recorded.map(|recorded| recorded.map(|recorded| (recorded.copy, recorded.change)));
    tell_view(view, clock, recorded.collect()).await
}
