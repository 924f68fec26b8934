//! Time and randomness come in here, so that a test can decide them.

use crate::domain::ids::Millis;

/// The present.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970; may jump, as wall clocks do.
    fn now(&self) -> Millis;
}

/// Fresh identities.
pub trait Ids: Send + Sync {
    /// An unguessable identity: 36 characters, a hyphenated UUID of version 4.
    fn fresh(&self) -> String;
}
