//! For the tests of this folder: a clock to set, keys to sign with, and an issuer that counts its visitors.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use axum::{Router, routing::get};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding, RsaKeyPair,
};
use ring::{hmac, rsa};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::{Value, json};

use super::{JwtAuthenticator, JwtSettings};
use crate::domain::ids::Millis;
use crate::ports::authenticator::{AuthError, Authenticator, Caller};
use crate::ports::clock::Clock;

/// When the tests begin, in seconds.
pub const NOW: i64 = 1_700_000_000;
/// 32 bytes exactly.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";

pub const UNREADABLE: &str = "it is not a signed JWT of a kind we take";
pub const WRONG_ALGORITHM: &str = "its algorithm is not that of the key";
pub const WRONG_SIGNATURE: &str = "its signature does not match";

/// A clock that stands still until it is moved.
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(NOW * 1000)))
    }

    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub fn set_millis(&self, now: i64) {
        self.0.store(now, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jwt")
}

/// A key in PEM.
pub fn fixture(name: &str) -> PathBuf {
    fixtures().join(format!("test-only-{name}.pem"))
}

/// What another implementation made of the same keys.
pub fn made_elsewhere(name: &str) -> Value {
    let text = std::fs::read_to_string(fixtures().join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn private(name: &str) -> PrivatePkcs8KeyDer<'static> {
    PrivatePkcs8KeyDer::from_pem_file(fixture(&format!("{name}.private"))).unwrap()
}

/// A key to sign with.
pub enum Signer {
    Hmac(&'static str, Vec<u8>),
    Rs256(RsaKeyPair),
    Ps256(RsaKeyPair),
    Es256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    pub fn secret(secret: impl Into<Vec<u8>>) -> Self {
        Self::hmac("HS256", secret)
    }

    /// `HS256`, `HS384` or `HS512` with this secret.
    pub fn hmac(alg: &'static str, secret: impl Into<Vec<u8>>) -> Self {
        Self::Hmac(alg, secret.into())
    }

    pub fn rsa(name: &str) -> Self {
        Self::Rs256(RsaKeyPair::from_pkcs8(private(name).secret_pkcs8_der()).unwrap())
    }

    pub fn pss(name: &str) -> Self {
        Self::Ps256(RsaKeyPair::from_pkcs8(private(name).secret_pkcs8_der()).unwrap())
    }

    pub fn ed25519() -> Self {
        let key = private("ed25519");
        Self::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der()).unwrap())
    }

    pub fn ec() -> Self {
        let key = private("ec");
        let rng = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_pkcs8_der(), &rng);
        Self::Es256(pair.unwrap())
    }

    pub fn alg(&self) -> &'static str {
        match self {
            Self::Hmac(alg, _) => alg,
            Self::Rs256(_) => "RS256",
            Self::Ps256(_) => "PS256",
            Self::Es256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let rng = SystemRandom::new();
        let by_rsa = |pair: &RsaKeyPair, padding: &'static dyn RsaEncoding| {
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(padding, &rng, message, &mut signature).unwrap();
            signature
        };
        match self {
            Self::Hmac(alg, secret) => {
                let hash = match *alg {
                    "HS256" => hmac::HMAC_SHA256,
                    "HS384" => hmac::HMAC_SHA384,
                    _ => hmac::HMAC_SHA512,
                };
                hmac::sign(&hmac::Key::new(hash, secret), message).as_ref().to_vec()
            }
            Self::Rs256(pair) => by_rsa(pair, &RSA_PKCS1_SHA256),
            Self::Ps256(pair) => by_rsa(pair, &RSA_PSS_SHA256),
            Self::Es256(pair) => pair.sign(&rng, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token with these texts, right or wrong, as header and claims.
    pub fn token_of(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
        let signature = base64url(&self.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    /// A token under this key's own algorithm.
    pub fn token(&self, kid: Option<&str>, claims: &Value) -> String {
        let header = match kid {
            Some(kid) => json!({ "alg": self.alg(), "kid": kid }),
            None => json!({ "alg": self.alg() }),
        };
        self.token_of(&header.to_string(), &claims.to_string())
    }

    /// The public half as an issuer publishes it.
    pub fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Hmac(_, secret) => json!({ "kty": "oct", "kid": kid, "k": base64url(secret) }),
            Self::Rs256(pair) | Self::Ps256(pair) => {
                let key: rsa::PublicKeyComponents<Vec<u8>> = pair.public().into();
                json!({ "kty": "RSA", "kid": kid, "n": base64url(&key.n), "e": base64url(&key.e) })
            }
            Self::Es256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": base64url(x), "y": base64url(y) })
            }
            Self::Ed25519(pair) => {
                let x = base64url(pair.public_key().as_ref());
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x })
            }
        }
    }
}

