//! A key that verifies tokens, and the one algorithm that it does so with.

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, TokenData, Validation, decode};
use ring::agreement::{self, ECDH_P256, EphemeralPrivateKey, agree_ephemeral};
use ring::rand::SystemRandom;
use secrecy::{ExposeSecret, SecretString};

use super::claims::{Claims, Reason};

/// An HMAC secret must be as long as its hash (RFC 7518, 3.2).
pub const MIN_SECRET_BYTES: usize = 32;
/// Under 2048 bits of modulus RSA is refused.
const MIN_RSA_BYTES: usize = 2048 / 8;

/// A key and its algorithm. What a token says about its algorithm is compared with this, never followed.
#[derive(Debug)]
pub(super) struct VerifyingKey {
    key: DecodingKey,
    validation: Validation,
}

impl VerifyingKey {
    /// HS256 with this secret; `None` if it is shorter than [`MIN_SECRET_BYTES`].
    pub(super) fn hs256(secret: &SecretString) -> Option<Self> {
        let secret = secret.expose_secret().as_bytes();
        (secret.len() >= MIN_SECRET_BYTES)
            .then(|| Self::new(Algorithm::HS256, DecodingKey::from_secret(secret)))
    }

    /// RS256 or ES256 with the public key in a PEM text; the error is the predicate of a sentence about the file.
    pub(super) fn from_pem(pem: &str) -> Result<Self, &'static str> {
        if pem.contains("PRIVATE KEY-----") {
            return Err("holds a private key: give the public one");
        }
        // The parser also takes certificates, and reads from them whichever bit string comes first.
        if !pem.contains("-----BEGIN PUBLIC KEY-----") && !pem.contains("-----BEGIN RSA PUBLIC KEY-----") {
            return Err("does not hold a public key in PEM");
        }
        if pem.matches("-----BEGIN ").count() > 1 {
            return Err("holds more than one key: leave one in it, or publish them with auth.jwks_url");
        }
        DecodingKey::from_rsa_pem(pem.as_bytes())
            .or_else(|_| DecodingKey::from_ec_pem(pem.as_bytes()))
            .ok()
            .and_then(Self::public)
            .ok_or("holds neither an RSA key of 2048 to 8192 bits nor an EC key on P-256")
    }

    /// RS256 or ES256 as the family of a public key decides; `None` for other families, short moduli, odd points.
    pub(super) fn public(key: DecodingKey) -> Option<Self> {
        match (key.family(), key.kind()) {
            // A DER key holds its exponent and some framing besides, so one this short is too short for sure.
            (
                AlgorithmFamily::Rsa,
                DecodingKeyKind::SecretOrDer(n) | DecodingKeyKind::RsaModulusExponent { n, .. },
            ) if n.len() >= MIN_RSA_BYTES => Some(Self::new(Algorithm::RS256, key)),
            (AlgorithmFamily::Ec, DecodingKeyKind::SecretOrDer(point)) if is_on_p256(point) => {
                Some(Self::new(Algorithm::ES256, key))
            }
            _ => None,
        }
    }

    fn new(algorithm: Algorithm, key: DecodingKey) -> Self {
        let mut validation = Validation::new(algorithm);
        // Every claim is checked in `claims`, against the injected clock and more strictly.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Self { key, validation }
    }

    /// The algorithm that this key is for.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        self.validation.algorithms.first().copied()
    }

    /// The claims of a token that was signed with this key, themselves unchecked.
    pub(super) fn verify(&self, token: &str) -> Result<Claims, Reason> {
        let TokenData { header, claims } =
            decode::<Claims>(token, &self.key, &self.validation).map_err(|error| reason(&error))?;
        // RFC 7515, 4.1.11: an extension that must be understood, and we understand none.
        match header.crit {
            Some(_) => Err("it wants extensions that we do not have"),
            None => Ok(claims),
        }
    }
}

/// The words for what the parser found, none of them the token's.
pub(super) fn reason(error: &Error) -> Reason {
    match error.kind() {
        ErrorKind::InvalidSignature => "its signature does not match",
        ErrorKind::InvalidAlgorithm => "its algorithm is not that of the key",
        // `alg: none` ends here too: the parser knows no such algorithm.
        ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Json(_) | ErrorKind::Utf8(_) => {
            "it is not a signed JWT of a kind we take"
        }
        _ => "it cannot be verified",
    }
}

/// ring checks a point when it agrees on a key with it, and offers no shorter way.
fn is_on_p256(point: &[u8]) -> bool {
    EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new())
        .and_then(|ours| agree_ephemeral(ours, &agreement::UnparsedPublicKey::new(&ECDH_P256, point), |_| ()))
        .is_ok()
}
