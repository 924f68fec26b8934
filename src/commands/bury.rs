//! Keeps what NetEase signed and nobody understood.

use sha2::{Digest, Sha256};

use crate::domain::copy::Unintelligible;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::dead_letters::{DeadLetter, DeadLetters};

/// Keeps the text whole, once however often it comes.
pub async fn bury(
    letters: &dyn DeadLetters,
    clock: &dyn Clock,
    what: Unintelligible,
) -> Result<(), StoreError> {
    let letter = DeadLetter {
        id: hex::encode(Sha256::digest(&what.raw)),
        received_at: clock.now(),
        reason: what.reason,
        raw: what.raw,
    };
    tracing::warn!(letter = %letter.id, reason = %letter.reason, "kept a copy that cannot be understood");
    letters.keep(&letter).await
}
