//! Which algorithms a key verifies, and that no header talks it into another.

use serde_json::{Value, json};

use super::super::test_support::*;
use crate::infra::jwt::JwtAuthenticator;

const PUBLIC: [&str; 3] = ["rsa.public", "ec.public", "ed25519.public"];
const HMAC: [&str; 3] = ["HS256", "HS384", "HS512"];

/// An authenticator for each kind of key.
fn of_each_kind() -> Vec<JwtAuthenticator> {
    let files = PUBLIC.into_iter().map(key_file);
    files.chain([secret(&SECRET.repeat(2))]).map(authenticator).collect()
}

fn header(alg: &str) -> String {
    json!({ "alg": alg }).to_string()
}

#[tokio::test]
async fn tokens_that_another_implementation_signed_are_taken_under_their_key_alone() {
    let made = made_elsewhere("algorithms.json");
    let keys = ["secret", "rsa", "rsa-pkcs1", "ec", "ed25519"];
    for key in keys {
        let authenticator = authenticator(match key {
            "secret" => secret(made["secret"].as_str().unwrap()),
            file => key_file(&format!("{file}.public")),
        });
        for signed in made["tokens"].as_array().unwrap() {
            let alg = signed["alg"].as_str().unwrap();
            let ours = key.trim_end_matches("-pkcs1") == signed["key"] && !["RS384", "PS512"].contains(&alg);
            let expected = if ours { alice() } else { refused(WRONG_ALGORITHM) };
            let outcome = authenticator.check(signed["token"].as_str().unwrap()).await;
            assert_eq!(outcome, expected, "{alg} under {key}");
        }
    }
}

#[tokio::test]
async fn a_secret_verifies_under_every_hash_that_is_not_longer() {
    let long = SECRET.repeat(2);
    for (length, taken) in [(32, 1), (47, 1), (48, 2), (63, 2), (64, 3)] {
        let ours = &long[..length];
        let authenticator = authenticator(secret(ours));
        for (place, alg) in HMAC.into_iter().enumerate() {
            let expected = if place < taken { alice() } else { refused(WRONG_ALGORITHM) };
            let token = Signer::hmac(alg, ours).token(None, &claims());
            assert_eq!(authenticator.check(&token).await, expected, "{alg} with {length} bytes");
            let other = Signer::hmac(alg, format!("{ours}x")).token(None, &claims());
            assert_ne!(authenticator.check(&other).await, alice(), "{alg} with another secret");
        }
    }
}

#[tokio::test]
async fn a_token_without_a_signature_is_none() {
    let claims = base64url(claims().to_string().as_bytes());
    for authenticator in of_each_kind() {
        for alg in ["none", "None", "NONE", ""] {
            let token = format!("{}.{claims}.", base64url(header(alg).as_bytes()));
            assert_eq!(authenticator.check(&token).await, refused(UNREADABLE));
        }
        let token = format!("{}.{claims}.", base64url(br#"{"typ":"JWT"}"#));
        assert_eq!(authenticator.check(&token).await, refused(UNREADABLE));
        for alg in ["HS256", "HS512", "RS256", "PS256", "ES256", "EdDSA"] {
            let token = format!("{}.{claims}.", base64url(header(alg).as_bytes()));
            let outcome = authenticator.check(&token).await;
            assert!([refused(WRONG_ALGORITHM), refused(WRONG_SIGNATURE)].contains(&outcome), "{alg}");
        }
    }
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    for name in PUBLIC {
        let pem = std::fs::read_to_string(fixture(name)).unwrap();
        let authenticator = authenticator(key_file(name));
        for secret in [pem.as_str(), pem.trim_end()] {
            for alg in HMAC {
                let forged = Signer::hmac(alg, secret).token(None, &claims());
                assert_eq!(authenticator.check(&forged).await, refused(WRONG_ALGORITHM), "{alg} with {name}");
            }
        }
    }
}

#[tokio::test]
async fn a_published_key_is_no_secret() {
    for (signer, member) in [(Signer::rsa("rsa"), "n"), (Signer::ec(), "x"), (Signer::ed25519(), "x")] {
        let jwk = signer.jwk("k");
        let issuer = Issuer::publishing(std::slice::from_ref(&jwk)).await;
        let authenticator = authenticator(issuer.settings());
        assert_eq!(authenticator.check(&signer.token(Some("k"), &claims())).await, alice());
        for secret in [jwk[member].as_str().unwrap().to_owned(), jwk.to_string()] {
            for alg in HMAC {
                let forged = Signer::hmac(alg, secret.clone()).token(Some("k"), &claims());
                assert_eq!(authenticator.check(&forged).await, refused(WRONG_ALGORITHM), "{alg}");
            }
        }
    }
}

#[tokio::test]
async fn a_header_names_the_algorithm_and_changes_nothing() {
    let signers = [Signer::rsa("rsa"), Signer::pss("rsa"), Signer::ec(), Signer::ed25519()];
    let algorithms =
        ["RS256", "PS256", "ES256", "EdDSA", "RS384", "RS512", "PS384", "PS512", "ES384", "HS256"];
    for signer in signers {
        let file = match signer {
            Signer::Ed25519(_) => "ed25519.public",
            Signer::Es256(_) => "ec.public",
            _ => "rsa.public",
        };
        let authenticator = authenticator(key_file(file));
        for alg in algorithms {
            let token = signer.token_of(&header(alg), &claims().to_string());
            let expected = match (alg, file) {
                (alg, _) if alg == signer.alg() => alice(),
                ("RS256" | "PS256", "rsa.public") => refused(WRONG_SIGNATURE),
                _ => refused(WRONG_ALGORITHM),
            };
            assert_eq!(authenticator.check(&token).await, expected, "{alg} over {}", signer.alg());
        }
    }
}

#[tokio::test]
async fn a_key_that_comes_with_the_token_is_not_looked_at() {
    let (stranger, ours) = (Signer::rsa("rsa-other"), Signer::rsa("rsa").jwk("r"));
    let issuer = Issuer::publishing(&[ours]).await;
    let authenticator = authenticator(issuer.settings());
    for (member, value) in [
        ("jwk", stranger.jwk("r")),
        ("jku", json!("http://127.0.0.1:9/keys")),
        ("x5u", json!("http://127.0.0.1:9/certificate")),
    ] {
        let mut header: Value = json!({ "alg": "RS256", "kid": "r" });
        header[member] = value;
        let token = stranger.token_of(&header.to_string(), &claims().to_string());
        assert_eq!(authenticator.check(&token).await, refused(WRONG_SIGNATURE), "{member}");
    }
    assert_eq!(issuer.fetches(), 1);
}
