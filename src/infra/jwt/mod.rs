//! JWT: who calls `/v1`, proved by a token that is signed with HS256, RS256 or ES256.
//!
//! The key decides the algorithm and a token's header is only compared with it, so that a public key cannot be passed
//! off as an HMAC secret and `none` is nothing at all. Claims are believed after the signature, never before.

mod claims;
mod crypto;
mod jwks;
mod key;
mod key_set;
mod mint;
mod settings;
mod verifier;

#[cfg(test)]
mod jwks_tests;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;

pub use claims::LEEWAY_SECS;
pub use jwks::{MAX_DOCUMENT_BYTES, REFRESH_AGE};
pub use key::MIN_SECRET_BYTES;
pub use mint::{MintError, mint};
pub use settings::{JwtSettings, JwtSetupError};
pub use verifier::{JwtAuthenticator, MAX_AUTHORIZATION_BYTES};
