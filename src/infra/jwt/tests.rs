//! Tokens under a fixed key, and the settings that make an authenticator.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::test_support::*;
use super::*;
use crate::domain::ids::{LetterCase, Millis};
use crate::ports::authenticator::{AuthError, Authenticator, Caller};

fn setup_error(settings: JwtSettings) -> String {
    JwtAuthenticator::new(settings, TestClock::new()).err().unwrap().to_string()
}

async fn check_hs256(claims: &Value) -> Result<Caller, AuthError> {
    authenticator(hs256()).check(&Signer::secret(SECRET).token(None, claims)).await
}

#[test]
fn base64url_is_that_of_the_rfc() {
    assert_eq!(base64url(b"fooba"), "Zm9vYmE");
    assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
}

#[test]
fn wants_exactly_one_source_of_keys() {
    let none = setup_error(JwtSettings::default());
    assert_eq!(
        none,
        "set exactly one of auth.hs256_secret, auth.public_key_file and auth.jwks_url; 0 of them are set"
    );
    let two = JwtSettings { jwks_url: Some("https://issuer.example/keys".into()), ..hs256() };
    assert!(setup_error(two).ends_with("2 of them are set"));
}

#[test]
fn refuses_keys_of_no_use() {
    let short = JwtSettings { hs256_secret: Some(SECRET[1..].into()), ..JwtSettings::default() };
    assert_eq!(setup_error(short), "auth.hs256_secret must have at least 32 bytes");

    assert!(setup_error(key_file("nowhere")).contains("test-only-nowhere.pem cannot be read"));
    assert!(setup_error(key_file("rsa.private")).ends_with("holds a private key: give the public one"));
    for odd in ["rsa1024.public", "p384.public", "secp256k1.public", "x25519.public"] {
        let error = setup_error(key_file(odd));
        assert!(error.contains(odd) && error.contains("holds neither an RSA key"), "{error}");
    }
    let not_pem = JwtSettings {
        public_key_file: Some(fixture("rsa.public").with_file_name("README.md")),
        ..JwtSettings::default()
    };
    assert!(setup_error(not_pem).ends_with("does not hold a public key in PEM"));

    let both = ["rsa.public", "ec.public"].map(|name| std::fs::read_to_string(fixture(name)).unwrap());
    let file = std::env::temp_dir().join(format!("otc-im-two-keys-{}.pem", std::process::id()));
    std::fs::write(&file, both.concat()).unwrap();
    let two = JwtSettings { public_key_file: Some(file.clone()), ..JwtSettings::default() };
    let said = setup_error(two);
    std::fs::remove_file(file).unwrap();
    assert!(said.contains("holds more than one key"), "{said}");

    for url in ["keys", "file:///etc/passwd", "ftp://issuer.example/keys"] {
        let settings = JwtSettings { jwks_url: Some(url.into()), ..JwtSettings::default() };
        assert_eq!(setup_error(settings), "auth.jwks_url must be an http or https URL");
    }
}

#[tokio::test]
async fn refuses_another_key_and_touched_claims() {
    let wrong = Signer::secret("another secret of thirty-two byte").token(None, &claims());
    assert_eq!(authenticator(hs256()).check(&wrong).await, refused(WRONG_SIGNATURE));
    let wrong = Signer::rsa("rsa-other").token(None, &claims());
    assert_eq!(authenticator(key_file("rsa.public")).check(&wrong).await, refused(WRONG_SIGNATURE));

    for (settings, signer) in [
        (hs256(), Signer::secret(SECRET)),
        (key_file("ec.public"), Signer::ec()),
        (key_file("ed25519.public"), Signer::ed25519()),
    ] {
        let token = signer.token(None, &claims());
        let parts: Vec<_> = token.split('.').collect();
        let bob = base64url(with("sub", json!("bob")).to_string().as_bytes());
        let touched = format!("{}.{bob}.{}", parts[0], parts[2]);
        assert_eq!(authenticator(settings).check(&touched).await, refused(WRONG_SIGNATURE));
    }
}

