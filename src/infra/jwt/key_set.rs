//! A key set as its issuer publishes it (RFC 7517), reduced to the keys that we can use.

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::claims::Reason;
use super::key::VerifyingKey;

/// Of a longer set, the first so many keys are kept that are usable, and as many that are not.
pub(super) const MAX_KEYS: usize = 64;
/// Of the keys that are not usable, the first so many are told of.
const MAX_TOLD: usize = 16;
/// Of a key's members, so many characters are told.
const MAX_MEMBER_CHARS: usize = 64;

/// The keys of one published set, in its order.
#[derive(Debug)]
pub(super) struct KeySet {
    usable: Vec<NamedKey>,
    unusable: Vec<Unusable>,
}

#[derive(Debug)]
struct NamedKey {
    kid: Option<String>,
    key: Arc<VerifyingKey>,
}

/// A key that is passed over.
#[derive(Debug)]
struct Unusable {
    kid: Option<String>,
    /// What it says of itself.
    shown: String,
    /// Predicate of a sentence about it.
    why: &'static str,
}

impl KeySet {
    /// The keys of a JSON text; `None` if it is not a key set. A key of another kind, use or algorithm is passed
    /// over, as RFC 7517 (5) asks, and so is one that cannot be read.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document = serde_json::from_slice(json).ok()?;
        let mut set = Self { usable: Vec::new(), unusable: Vec::new() };
        for published in &document.keys {
            match usable(published) {
                Ok(key) if set.usable.len() < MAX_KEYS => set.usable.push(key),
                Err(why) if set.unusable.len() < MAX_KEYS => set.unusable.push(Unusable::new(published, why)),
                _ => {}
            }
        }
        Some(set)
    }

    /// How many usable keys there are.
    pub(super) fn len(&self) -> usize {
        self.usable.len()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.usable.is_empty()
    }

    /// The names of its usable keys.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.usable.iter().filter_map(|named| named.kid.as_deref())
    }

    /// Which keys are passed over and why, in a clause each; empty if none is.
    pub(super) fn passed_over(&self) -> String {
        let told = self.unusable.iter().take(MAX_TOLD).map(ToString::to_string);
        let others = (self.unusable.len() > MAX_TOLD).then(|| "and others".to_owned());
        told.chain(others).collect::<Vec<_>>().join("; ")
    }

    /// The key called `kid`. Without a name it must be clear which one is meant: there must be exactly one.
    pub(super) fn find(&self, kid: Option<&str>) -> Result<Arc<VerifyingKey>, Reason> {
        match (kid, &self.usable[..]) {
            (None, [only]) => Ok(Arc::clone(&only.key)),
            (None, _) => Err("it does not say which key signed it"),
            (Some(_), keys) => match keys.iter().find(|named| named.kid.as_deref() == kid) {
                Some(named) => Ok(Arc::clone(&named.key)),
                None if self.unusable.iter().any(|unusable| unusable.kid.as_deref() == kid) => {
                    Err("the key that signed it is published, but of no kind, use or algorithm that we take")
                }
                None => Err("the key that signed it is not known"),
            },
        }
    }
}

impl Unusable {
    fn new(published: &Value, why: &'static str) -> Self {
        let member = |name: &str| Some(published.get(name)?.as_str()?.to_owned());
        let shown = ["kid", "kty", "crv", "alg", "use"].into_iter().filter_map(|name| {
            let text: String = member(name)?.chars().take(MAX_MEMBER_CHARS).collect();
            Some(format!("{name} {text:?}"))
        });
        Self { kid: member("kid"), shown: shown.collect::<Vec<_>>().join(", "), why }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shown.as_str() {
            "" => write!(f, "a key {}", self.why),
            shown => write!(f, "the key with {shown} {}", self.why),
        }
    }
}

/// A published key as we use it; the error is the predicate of a sentence about it.
fn usable(published: &Value) -> Result<NamedKey, &'static str> {
    const MALFORMED: &str = "is not written as RFC 7517 wants it";
    let jwk = Jwk::deserialize(published).map_err(|_| MALFORMED)?;
    let common = &jwk.common;
    if common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
        return Err("is not for signatures");
    }
    if common.key_operations.as_ref().is_some_and(|ops| !ops.contains(&KeyOperations::Verify)) {
        return Err("has key_ops without verify");
    }
    match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => {}
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {}
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {}
        AlgorithmParameters::EllipticCurve(_) => return Err("is on another curve than P-256 (ES256)"),
        AlgorithmParameters::OctetKey(_) => {
            return Err("is a secret: whoever reads the set can sign with it");
        }
        _ => {
            return Err(
                "is neither an RSA key nor an EC key on P-256 nor an Ed25519 key, with all its members",
            );
        }
    }
    let key = VerifyingKey::public(DecodingKey::from_jwk(&jwk).map_err(|_| MALFORMED)?)?;
    let key = match common.key_algorithm {
        None => Some(key),
        Some(alg) => Algorithm::try_from(alg).ok().and_then(|alg| key.only(alg)),
    };
    let key = key.ok_or("has another alg than RS256 or PS256 (RSA), ES256 (EC), EdDSA (Ed25519)")?;
    Ok(NamedKey { kid: jwk.common.key_id, key: Arc::new(key) })
}

#[cfg(test)]
mod tests;
