//! From an `Authorization` header to a caller, with subject and scopes.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::ids::{LetterCase, Millis};

/// What a caller has proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A verified token.
    Token {
        /// Its `sub`: the user on whose behalf it speaks.
        subject: String,
        /// The words of its `scope`.
        scopes: Vec<String>,
        /// When it stops to hold.
        expires_at: Millis,
    },
    /// `auth.mode = "none"`: whoever gets here is trusted.
    Trusted,
}

impl Caller {
    /// Whether this caller may speak for `user`.
    pub fn is(&self, user: &str, case: LetterCase) -> bool {
        match self {
            Self::Trusted => true,
            Self::Token { subject, .. } => case.is_same(subject, user),
        }
    }

    /// Whose token it is; empty for whoever is trusted.
    pub fn subject(&self) -> &str {
        match self {
            Self::Token { subject, .. } => subject,
            Self::Trusted => "",
        }
    }

    /// When what was proved stops to hold, if ever.
    pub fn expires_at(&self) -> Option<Millis> {
        match self {
            Self::Token { expires_at, .. } => Some(*expires_at),
            Self::Trusted => None,
        }
    }

    /// Whether this caller has `scope`.
    pub fn may(&self, scope: &str) -> bool {
        match self {
            Self::Trusted => true,
            Self::Token { scopes, .. } => scopes.iter().any(|s| s == scope),
        }
    }
}

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No `Authorization: Bearer` header.
    #[error("send a JWT as `Authorization: Bearer …`")]
    Missing,
    /// Not a token of ours; the text says in what respect, never what it holds.
    #[error("the token is not accepted: {0}")]
    Invalid(String),
    /// The key of this token is not held, and may have been published since keys were last fetched: nobody can say.
    #[error("the key that verifies this token is not here yet")]
    KeysUnavailable {
        /// When they can be fetched again.
        again_in: Duration,
    },
}

/// Verifies bearer tokens.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Who sent this `Authorization` header value.
    async fn authenticate(&self, authorization: Option<&str>) -> Result<Caller, AuthError>;
}
