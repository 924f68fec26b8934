//! Takes in a read receipt: mark and `state` in the log, then the view.

use std::collections::BTreeMap;

use crate::domain::ids::Millis;
use crate::domain::message::Receipt;
use crate::domain::unread::Change;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::message_log::{MessageLog, Reach};
use crate::ports::unread_view::UnreadView;

/// A receipt, and the latest time that it may speak of without more ado.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dated {
    /// What was said.
    pub receipt: Receipt,
    /// The allowance is within it.
    pub latest: Millis,
}

/// What came of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marked {
    /// Whether it was pulled back from the future.
    pub clamped: bool,
}

/// The newest of `receipts` for each pair.
pub fn newest(receipts: Vec<Receipt>) -> Vec<Receipt> {
    let mut newest = BTreeMap::new();
    for receipt in receipts {
        let latest = newest.entry((receipt.reader, receipt.peer)).or_insert(receipt.up_to);
        *latest = receipt.up_to.max(*latest);
    }
    newest.into_iter().map(|((reader, peer), up_to)| Receipt { reader, peer, up_to }).collect()
}

/// Writes to the log, then to the view. Safe to repeat.
///
/// A receipt that speaks of later than it may is pulled back, but never to before the newest message that it could mean:
/// whatever our clock says, what is on a phone's screen can be read.
pub async fn mark_read(
    log: &dyn MessageLog,
    view: &dyn UnreadView,
    clock: &dyn Clock,
    allowance_ms: i64,
    dated: Dated,
) -> Result<Marked, StoreError> {
    let (receipt, marked) = settle(log, allowance_ms, dated).await?;
    log.mark_read(&receipt).await?;
    view.apply(&Change::read(receipt), clock.now()).await?;
    Ok(marked)
}

async fn settle(
    log: &dyn MessageLog,
    allowance_ms: i64,
    Dated { receipt, latest }: Dated,
) -> Result<(Receipt, Marked), StoreError> {
    if receipt.up_to <= latest {
        return Ok((receipt, Marked { clamped: false }));
    }
    let Reach { unread, mark } = log.reach(&receipt.reader, &receipt.peer).await?;
    // What is read stays read: a repeated receipt tells the view what it told the log the first time.
    let latest = Some(latest).max(unread.map(|newest| newest.plus(allowance_ms))).max(mark).unwrap_or(latest);
    let (receipt, clamped) = receipt.clamped(latest);
    Ok((receipt, Marked { clamped }))
}
