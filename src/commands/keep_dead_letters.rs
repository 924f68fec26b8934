//! Keeps what NetEase signed and nobody understood.

use sha2::{Digest, Sha256};

use crate::domain::copy::Unintelligible;
use crate::log_gate::LogGate;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::dead_letters::{DeadLetter, DeadLetters};

/// Keeps each text of one copy whole, once however often it comes, in one write.
pub async fn keep_dead_letters(
    letters: &dyn DeadLetters,
    clock: &dyn Clock,
    what: Vec<Unintelligible>,
) -> Result<(), StoreError> {
    static KEPT: LogGate = LogGate::new();
    let received_at = clock.now();
    let letter = |what: Unintelligible| DeadLetter {
        id: hex::encode(Sha256::digest(&what.raw)),
        received_at,
        reason: what.reason,
        raw: what.raw,
    };
    let kept: Vec<DeadLetter> = what.into_iter().map(letter).collect();
    let Some(first) = kept.first() else { return Ok(()) };
    letters.keep_all(&kept).await?;
    if let Some(count) = KEPT.pass() {
        let (letter, reason) = (&first.id, &first.reason);
        tracing::warn!(count, letters = kept.len(), %letter, %reason, "kept a copy that cannot be understood");
    }
    Ok(())
}
