//! What the log is told of deliveries. `id` is the notification's; a friendship has none.

use crate::domain::outbox::{Settled, State};
use crate::log_gate::{LogGate, LogGates};
use crate::ports::StoreError;
use crate::ports::outbox::EntryId;

/// The loop could not look, or claim.
pub fn trying_again(error: &StoreError) {
    static AWAY: LogGate = LogGate::new();
    if let Some(count) = AWAY.pass() {
        tracing::warn!(count, %error, source = error.cause(), "the outbox is out of reach; trying again");
    }
}

/// A call was not made, because the outbox could not be told of it.
pub fn nothing_sent(id: Option<&str>, error: &StoreError) {
    static AWAY: LogGate = LogGate::new();
    if let Some(count) = AWAY.pass() {
        tracing::warn!(count, id, %error, source = error.cause(), "the outbox is out of reach; nothing was sent");
    }
}

/// What was done will be taken for unknown, or done again.
pub fn not_written_down(id: Option<&str>, error: &StoreError) {
    static LOST: LogGate = LogGate::new();
    if let Some(count) = LOST.pass() {
        let source = error.cause();
        tracing::error!(count, id, %error, source, "what came of deliveries could not be written down");
    }
}

/// Nothing of what succeeded. What waits hides nothing of what was given up.
pub fn settled(id: Option<&str>, EntryId(entry): EntryId, settled: &Settled) {
    static NOT_SENT: LogGates<State> = LogGates::new();
    let Settled { state, attempts, last_error: Some(why), .. } = settled else { return };
    if let Some(count) = NOT_SENT.pass(*state) {
        tracing::warn!(count, id, entry, %state, attempts, %why, "a delivery did not succeed");
    }
}
