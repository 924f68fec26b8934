//! Takes a dead letter in again, after whatever was wrong has been mended.

use super::receive_copy::{CopyReceiver, Outcome};
use crate::ports::StoreError;

/// What became of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redriven {
    /// It was understood this time, and is no longer kept.
    Done,
    /// It still cannot be understood, not all of it, and stays.
    StillDead,
    /// There is no letter with that id.
    Unknown,
}

/// Takes the letter in like a copy that just came. Safe to repeat: it is removed only after it was taken in, and what of
/// it cannot be understood stays in it.
pub async fn redrive(receiver: &CopyReceiver, id: &str) -> Result<Redriven, StoreError> {
    let Some(letter) = receiver.dead_letters.find(id).await? else { return Ok(Redriven::Unknown) };
    let (received, unintelligible) = receiver.take_in(letter.raw.as_bytes(), letter.received_at).await?;
    if received.outcome == Outcome::Callback || !unintelligible.is_empty() {
        return Ok(Redriven::StillDead);
    }
    receiver.dead_letters.remove(id).await?;
    Ok(Redriven::Done)
}