#[tokio::test]
async fn expiry_is_demanded_by_the_injected_clock() {
    let expired = refused("its exp is past: it has expired");
    for (exp, expected) in [
        (json!(NOW - 29), alice()),
        (json!(NOW - 30), expired.clone()),
        (json!(NOW - 29 * 60), expired.clone()),
        (json!(-1), expired),
        (json!(253_402_300_799_i64), alice()),
        (json!((NOW + 60) * 1000), refused("its exp is not in seconds since 1970")),
        (json!(1e300), refused("its exp is not in seconds since 1970")),
        (json!((NOW + 10).to_string()), refused("its exp is not a number")),
        (json!(true), refused("its exp is not a number")),
        (Value::Null, refused("its exp does not say when it expires")),
    ] {
        assert_eq!(check_hs256(&with("exp", exp.clone())).await, expected, "exp {exp}");
    }
    assert_eq!(
        check_hs256(&json!({ "sub": "alice" })).await,
        refused("its exp does not say when it expires")
    );

    let clock = TestClock::new();
    let authenticator = JwtAuthenticator::new(hs256(), clock.clone()).unwrap();
    let token = Signer::secret(SECRET).token(None, &claims());
    clock.set_millis((NOW + 3600 + 30) * 1000 - 1);
    assert_eq!(authenticator.check(&token).await, alice());
    clock.set_millis((NOW + 3600 + 30) * 1000);
    assert_eq!(authenticator.check(&token).await, refused("its exp is past: it has expired"));
}

#[tokio::test]
async fn only_what_was_accepted_is_remembered() {
    let (authenticator, signer) = (authenticator(key_file("rsa.public")), Signer::rsa("rsa"));
    let (good, expired) = (signer.token(None, &claims()), signer.token(None, &with("exp", json!(1))));
    for _ in 0..2 {
        assert_eq!(authenticator.check(&good).await, alice());
        assert_eq!(authenticator.check(&expired).await, refused("its exp is past: it has expired"));
        assert_eq!(authenticator.check(&format!("{good}A")).await, refused(WRONG_SIGNATURE));
        assert_eq!(authenticator.remembered(), 1);
    }
}

#[tokio::test]
async fn not_before_is_honoured() {
    for (nbf, expected) in [
        (json!(NOW), alice()),
        (json!(NOW + 30), alice()),
        (json!(NOW + 31), refused("its nbf is ahead: it is not valid yet")),
        (json!(NOW * 1000), refused("its nbf is not in seconds since 1970")),
        (json!("soon"), refused("its nbf is not a number")),
    ] {
        assert_eq!(check_hs256(&with("nbf", nbf.clone())).await, expected, "nbf {nbf}");
    }
}

