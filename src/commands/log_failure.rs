//! Says in the log that a store failed.

use std::mem::{Discriminant, discriminant};

use crate::log_gate::LogGates;
use crate::ports::StoreError;

/// For whoever turns the error into an answer that no longer holds its cause. An outage of one store does not hide what
/// happens to another, nor that this one refuses something besides.
pub fn store_failed(error: &StoreError) {
    static FAILED: LogGates<(&str, Discriminant<StoreError>)> = LogGates::new();
    if let Some(count) = FAILED.pass((error.store(), discriminant(error))) {
        tracing::error!(count, %error, source = error.cause(), "a store failed");
    }
}
