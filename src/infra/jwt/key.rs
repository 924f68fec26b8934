//! A key that verifies tokens, and the algorithms that it does so with.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, TokenData, Validation, decode};
use ring::agreement::{self, ECDH_P256, EphemeralPrivateKey, agree_ephemeral};
use ring::rand::SystemRandom;
use secrecy::{ExposeSecret, SecretString};

use super::claims::{Claims, Reason};

/// The algorithms of an HMAC secret, each with the length of its hash, in bytes. A secret must not be shorter than
/// the hash (RFC 7518, 3.2).
const OF_SECRET: [(Algorithm, usize); 3] =
    [(Algorithm::HS256, MIN_SECRET_BYTES), (Algorithm::HS384, 48), (Algorithm::HS512, 64)];
/// A shorter secret verifies nothing, in bytes.
pub const MIN_SECRET_BYTES: usize = 32;
/// The length of an RSA modulus, in bytes: 2048 to 8192 bits.
const RSA_BYTES: RangeInclusive<usize> = 256..=1024;
/// What a DER key holds besides its modulus, in bytes, at most: the exponent and some framing.
const MAX_DER_FRAMING: usize = 64;
/// The length of a public key of Ed25519, in bytes.
const ED25519_BYTES: usize = 32;

/// A key and its algorithms. What a token says about its algorithm is compared with these, never followed.
#[derive(Debug)]
pub(super) struct VerifyingKey {
    key: DecodingKey,
    validation: Validation,
}

impl VerifyingKey {
    /// HMAC with this secret, under every hash that is not longer; `None` if it is shorter than [`MIN_SECRET_BYTES`].
    pub(super) fn secret(secret: &SecretString) -> Option<Self> {
        let secret = secret.expose_secret().as_bytes();
        let long_enough = OF_SECRET.iter().filter(|(_, bytes)| secret.len() >= *bytes);
        let algorithms: Vec<_> = long_enough.map(|(algorithm, _)| *algorithm).collect();
        (!algorithms.is_empty()).then(|| Self::new(algorithms, DecodingKey::from_secret(secret)))
    }

    /// The public key in a PEM text, for every algorithm of its kind; the error is the predicate of a sentence about
    /// the file.
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
            .or_else(|_| DecodingKey::from_ed_pem(pem.as_bytes()))
            .ok()
            .and_then(|key| Self::public(key).ok())
            .ok_or("holds neither an RSA key of 2048 to 8192 bits nor an EC key on P-256 nor an Ed25519 key")
    }

    /// A public key, for every algorithm of its kind; the error is the predicate of a sentence about the key.
    pub(super) fn public(key: DecodingKey) -> Result<Self, &'static str> {
        let algorithms = match (key.family(), key.kind()) {
            (AlgorithmFamily::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) if n.first() == Some(&0) => {
                // Written with the sign byte of a big integer, which ring refuses.
                let n: Vec<u8> = n.iter().copied().skip_while(|byte| *byte == 0).collect();
                return Self::public(DecodingKey::from_rsa_raw_components(&n, e));
            }
            (AlgorithmFamily::Rsa, kind) if is_long_enough(kind) => vec![Algorithm::RS256, Algorithm::PS256],
            (AlgorithmFamily::Rsa, _) => return Err("does not have 2048 to 8192 bits"),
            (AlgorithmFamily::Ec, DecodingKeyKind::SecretOrDer(point)) if is_on_p256(point) => {
                vec![Algorithm::ES256]
            }
            (AlgorithmFamily::Ed, DecodingKeyKind::SecretOrDer(point)) if point.len() == ED25519_BYTES => {
                vec![Algorithm::EdDSA]
            }
            (AlgorithmFamily::Hmac, _) => return Err("is a secret"),
            _ => return Err("is no point on its curve"),
        };
        Ok(Self::new(algorithms, key))
    }

    fn new(algorithms: Vec<Algorithm>, key: DecodingKey) -> Self {
        // Every claim is checked in `claims`, against the injected clock and more strictly.
        let validation = Validation {
            algorithms,
            required_spec_claims: HashSet::new(),
            validate_exp: false,
            validate_nbf: false,
            validate_aud: false,
            ..Validation::default()
        };
        Self { key, validation }
    }

    /// The same key for this algorithm alone; `None` if it is none of its own.
    pub(super) fn only(mut self, algorithm: Algorithm) -> Option<Self> {
        self.validation.algorithms.retain(|own| *own == algorithm);
        (!self.validation.algorithms.is_empty()).then_some(self)
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

/// What is certain of an RSA key without reading its DER: ring, which does, refuses the rest at each token.
fn is_long_enough(key: &DecodingKeyKind) -> bool {
    match key {
        DecodingKeyKind::RsaModulusExponent { n, .. } => RSA_BYTES.contains(&n.len()),
        DecodingKeyKind::SecretOrDer(der) => {
            (*RSA_BYTES.start()..=RSA_BYTES.end() + MAX_DER_FRAMING).contains(&der.len())
        }
    }
}

/// ring checks a point when it agrees on a key with it, and offers no shorter way.
fn is_on_p256(point: &[u8]) -> bool {
    EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new())
        .and_then(|ours| agree_ephemeral(ours, &agreement::UnparsedPublicKey::new(&ECDH_P256, point), |_| ()))
        .is_ok()
}

#[cfg(test)]
mod tests;
