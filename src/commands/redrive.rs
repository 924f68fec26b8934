//! Takes a dead letter in again, after whatever was wrong has been mended.

use super::receive_copy::{Inbox, Outcome};
use crate::ports::StoreError;

/// What became of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redriven {
    /// It was understood this time, and is no longer kept.
    Done,
    /// It still cannot be understood, and stays.
    StillDead,
    /// There is no letter with that id.
    Unknown,
}

/// Takes the letter in like a copy that just came. Safe to repeat: it is removed only after it was taken in.
pub async fn redrive(inbox: &Inbox, id: &str) -> Result<Redriven, StoreError> {
    let Some(letter) = inbox.ports.letters.find(id).await? else { return Ok(Redriven::Unknown) };
    let received = inbox.receive(letter.raw.as_bytes()).await?;
    match received.outcome {
        Outcome::Buried | Outcome::Callback | Outcome::Read { buried: 1.., .. } => Ok(Redriven::StillDead),
        _ => {
            inbox.ports.letters.remove(id).await?;
            Ok(Redriven::Done)
        }
    }
}
