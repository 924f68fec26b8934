//! The authenticator: from an `Authorization` header to a caller.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jsonwebtoken::decode_header;

use super::claims::invalid;
use super::crypto;
use super::jwks::Jwks;
use super::key::{self, VerifyingKey};
use super::settings::{JwtSettings, JwtSetupError};
use crate::ports::authenticator::{AuthError, Authenticator, Caller};
use crate::ports::clock::Clock;

/// A longer `Authorization` value is refused unread, in bytes.
pub const MAX_AUTHORIZATION_BYTES: usize = 8 * 1024;

/// Verifies tokens with the one source of keys that was configured.
pub struct JwtAuthenticator {
    keys: Keys,
    issuer: Option<String>,
    audience: Option<String>,
    clock: Arc<dyn Clock>,
}

enum Keys {
    Fixed(Box<VerifyingKey>),
    Published(Arc<Jwks>),
}

impl JwtAuthenticator {
    /// Reads the key file, if that is the source; a key set is fetched when the first token comes.
    pub fn new(settings: JwtSettings, clock: Arc<dyn Clock>) -> Result<Self, JwtSetupError> {
        crypto::install();
        let keys = match (&settings.hs256_secret, &settings.public_key_file, &settings.jwks_url) {
            (Some(secret), None, None) => {
                Keys::Fixed(Box::new(VerifyingKey::hs256(secret).ok_or(JwtSetupError::ShortSecret)?))
            }
            (None, Some(path), None) => Keys::Fixed(Box::new(read_key(path)?)),
            (None, None, Some(url)) => Keys::Published(Arc::new(Jwks::new(
                url,
                settings.jwks_cool_down,
                settings.jwks_timeout,
                Arc::clone(&clock),
            )?)),
            (secret, file, url) => {
                let set = [secret.is_some(), file.is_some(), url.is_some()];
                return Err(JwtSetupError::KeySources(set.into_iter().filter(|set| *set).count()));
            }
        };
        Ok(Self { keys, issuer: settings.issuer, audience: settings.audience, clock })
    }
}

#[async_trait]
impl Authenticator for JwtAuthenticator {
    async fn authenticate(&self, authorization: Option<&str>) -> Result<Caller, AuthError> {
        let token = bearer(authorization.ok_or(AuthError::Missing)?)?;
        let claims = match &self.keys {
            Keys::Fixed(key) => key.verify(token),
            Keys::Published(jwks) => {
                let header = decode_header(token).map_err(|error| invalid(key::reason(&error)))?;
                jwks.find(header.kid.as_deref()).await?.verify(token)
            }
        }
        .map_err(invalid)?;
        claims.check_times(self.clock.now()).map_err(invalid)?;
        claims.check_parties(self.issuer.as_deref(), self.audience.as_deref()).map_err(invalid)?;
        claims.into_caller().map_err(invalid)
    }
}

/// The token in an `Authorization` value; the scheme's case does not matter (RFC 9110, 11.1).
fn bearer(authorization: &str) -> Result<&str, AuthError> {
    if authorization.len() > MAX_AUTHORIZATION_BYTES {
        return Err(invalid("it is too long"));
    }
    match authorization.trim().split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim_start()),
        _ => Err(AuthError::Missing),
    }
}

fn read_key(path: &Path) -> Result<VerifyingKey, JwtSetupError> {
    let pem = std::fs::read_to_string(path)
        .map_err(|source| JwtSetupError::KeyFileUnreadable { path: path.to_owned(), source })?;
    VerifyingKey::from_pem(&pem)
        .map_err(|what| JwtSetupError::KeyFileUnusable { path: path.to_owned(), what })
}
