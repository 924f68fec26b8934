//! JWT: who calls `/v1`, proved by a signed token.
//!
//! The key decides the algorithm, and a token's header is only compared with it:
//!
//! | key | verifies |
//! |---|---|
//! | secret | HS256 from 32 bytes, HS384 from 48, HS512 from 64 |
//! | RSA, 2048 to 8192 bits | RS256 and PS256; with an `alg` in its key set, that one alone |
//! | EC on P-256 | ES256 |
//! | Ed25519 | `EdDSA` |
//!
//! So a public key cannot be passed off as an HMAC secret, and `none` is nothing at all. Claims are believed after
//! the signature, never before.

mod claims;
mod crypto;
mod jwks;
mod key;
mod key_set;
mod mint;
mod settings;
mod verifier;

pub use claims::LEEWAY_SECS;
pub use jwks::{MAX_DOCUMENT_BYTES, REFRESH_AGE};
pub use key::MIN_SECRET_BYTES;
pub use mint::{MintError, mint};
pub use settings::{JwtSettings, JwtSetupError};
pub use verifier::{JwtAuthenticator, MAX_AUTHORIZATION_BYTES};

#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;
