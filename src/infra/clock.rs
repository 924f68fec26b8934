//! The wall clock and the operating system's randomness.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::ids::Millis;
use crate::ports::clock::{Clock, Ids};

/// The machine's clock and random source.
#[derive(Debug, Clone, Copy)]
pub struct System;

impl Clock for System {
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the clock is read")]
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

impl Ids for System {
    #[expect(clippy::disallowed_methods, reason = "this is the one place where identities are drawn")]
    fn fresh(&self) -> String {
        uuid::Uuid::new_v4().to_string()
    }
}
