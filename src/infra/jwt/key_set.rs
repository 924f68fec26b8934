//! A key set as its issuer publishes it (RFC 7517), reduced to the keys that we can use.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::claims::Reason;
use super::key::VerifyingKey;

/// Of a longer set, the first so many usable keys are kept.
pub(super) const MAX_KEYS: usize = 64;

/// The usable keys of one published set, in its order.
#[derive(Debug)]
pub(super) struct KeySet(Vec<NamedKey>);

#[derive(Debug)]
struct NamedKey {
    kid: Option<String>,
    key: Arc<VerifyingKey>,
}

/// The members of a key that we look at; what else it has does not matter.
#[derive(Deserialize)]
struct Published {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// The usable keys of a JSON text; `None` if it is not a key set. A key of another kind, use or algorithm is
    /// passed over, as RFC 7517 (5) asks, and so is one that cannot be read.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document = serde_json::from_slice(json).ok()?;
        let usable = document.keys.iter().filter_map(|key| Published::deserialize(key).ok()?.usable());
        Some(Self(usable.take(MAX_KEYS).collect()))
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of its keys.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|named| named.kid.as_deref())
    }

    /// The key called `kid`. Without a name it must be clear which one is meant: there must be exactly one.
    pub(super) fn find(&self, kid: Option<&str>) -> Result<Arc<VerifyingKey>, Reason> {
        match (kid, &self.0[..]) {
            (None, [only]) => Ok(Arc::clone(&only.key)),
            (None, _) => Err("it does not say which key signed it"),
            (Some(_), keys) => keys
                .iter()
                .find(|named| named.kid.as_deref() == kid)
                .map(|named| Arc::clone(&named.key))
                .ok_or("the key that signed it is not known"),
        }
    }
}

impl Published {
    fn usable(self) -> Option<NamedKey> {
        let to_verify = self.usage.is_none_or(|usage| usage == "sig")
            && self.key_ops.is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !to_verify {
            return None;
        }
        let key = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => DecodingKey::from_rsa_components(&self.n?, &self.e?),
            ("EC", Some("P-256")) => DecodingKey::from_ec_components(&self.x?, &self.y?),
            _ => return None,
        };
        let key = VerifyingKey::public(key.ok()?)?;
        let fits = self.alg.is_none_or(|alg| alg.parse::<Algorithm>().ok() == key.algorithm());
        fits.then_some(NamedKey { kid: self.kid, key: Arc::new(key) })
    }
}
