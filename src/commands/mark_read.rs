//! Takes in read receipts: mark and `state` in the log, then the view.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::domain::message::Receipt;
use crate::domain::unread::Change;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::message_log::MessageLog;
use crate::ports::unread_view::UnreadView;

/// Pairs that are written at once.
const AT_ONCE: usize = 16;

/// Applies `receipts`, the newest of each pair, none later than `allowance_ms` from now; answers how many were
/// pulled back for that. On an error some may have been applied; applying them again is safe.
pub async fn mark_read(
    log: &dyn MessageLog,
    view: &dyn UnreadView,
    clock: &dyn Clock,
    receipts: Vec<Receipt>,
    allowance_ms: i64,
) -> Result<usize, StoreError> {
    let now = clock.now();
    let mut clamped = 0;
    let mut newest = BTreeMap::new();
    for receipt in receipts {
        let (receipt, late) = receipt.clamped(now, allowance_ms);
        clamped += usize::from(late);
        let latest = newest.entry((receipt.reader, receipt.peer)).or_insert(receipt.up_to);
        *latest = receipt.up_to.max(*latest);
    }
    let receipts = newest.into_iter().map(|((reader, peer), up_to)| Receipt { reader, peer, up_to });
    stream::iter(receipts.collect::<Vec<_>>())
        .map(|receipt| async move {
            log.mark_read(&receipt).await?;
            view.apply(&Change::read(receipt), now).await
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    Ok(clamped)
}
