//! The authenticator: from an `Authorization` header to a caller.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jsonwebtoken::decode_header;
use moka::sync::Cache;
use sha2::{Digest, Sha256};

use super::claims::{Reason, invalid};
use super::crypto;
use super::jwks::Jwks;
use super::key::{self, VerifyingKey};
use super::settings::{JwtSettings, JwtSetupError};
use crate::domain::ids::Millis;
use crate::ports::authenticator::{AuthError, Authenticator, Caller};
use crate::ports::clock::Clock;

/// A longer `Authorization` value is refused unread, in bytes.
pub const MAX_AUTHORIZATION_BYTES: usize = 8 * 1024;

/// Tokens that are remembered at most; the least used are forgotten first. About 20 MB, if they say no more than
/// usual.
const MAX_REMEMBERED: u64 = 50_000;

/// Verifies tokens with the one source of keys that was configured.
///
/// An RSA signature costs more than the poll that it comes with, so a token that was accepted is remembered, by its
/// hash: it is accepted again until it expires, as long as its key is the one in force.
pub struct JwtAuthenticator {
    keys: KeySource,
    accepted: Cache<[u8; 32], VerifiedToken>,
    issuer: Option<String>,
    audience: Option<String>,
    clock: Arc<dyn Clock>,
}

enum KeySource {
    Fixed(Arc<VerifyingKey>),
    Published(Arc<Jwks>),
}

/// Whose token it was, and the key that said so.
#[derive(Clone)]
struct VerifiedToken {
    key: Arc<VerifyingKey>,
    caller: Caller,
}

impl VerifiedToken {
    /// Whether this is what verifying the token anew would say. A key that is fetched anew counts as another one.
    fn holds(&self, key: &Arc<VerifyingKey>, now: Millis) -> bool {
        Arc::ptr_eq(&self.key, key) && self.caller.expires_at().is_none_or(|end| now < end)
    }
}

impl JwtAuthenticator {
    /// Reads the key file, if that is the source; a key set is fetched when the first token comes.
    pub fn new(settings: JwtSettings, clock: Arc<dyn Clock>) -> Result<Self, JwtSetupError> {
        crypto::install();
        let keys = match (&settings.hs256_secret, &settings.public_key_file, &settings.jwks_url) {
            (Some(secret), None, None) => {
                KeySource::Fixed(Arc::new(VerifyingKey::secret(secret).ok_or(JwtSetupError::ShortSecret)?))
            }
            (None, Some(path), None) => KeySource::Fixed(Arc::new(read_key(path)?)),
            (None, None, Some(url)) => {
                KeySource::Published(Arc::new(Jwks::new(url, &settings, Arc::clone(&clock))?))
            }
            (secret, file, url) => {
                let set = [secret.is_some(), file.is_some(), url.is_some()];
                return Err(JwtSetupError::KeySources(set.into_iter().filter(|set| *set).count()));
            }
        };
        let accepted = Cache::new(MAX_REMEMBERED);
        Ok(Self { keys, accepted, issuer: settings.issuer, audience: settings.audience, clock })
    }

    /// Whether keys can be had now: a key set is fetched for that. The error is the predicate of a sentence.
    pub async fn probe(&self) -> Result<(), String> {
        match &self.keys {
            KeySource::Fixed(_) => Ok(()),
            KeySource::Published(jwks) => jwks.probe().await,
        }
    }

    /// The key in force that this token says to be signed with.
    async fn key_of(&self, token: &str) -> Result<Arc<VerifyingKey>, AuthError> {
        match &self.keys {
            KeySource::Fixed(key) => Ok(Arc::clone(key)),
            KeySource::Published(jwks) => {
                let header = decode_header(token).map_err(|error| invalid(key::reason(&error)))?;
                jwks.find(header.kid.as_deref()).await
            }
        }
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> u64 {
        self.accepted.run_pending_tasks();
        self.accepted.entry_count()
    }

    fn verify(&self, token: &str, key: &VerifyingKey, now: Millis) -> Result<Caller, Reason> {
        let claims = key.verify(token)?;
        claims.check_times(now)?;
        claims.check_parties(self.issuer.as_deref(), self.audience.as_deref())?;
        claims.into_caller()
    }
}

#[async_trait]
impl Authenticator for JwtAuthenticator {
    async fn authenticate(&self, authorization: Option<&str>) -> Result<Caller, AuthError> {
        let token = bearer(authorization.ok_or(AuthError::Missing)?)?;
        let (key, now) = (self.key_of(token).await?, self.clock.now());
        let digest = Sha256::digest(token).into();
        if let Some(accepted) = self.accepted.get(&digest)
            && accepted.holds(&key, now)
        {
            return Ok(accepted.caller);
        }
        let caller = self.verify(token, &key, now).map_err(invalid)?;
        self.accepted.insert(digest, VerifiedToken { key, caller: caller.clone() });
        Ok(caller)
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

#[cfg(test)]
mod tests;