/// Claims that every authenticator here takes, unless it wants an issuer or an audience.
pub fn claims() -> Value {
    json!({ "sub": "alice", "exp": NOW + 3600 })
}

/// When they stop to hold, give or take what clocks may differ by.
pub const EXPIRES: Millis = Millis((NOW + 3600 + 30) * 1000);

pub fn with(member: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[member] = value;
    claims
}

#[expect(clippy::unnecessary_wraps, reason = "compared with what `authenticate` answers")]
pub fn alice() -> Result<Caller, AuthError> {
    Ok(Caller::Token { subject: "alice".to_owned(), scopes: Vec::new(), expires_at: EXPIRES })
}

pub fn refused(reason: &str) -> Result<Caller, AuthError> {
    Err(AuthError::Invalid(reason.to_owned()))
}

impl JwtAuthenticator {
    /// Who sent this token; when it stops to hold is a test of its own.
    pub async fn check(&self, token: &str) -> Result<Caller, AuthError> {
        let caller = self.authenticate(Some(&format!("Bearer {token}"))).await?;
        let Caller::Token { subject, scopes, .. } = caller else { return Ok(caller) };
        Ok(Caller::Token { subject, scopes, expires_at: EXPIRES })
    }
}

pub fn hs256() -> JwtSettings {
    secret(SECRET)
}

pub fn secret(secret: &str) -> JwtSettings {
    JwtSettings { hs256_secret: Some(secret.into()), ..JwtSettings::default() }
}

pub fn key_file(name: &str) -> JwtSettings {
    JwtSettings { public_key_file: Some(fixture(name)), ..JwtSettings::default() }
}

/// An authenticator whose clock stands at [`NOW`].
pub fn authenticator(settings: JwtSettings) -> JwtAuthenticator {
    JwtAuthenticator::new(settings, TestClock::new()).unwrap()
}

/// Unpadded base64url (RFC 4648, 5).
pub fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letter = |bits: u32, at: u32| char::from(ALPHABET[(bits >> at & 63) as usize]);
    let group = |chunk: &[u8]| {
        let bits = (0..3).fold(0, |bits, i| bits << 8 | u32::from(*chunk.get(i).unwrap_or(&0)));
        [18, 12, 6, 0].into_iter().take(chunk.len() + 1).map(|at| letter(bits, at)).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

/// What the issuer answers, and how often it was asked.
pub struct Issuer {
    pub url: String,
    answer: Mutex<(StatusCode, String)>,
    fetches: AtomicUsize,
    silent: AtomicBool,
}

impl Issuer {
    /// Listens on a port of its own and publishes `keys`.
    pub async fn publishing(keys: &[Value]) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = Arc::new(Self {
            url: format!("http://{}/keys", listener.local_addr().unwrap()),
            answer: Mutex::new((StatusCode::OK, json!({ "keys": keys }).to_string())),
            fetches: AtomicUsize::new(0),
            silent: AtomicBool::new(false),
        });
        let answering = Arc::clone(&issuer);
        let keys = get(async move || {
            answering.fetches.fetch_add(1, Ordering::SeqCst);
            if answering.silent.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            answering.answer.lock().unwrap().clone()
        });
        let app = Router::new().route("/keys", keys);
        tokio::spawn(async move { axum::serve(listener, app).await });
        issuer
    }

    pub fn answer(&self, status: u16, body: impl Into<String>) {
        *self.answer.lock().unwrap() = (StatusCode::from_u16(status).unwrap(), body.into());
    }

    /// Takes questions from now on, and answers none.
    pub fn fall_silent(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }

    pub fn publish(&self, keys: &[Value]) {
        self.answer(200, json!({ "keys": keys }).to_string());
    }

    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    pub fn settings(&self) -> JwtSettings {
        JwtSettings { jwks_url: Some(self.url.clone()), ..JwtSettings::default() }
    }
}
