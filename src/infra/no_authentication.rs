//! `auth.mode = "none"`: everybody who gets here is trusted. For loopback, and behind a gateway that checks callers.

use async_trait::async_trait;

use crate::ports::authenticator::{AuthError, Authenticator, Caller};

/// Asks nobody for anything.
#[derive(Debug, Clone, Copy)]
pub struct NoAuthentication;

#[async_trait]
impl Authenticator for NoAuthentication {
    async fn authenticate(&self, _: Option<&str>) -> Result<Caller, AuthError> {
        Ok(Caller::Trusted)
    }
}
