//! Which keys of a published set are used, and for what; and what is said of the others.

use serde_json::{Value, json};

use super::super::test_support::*;
use super::*;

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn key_with(mut jwk: Value, members: &Value) -> Value {
    jwk.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    jwk
}

/// The sentence about the only key of a set.
fn passed_over(jwk: Value) -> String {
    let set = set(&[jwk]);
    assert!(set.is_empty());
    set.passed_over()
}

#[test]
fn a_document_that_is_no_key_set_is_none() {
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>"] {
        assert!(KeySet::parse(text.as_bytes()).is_none(), "{text}");
    }
    assert!(set(&[]).is_empty() && set(&[]).passed_over().is_empty());
}

#[tokio::test]
async fn an_rsa_key_verifies_what_its_alg_says_or_both_paddings_without_one() {
    let (rs256, ps256) = (Signer::rsa("rsa"), Signer::pss("rsa"));
    for (alg, by_rs256, by_ps256) in [
        (Value::Null, alice(), alice()),
        (json!("RS256"), alice(), refused(WRONG_ALGORITHM)),
        (json!("PS256"), refused(WRONG_ALGORITHM), alice()),
    ] {
        let issuer = Issuer::publishing(&[key_with(rs256.jwk("r"), &json!({ "alg": alg }))]).await;
        let authenticator = authenticator(issuer.settings());
        assert_eq!(authenticator.check(&rs256.token(Some("r"), &claims())).await, by_rs256, "alg {alg}");
        assert_eq!(authenticator.check(&ps256.token(Some("r"), &claims())).await, by_ps256, "alg {alg}");
    }
}

#[tokio::test]
async fn a_modulus_may_begin_with_a_sign_byte() {
    let signer = Signer::rsa("rsa");
    let Signer::Rs256(pair) = &signer else { unreachable!() };
    let key: ring::rsa::PublicKeyComponents<Vec<u8>> = pair.public().into();
    let n = base64url(&[&[0], &key.n[..]].concat());
    let issuer = Issuer::publishing(&[key_with(signer.jwk("r"), &json!({ "n": n }))]).await;
    assert_eq!(authenticator(issuer.settings()).check(&signer.token(Some("r"), &claims())).await, alice());
}

#[test]
fn what_is_passed_over_is_told_with_its_reason() {
    let (ec, rsa, ed) = (Signer::ec().jwk("e"), Signer::rsa("rsa").jwk("r"), Signer::ed25519().jwk("d"));
    let (elsewhere, bits) = ("is on another curve than P-256 (ES256)", "does not have 2048 to 8192 bits");
    let kind = "is neither an RSA key nor an EC key on P-256 nor an Ed25519 key, with all its members";
    let alg = "has another alg than RS256 or PS256 (RSA), ES256 (EC), EdDSA (Ed25519)";
    let malformed = "is not written as RFC 7517 wants it";
    for (jwk, members, why) in [
        (&ec, json!({ "use": "enc" }), "is not for signatures"),
        (&ec, json!({ "key_ops": ["sign", "deriveKey"] }), "has key_ops without verify"),
        (&ec, json!({ "crv": "P-384", "alg": "ES384" }), elsewhere),
        (&ec, json!({ "crv": "P-521" }), elsewhere),
        (&ec, json!({ "crv": "secp256k1" }), kind),
        (&ec, json!({ "alg": "ES384" }), alg),
        (&ec, json!({ "alg": "RS256" }), alg),
        (&ec, json!({ "y": base64url(&[7; 32]) }), "is no point on its curve"),
        (&ec, json!({ "x": "not base64url" }), malformed),
        (&ec, json!({ "kid": 7 }), malformed),
        (&rsa, json!({ "alg": "RS512" }), alg),
        (&rsa, json!({ "alg": "PS384" }), alg),
        (&rsa, json!({ "alg": "RSA-OAEP" }), alg),
        (&rsa, json!({ "alg": "HS256" }), alg),
        (&rsa, json!({ "n": base64url(&[0xff; 255]) }), bits),
        (&rsa, json!({ "n": base64url(&[0xff; 1025]) }), bits),
        (&rsa, json!({ "n": "" }), bits),
        (&ed, json!({ "crv": "X25519" }), kind),
        (&ed, json!({ "crv": "Ed448" }), kind),
        (&ed, json!({ "crv": "P-256" }), kind),
        (&ed, json!({ "alg": "ES256" }), alg),
        (&ed, json!({ "x": "AAAA" }), "is no point on its curve"),
        (&ed, json!({ "kty": "AKP" }), kind),
    ] {
        let jwk = key_with(jwk.clone(), &members);
        let said = passed_over(jwk.clone());
        assert!(said.starts_with("the key with ") && said.ends_with(why), "{jwk}: {said}");
    }
    let secret = passed_over(Signer::secret(SECRET).jwk("s"));
    assert!(secret.ends_with("is a secret: whoever reads the set can sign with it"), "{secret}");
    assert!(!secret.contains(&base64url(SECRET.as_bytes())), "a secret is not told: {secret}");
    assert_eq!(passed_over(json!("not a key")), format!("a key {malformed}"));
    assert_eq!(passed_over(json!({})), format!("a key {kind}"));
    let odd = key_with(ec, &json!({ "use": "enc", "kid": "a \"b\"\n" }));
    let said = passed_over(odd);
    let members = r#"kid "a \"b\"\n", kty "EC", crv "P-256", use "enc""#;
    assert_eq!(said, format!("the key with {members} is not for signatures"));
}

#[test]
fn a_long_set_of_odd_keys_makes_no_long_sentence() {
    let odd = json!({ "kty": "x".repeat(1000), "kid": "y".repeat(1000), "alg": "z".repeat(1000) });
    let said = set(&vec![odd; 100]).passed_over();
    assert!(said.len() < 8 * 1024, "{} bytes", said.len());
    assert!(said.ends_with("; and others"), "{said}");
}
