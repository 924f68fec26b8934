//! Takes in read receipts: marks and `state` in the log, then the view.

use std::collections::BTreeMap;

use super::tell_view::tell_view;
use crate::domain::ids::Millis;
use crate::domain::message::Receipt;
use crate::domain::unread::Change;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::message_log::MessageLog;
use crate::ports::unread_view::UnreadView;

/// The newest of `receipts` for each pair, none later than `allowance_ms` from `now`; and how many were pulled back
/// for that.
pub fn newest(receipts: Vec<Receipt>, now: Millis, allowance_ms: i64) -> (Vec<Receipt>, usize) {
    let mut clamped = 0;
    let mut newest = BTreeMap::new();
    for receipt in receipts {
        let (receipt, late) = receipt.clamped(now, allowance_ms);
        clamped += usize::from(late);
        let latest = newest.entry((receipt.reader, receipt.peer)).or_insert(receipt.up_to);
        *latest = receipt.up_to.max(*latest);
    }
    let receipts = newest.into_iter().map(|((reader, peer), up_to)| Receipt { reader, peer, up_to });
    (receipts.collect(), clamped)
}

/// Writes to the log, then to the view; answers one outcome for each receipt, in their order. Safe to repeat.
pub async fn mark_read(
    log: &dyn MessageLog,
    view: &dyn UnreadView,
    clock: &dyn Clock,
    receipts: &[Receipt],
) -> Vec<Result<(), StoreError>> {
    let marked = log.mark_all(receipts).await.into_iter().zip(receipts);
    let marked = marked.map(|(marked, receipt)| marked.map(|()| ((), Some(Change::read(receipt.clone())))));
    tell_view(view, clock, marked.collect()).await
}
