//! Tokens for trying things out, signed with the secret that also verifies them.

use jsonwebtoken::{EncodingKey, Header, encode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::crypto;
use super::key::MIN_SECRET_BYTES;

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The same rule as for verifying.
    #[error("the secret must have at least {MIN_SECRET_BYTES} bytes")]
    ShortSecret,
    /// Such a token would be refused.
    #[error("the subject must not be empty")]
    EmptySubject,
    /// The claims could not be written; no input is known that leads here.
    #[error("the token cannot be signed")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    exp: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// A JWT, signed with HS256, that speaks for `subject`. `scopes` is space-separated and may be empty;
/// `expires_at_secs` counts seconds since 1970; give `issuer` and `audience` as the verifier is configured.
pub fn mint(
    secret: &SecretString,
    subject: &str,
    scopes: &str,
    expires_at_secs: u64,
    issuer: Option<&str>,
    audience: Option<&str>,
) -> Result<String, MintError> {
    let secret = secret.expose_secret().as_bytes();
    if secret.len() < MIN_SECRET_BYTES {
        return Err(MintError::ShortSecret);
    }
    if subject.is_empty() {
        return Err(MintError::EmptySubject);
    }
    crypto::install();
    let claims = Claims { sub: subject, exp: expires_at_secs, scope: scopes, iss: issuer, aud: audience };
    Ok(encode(&Header::default(), &claims, &EncodingKey::from_secret(secret))?)
}
