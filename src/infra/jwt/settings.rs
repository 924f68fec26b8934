//! What the authenticator is made from, and why it could not be.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::infra::http_client::{Egress, HttpClientError};

/// The section `auth` of the configuration, as far as tokens are concerned.
#[derive(Debug, Clone)]
pub struct JwtSettings {
    /// HS256, from 48 bytes HS384 and from 64 HS512: the secret shared with whoever issues tokens, at least 32 bytes,
    /// taken as it is written.
    pub hs256_secret: Option<SecretString>,
    /// A PEM file with one public key: RSA of 2048–8192 bits (RS256, PS256), EC on P-256 (ES256) or Ed25519
    /// (`EdDSA`).
    pub public_key_file: Option<PathBuf>,
    /// Where the issuer publishes its key set (RFC 7517), with keys as in `public_key_file`. Use `https` unless the
    /// network between is trusted: whoever can answer here can issue tokens.
    pub jwks_url: Option<String>,
    /// What `iss` must be; `None`: not looked at.
    pub issuer: Option<String>,
    /// What `aud` must be, or hold; `None`: not looked at.
    pub audience: Option<String>,
    /// Cool-down: from the start of one fetch of the key set to the next, at least. While no keys are held, less.
    pub jwks_cool_down: Duration,
    /// One fetch of the key set takes at most this long.
    pub jwks_timeout: Duration,
    /// A token whose key is not held waits at most this long for a fetch; then it is 503.
    pub jwks_wait: Duration,
    /// The way to the issuer.
    pub egress: Egress,
}

impl Default for JwtSettings {
    /// No key, which is refused; a cool-down of 60 s, a time-out of 5 s, of which a token waits for 2 s.
    fn default() -> Self {
        Self {
            hs256_secret: None,
            public_key_file: None,
            jwks_url: None,
            issuer: None,
            audience: None,
            jwks_cool_down: Duration::from_mins(1),
            jwks_timeout: Duration::from_secs(5),
            jwks_wait: Duration::from_secs(2),
            egress: Egress::default(),
        }
    }
}

/// Why there is no authenticator. Each text is a sentence for the operator and holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum JwtSetupError {
    /// None of the key sources is set, or more than one.
    #[error(
        "set exactly one of auth.hs256_secret, auth.public_key_file and auth.jwks_url; {0} of them are set"
    )]
    KeySources(usize),
    /// An HMAC secret must be as long as its hash (RFC 7518, 3.2).
    #[error("auth.hs256_secret must have at least {} bytes", super::key::MIN_SECRET_BYTES)]
    ShortSecret,
    /// No such file, no permission, not text.
    #[error("auth.public_key_file {} cannot be read: {source}", path.display())]
    KeyFileUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It was read and is of no use.
    #[error("auth.public_key_file {} {what}", path.display())]
    KeyFileUnusable {
        /// The file.
        path: PathBuf,
        /// Predicate of the sentence.
        what: &'static str,
    },
    /// Not an absolute `http` or `https` URL.
    #[error("auth.jwks_url must be an http or https URL")]
    JwksUrl,
    /// There is nothing to fetch the key set with.
    #[error("the client that fetches auth.jwks_url cannot be made: {0}")]
    HttpClient(#[from] HttpClientError),
}