#[tokio::test]
async fn the_subject_is_demanded() {
    let nobody = refused("its sub does not say whom it is for");
    for (sub, user) in [(json!(7), "7"), (json!(-7), "-7"), (json!(u64::MAX), "18446744073709551615")] {
        let caller = check_hs256(&with("sub", sub.clone())).await.unwrap();
        assert!(caller.is(user, LetterCase::Distinct), "sub {sub}");
    }
    for sub in [Value::Null, json!(""), json!(7.5), json!(1e30), json!(["alice"]), json!(true)] {
        let caller = check_hs256(&with("sub", sub.clone())).await;
        assert!(matches!(caller, Err(AuthError::Invalid(_))), "sub {sub}");
    }
    assert_eq!(check_hs256(&json!({ "exp": NOW + 1 })).await, nobody);
    let twice = format!(r#"{{"sub":"alice","sub":"bob","exp":{}}}"#, NOW + 1);
    let token = Signer::secret(SECRET).token_of(r#"{"alg":"HS256"}"#, &twice);
    assert_eq!(authenticator(hs256()).check(&token).await, refused(UNREADABLE));
}

#[tokio::test]
async fn issuer_and_audience_are_checked_when_configured() {
    let settings = JwtSettings { issuer: Some("site".into()), audience: Some("im".into()), ..hs256() };
    let authenticator = authenticator(settings);
    let (no_issuer, no_audience) =
        (refused("its iss is not our issuer"), refused("its aud is not our audience"));
    for (iss, aud, expected) in [
        (json!("site"), json!("im"), alice()),
        (json!("site"), json!(["shop", "im"]), alice()),
        (json!("other"), json!("im"), no_issuer.clone()),
        (json!(["site"]), json!("im"), no_issuer.clone()),
        (Value::Null, json!("im"), no_issuer),
        (json!("site"), json!("IM"), no_audience.clone()),
        (json!("site"), json!(["shop"]), no_audience.clone()),
        (json!("site"), json!([]), no_audience.clone()),
        (json!("site"), Value::Null, no_audience),
    ] {
        let claims = json!({ "sub": "alice", "exp": NOW + 60, "iss": iss, "aud": aud });
        let token = Signer::secret(SECRET).token(None, &claims);
        assert_eq!(authenticator.check(&token).await, expected, "{claims}");
    }
    let both = json!({ "sub": "alice", "exp": NOW + 60, "iss": "any", "aud": "any" });
    assert_eq!(check_hs256(&both).await, alice());
}

#[tokio::test]
async fn scopes_are_read_as_common_issuers_write_them() {
    let caller = check_hs256(&with("scope", json!("read  notify"))).await.unwrap();
    assert!(caller.is("alice", LetterCase::Distinct) && caller.may("notify") && caller.may("read"));
    assert!(!caller.is("bob", LetterCase::Distinct) && !caller.may("not") && !caller.may(""));
    assert!(!check_hs256(&with("scope", json!("notify-all"))).await.unwrap().may("notify"));
    for (claim, written) in [
        ("scope", json!(["notify"])),
        ("scope", json!(["openid read", "notify"])),
        ("scp", json!("read notify")),
        ("scp", json!(["notify"])),
        ("scope", json!(["notify", 7, null])),
    ] {
        assert!(check_hs256(&with(claim, written.clone())).await.unwrap().may("notify"), "{claim} {written}");
    }
    for odd in [json!(7), json!({"notify": true}), json!([["notify"]]), json!(true)] {
        let caller = check_hs256(&with("scope", odd.clone())).await.unwrap();
        assert!(caller.is("alice", LetterCase::Distinct) && !caller.may("notify"), "{odd}");
    }
}

#[tokio::test]
async fn reads_the_header_as_http_does() {
    let authenticator = authenticator(hs256());
    let token = Signer::secret(SECRET).token(None, &claims());
    for scheme in ["Bearer", "bearer", "BEARER", "Bearer "] {
        assert_eq!(authenticator.authenticate(Some(&format!("{scheme} {token}"))).await, alice());
    }
    assert_eq!(authenticator.authenticate(None).await, Err(AuthError::Missing));
    for other in ["", "Bearer", "Bearer ", "Basic YTpi", token.as_str()] {
        assert_eq!(authenticator.authenticate(Some(other)).await, Err(AuthError::Missing), "{other}");
    }
    for odd in ["x", "..", "a.b.c", "a.b.c.d", "e30.e30.e30", "\u{1f600}.\u{1f600}.\u{1f600}"] {
        assert_eq!(authenticator.check(odd).await, refused(UNREADABLE), "{odd}");
    }
    let fill = "x".repeat(MAX_AUTHORIZATION_BYTES);
    let long = Signer::secret(SECRET).token(None, &with("fill", json!(fill)));
    assert_eq!(authenticator.check(&long).await, refused("it is too long"));
}

#[tokio::test]
async fn refuses_extensions_that_must_be_understood() {
    let header = r#"{"alg":"HS256","crit":["b64"],"b64":false}"#;
    let token = Signer::secret(SECRET).token_of(header, &claims().to_string());
    assert_eq!(
        authenticator(hs256()).check(&token).await,
        refused("it wants extensions that we do not have")
    );
}

#[tokio::test]
async fn what_is_minted_is_taken() {
    let secret = SecretString::from(SECRET);
    let expires = u64::try_from(NOW + 60).unwrap();
    let settings = JwtSettings { issuer: Some("site".into()), audience: Some("im".into()), ..hs256() };
    let token = mint(&secret, "alice", "notify", expires, Some("site"), Some("im")).unwrap();
    let scopes = vec!["notify".to_owned()];
    assert_eq!(
        authenticator(settings).check(&token).await,
        Ok(Caller::Token { subject: "alice".into(), scopes, expires_at: EXPIRES })
    );
    let plain = mint(&secret, "alice", "", expires, None, None).unwrap();
    assert_eq!(authenticator(hs256()).check(&plain).await, alice());

    assert!(matches!(mint(&secret, "", "", expires, None, None), Err(MintError::EmptySubject)));
    assert!(matches!(mint(&"short".into(), "a", "", expires, None, None), Err(MintError::ShortSecret)));
}

#[tokio::test]
async fn when_a_token_stops_to_hold_is_told() {
    let secret = SecretString::from(SECRET);
    let token = mint(&secret, "alice", "", u64::try_from(NOW + 60).unwrap(), None, None).unwrap();
    let caller = authenticator(hs256()).authenticate(Some(&format!("Bearer {token}"))).await.unwrap();
    assert_eq!(
        caller.expires_at(),
        Some(Millis((NOW + 60 + 30) * 1000)),
        "clocks may differ by thirty seconds"
    );
}
