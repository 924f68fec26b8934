//! Pulls receipts from the future back.

use crate::domain::ids::Millis;
use crate::domain::message::Receipt;
use crate::ports::StoreError;
use crate::ports::message_log::{MessageLog, Reach};

/// Pulls a receipt that speaks of later than `latest` back, and answers whether that was so.
///
/// It is never pulled back to before the newest message that it could mean, plus `allowance_ms`: whatever our clock says,
/// what is on a phone's screen can be read. Nor to before the mark: a repeated receipt says what it said the first time.
pub async fn clamp_receipt(
    log: &dyn MessageLog,
    receipt: Receipt,
    latest: Millis,
    allowance_ms: i64,
) -> Result<(Receipt, bool), StoreError> {
    if receipt.up_to <= latest {
        return Ok((receipt, false));
    }
    let Reach { unread, mark } = log.reach(&receipt.reader, &receipt.peer, Millis::END).await?;
    let newest = unread.map(|newest| newest.at.plus(allowance_ms));
    let latest = Some(latest).max(newest).max(mark).unwrap_or(latest);
    Ok(receipt.clamped(latest))
}
