//! How a store fails.

use std::error::Error as StdError;
use std::iter::successors;

/// What a driver says may quote whole commands.
const LONGEST_CAUSE: usize = 1_000;

/// Why a store did not do what was asked. Nothing was acknowledged; repeating is safe wherever the port says so.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Out of reach, too slow, or refusing for now. The change may or may not have been made.
    #[error("{store} is out of reach")]
    Unavailable {
        /// Which store: `accounts`, `messages`, `outbox` or `unread`.
        store: &'static str,
        /// What the driver said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Reached, and refused as wrong: no right to do it, no such table, a value that does not fit. The change was not
    /// made, and repeating will not help until somebody has acted.
    #[error("{store} refused what was asked of it")]
    Refused {
        /// Which store.
        store: &'static str,
        /// What the server said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// It answered with something that this service never wrote: repeating will not help.
    #[error("{store} holds or said something unexpected: {what}")]
    Corrupt {
        /// Which store.
        store: &'static str,
        /// What was found.
        what: String,
    },
}

impl StoreError {
    /// [`StoreError::Unavailable`] for this store, from what its driver said.
    pub fn unavailable(store: &'static str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable { store, source: source.into() }
    }

    /// [`StoreError::Refused`] for this store, from what its server said.
    pub fn refused(store: &'static str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Refused { store, source: source.into() }
    }

    /// The store in question.
    pub fn store(&self) -> &'static str {
        match self {
            Self::Unavailable { store, .. } | Self::Refused { store, .. } | Self::Corrupt { store, .. } => {
                store
            }
        }
    }

    /// What the driver said, with its own causes, in at most `LONGEST_CAUSE` characters; for log lines, as `source`.
    pub fn cause(&self) -> Option<String> {
        let mut said = String::new();
        let causes = successors(StdError::source(self), |&cause| cause.source()).map(ToString::to_string);
        // Many a driver quotes the cause in its own words.
        for cause in causes {
            match said.contains(&cause) {
                true => {}
                false if said.is_empty() => said = cause,
                false => said = format!("{said}: {cause}"),
            }
        }
        (!said.is_empty()).then(|| said.chars().take(LONGEST_CAUSE).collect())
    }

    /// The same failure, for one more of those whom it concerns.
    #[must_use]
    pub fn again(&self) -> Self {
        match self {
            Self::Unavailable { store, source } => Self::unavailable(store, source.to_string()),
            Self::Refused { store, source } => Self::refused(store, source.to_string()),
            Self::Corrupt { store, what } => Self::Corrupt { store, what: what.clone() },
        }
    }

    /// This failure for each of `items` items.
    pub fn of_all<T>(&self, items: usize) -> Vec<Result<T, Self>> {
        (0..items).map(|_| Err(self.again())).collect()
    }
}
