//! Tokens under a published key set: which key verifies them, and when the set is fetched.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt, join_all};
use serde_json::{Value, json};

use super::super::test_support::*;
use super::super::*;
use crate::ports::authenticator::{AuthError, Caller};

const UNKNOWN_KEY: &str = "the key that signed it is not known";
const COOL_DOWN: Duration = Duration::from_mins(1);

/// An issuer with the RSA key `r` and the EC key `e`.
async fn issuer() -> (Arc<Issuer>, Arc<TestClock>, JwtAuthenticator) {
    let issuer = Issuer::publishing(&[Signer::rsa("rsa").jwk("r"), Signer::ec().jwk("e")]).await;
    let clock = TestClock::new();
    let authenticator = JwtAuthenticator::new(issuer.settings(), clock.clone()).unwrap();
    (issuer, clock, authenticator)
}

/// Tokens of today and of every day to come, as far as the clock moves here.
fn token(signer: &Signer, kid: &str) -> String {
    signer.token(Some(kid), &with("exp", json!(NOW + 1_000_000)))
}

/// Nobody can say, until then.
fn again_in(secs: u64) -> Result<Caller, AuthError> {
    Err(AuthError::KeysUnavailable { again_in: Duration::from_secs(secs) })
}

/// 200 callers at once, each with a key name of its own: how many of them were refused, and not put off.
async fn flood(authenticator: &JwtAuthenticator) -> usize {
    let signer = Signer::ec();
    let tokens: Vec<_> = (0..200).map(|i| token(&signer, &format!("made up {i}"))).collect();
    let outcomes = join_all(tokens.iter().map(|token| authenticator.check(token))).await;
    let refusals = outcomes.iter().filter(|outcome| **outcome == refused(UNKNOWN_KEY)).count();
    let put_off = outcomes.iter().filter(|outcome| matches!(outcome, Err(AuthError::KeysUnavailable { .. })));
    assert_eq!(refusals + put_off.count(), 200, "nobody is taken");
    refusals
}

/// Lets a fetch that nobody waits for come to its end.
async fn until(fetched: impl AsyncFn() -> bool) {
    let ended = async {
        while !fetched().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), ended).await.unwrap();
}

fn jwk_with(member: &str, value: Value) -> Value {
    let mut jwk = Signer::ec().jwk("e");
    jwk[member] = value;
    jwk
}

#[tokio::test]
async fn picks_the_key_by_its_name() {
    let (issuer, _, authenticator) = issuer().await;
    assert_eq!(issuer.fetches(), 0);
    assert_eq!(authenticator.check(&token(&Signer::rsa("rsa"), "r")).await, alice());
    assert_eq!(authenticator.check(&token(&Signer::ec(), "e")).await, alice());
    assert_eq!(
        authenticator.check(&token(&Signer::rsa("rsa-other"), "r")).await,
        refused("its signature does not match")
    );
    let wrong_algorithm = refused("its algorithm is not that of the key");
    assert_eq!(authenticator.check(&token(&Signer::ec(), "r")).await, wrong_algorithm);
    let modulus = Signer::rsa("rsa").jwk("r")["n"].as_str().unwrap().to_owned();
    assert_eq!(authenticator.check(&token(&Signer::secret(modulus), "r")).await, wrong_algorithm);
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn a_token_may_leave_the_name_out_if_there_is_one_key() {
    let (_, _, authenticator) = issuer().await;
    let nameless = Signer::ec().token(None, &claims());
    assert_eq!(authenticator.check(&nameless).await, refused("it does not say which key signed it"));

    let issuer = Issuer::publishing(&[Signer::ec().jwk("e")]).await;
    let authenticator = test_support::authenticator(issuer.settings());
    assert_eq!(authenticator.check(&nameless).await, alice());
}

#[tokio::test]
async fn a_flood_of_unknown_names_costs_one_fetch_per_cool_down() {
    let (issuer, clock, authenticator) = issuer().await;
    flood(&authenticator).await;
    flood(&authenticator).await;
    assert_eq!(issuer.fetches(), 1);

    clock.advance(Duration::from_millis(59_999));
    flood(&authenticator).await;
    assert_eq!(issuer.fetches(), 1);
    clock.advance(Duration::from_millis(1));
    assert_eq!(
        flood(&authenticator).await,
        200,
        "a fetch that began after all of them did not bring their keys"
    );
    assert_eq!(issuer.fetches(), 2);
    assert_eq!(flood(&authenticator).await, 200);
    assert_eq!(issuer.fetches(), 2);
    assert_eq!(authenticator.check(&token(&Signer::ec(), "e")).await, alice());
}

#[tokio::test]
async fn callers_share_the_fetch_in_flight() {
    let issuer = Issuer::publishing(&[Signer::ec().jwk("e")]).await;
    let authenticator = authenticator(JwtSettings { jwks_cool_down: Duration::ZERO, ..issuer.settings() });
    let token = token(&Signer::ec(), "e");
    for outcome in join_all((0..200).map(|_| authenticator.check(&token))).await {
        assert_eq!(outcome, alice());
    }
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_on_its_first_token() {
    let (issuer, clock, authenticator) = issuer().await;
    let new = token(&Signer::rsa("rsa-other"), "new");
    assert_eq!(authenticator.check(&new).await, refused(UNKNOWN_KEY));
    issuer.publish(&[Signer::rsa("rsa-other").jwk("new")]);
    clock.advance(COOL_DOWN);
    assert_eq!(authenticator.check(&new).await, alice());
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn a_key_published_within_the_cool_down_is_waited_for_and_not_refused() {
    let (issuer, clock, authenticator) = issuer().await;
    assert_eq!(authenticator.check(&token(&Signer::ec(), "e")).await, alice());
    let new = token(&Signer::rsa("rsa-other"), "new");
    clock.advance(Duration::from_secs(10));
    issuer.publish(&[Signer::rsa("rsa-other").jwk("new")]);
    assert_eq!(authenticator.check(&new).await, again_in(50));
    clock.advance(Duration::from_millis(20_500));
    assert_eq!(
        authenticator.check(&new).await,
        Err(AuthError::KeysUnavailable { again_in: Duration::from_millis(29_500) })
    );
    assert_eq!(issuer.fetches(), 1);
    clock.advance(Duration::from_millis(29_500));
    assert_eq!(authenticator.check(&new).await, alice());
    assert_eq!(issuer.fetches(), 2);

    // One whose key never comes is refused, but not before a fetch has shown it.
    let never = token(&Signer::ec(), "never");
    assert_eq!(authenticator.check(&never).await, again_in(60));
    clock.advance(COOL_DOWN);
    assert_eq!(authenticator.check(&never).await, refused(UNKNOWN_KEY));
    assert_eq!(authenticator.check(&never).await, refused(UNKNOWN_KEY));
    assert_eq!(issuer.fetches(), 3);
}

#[tokio::test]
async fn without_any_keys_the_back_off_begins_at_a_second_and_doubles() {
    let (issuer, clock, authenticator) = issuer().await;
    issuer.answer(500, "");
    let token = token(&Signer::ec(), "e");
    for (fetch, pause) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60)] {
        let outcomes = join_all((0..200).map(|_| authenticator.check(&token))).await;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(AuthError::KeysUnavailable { .. }))));
        assert_eq!(authenticator.check(&token).await, again_in(pause));
        assert_eq!(issuer.fetches(), fetch);
        clock.advance(Duration::from_secs(pause));
    }
    issuer.publish(&[Signer::ec().jwk("e")]);
    assert_eq!(authenticator.check(&token).await, alice());
}

/// A listener that takes connections and never answers.
async fn silent() -> (tokio::net::TcpListener, JwtSettings) {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = JwtSettings {
        jwks_url: Some(format!("http://{}/", silent.local_addr().unwrap())),
        jwks_wait: Duration::from_millis(20),
        ..JwtSettings::default()
    };
    (silent, settings)
}

#[tokio::test]
async fn a_silent_issuer_is_not_waited_for_to_the_end() {
    let (_silent, settings) = silent().await;
    let token = token(&Signer::ec(), "e");
    assert_eq!(authenticator(settings).check(&token).await, again_in(1));
    let (_silent, settings) = silent().await;
    let settings = JwtSettings { jwks_timeout: Duration::from_millis(20), ..settings };
    let authenticator = authenticator(JwtSettings { jwks_wait: Duration::from_secs(5), ..settings });
    assert_eq!(authenticator.check(&token).await, again_in(1), "given up on");
}

#[tokio::test]
async fn keys_in_hand_are_served_while_the_issuer_is_silent() {
    let issuer = Issuer::publishing(&[Signer::ec().jwk("e")]).await;
    let clock = TestClock::new();
    let settings = JwtSettings { jwks_wait: Duration::from_millis(20), ..issuer.settings() };
    let authenticator = JwtAuthenticator::new(settings, clock.clone()).unwrap();
    let known = token(&Signer::ec(), "e");
    assert_eq!(authenticator.check(&known).await, alice());
    issuer.fall_silent();
    for hour in 1..=3 {
        clock.advance(Duration::from_hours(1));
        for _ in 0..10 {
            assert_eq!(
                authenticator.check(&known).now_or_never(),
                Some(alice()),
                "hour {hour}: no wait at all"
            );
        }
        until(async || issuer.fetches() == 2).await;
    }
    assert_eq!(authenticator.check(&token(&Signer::ec(), "new")).await, again_in(1), "still under way");
    assert_eq!(issuer.fetches(), 2, "one fetch at a time");
}

#[tokio::test]
async fn a_set_without_a_usable_key_replaces_nothing() {
    let (issuer, clock, authenticator) = issuer().await;
    assert_eq!(authenticator.probe().await, Ok(()));
    let known = token(&Signer::ec(), "e");
    assert_eq!(authenticator.check(&known).await, alice());
    for (keys, why) in [(&[][..], "holds no key"), (&[Signer::secret(SECRET).jwk("e")], "is a secret")] {
        issuer.publish(keys);
        let fetched = issuer.fetches();
        clock.advance(REFRESH_AGE);
        assert_eq!(authenticator.check(&known).await, alice());
        until(async || issuer.fetches() > fetched).await;
        assert_eq!(authenticator.check(&known).await, alice());
        assert!(authenticator.probe().await.unwrap_err().contains(why));
    }
    issuer.answer(503, "");
    assert!(authenticator.probe().await.unwrap_err().contains("status 503"));
}

#[tokio::test]
async fn a_removed_key_is_dropped_in_the_background() {
    let (issuer, clock, authenticator) = issuer().await;
    let (removed, kept) = (token(&Signer::ec(), "e"), token(&Signer::rsa("rsa"), "r"));
    assert_eq!(authenticator.check(&removed).await, alice());
    issuer.publish(&[Signer::rsa("rsa").jwk("r")]);

    clock.advance(REFRESH_AGE);
    assert_eq!(authenticator.check(&removed).await, alice());
    until(async || authenticator.check(&removed).await.is_err()).await;
    assert_eq!(authenticator.check(&removed).await, refused(UNKNOWN_KEY), "removed, not new");
    assert_eq!(authenticator.check(&kept).await, alice());
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn a_key_replaced_under_its_name_no_longer_vouches_for_what_it_signed() {
    let (issuer, clock, authenticator) = issuer().await;
    let signed = token(&Signer::rsa("rsa"), "r");
    assert_eq!(authenticator.check(&signed).await, alice());
    issuer.publish(&[Signer::rsa("rsa-other").jwk("r")]);
    clock.advance(REFRESH_AGE);
    until(async || authenticator.check(&signed).await.is_err()).await;
    assert_eq!(authenticator.check(&signed).await, refused("its signature does not match"));
}

#[tokio::test]
async fn keys_stay_in_force_while_the_issuer_is_out() {
    let (issuer, clock, authenticator) = issuer().await;
    let token_of = |kid| token(&Signer::ec(), kid);
    assert_eq!(authenticator.check(&token_of("e")).await, alice());
    let answers = [
        (503, String::new()),
        (302, String::new()),
        (200, "<html>".to_owned()),
        (200, "[]".to_owned()),
        (200, format!(r#"{{"keys":[],"fill":"{}"}}"#, "x".repeat(MAX_DOCUMENT_BYTES))),
    ];
    for (i, (status, body)) in answers.into_iter().enumerate() {
        issuer.answer(status, body);
        clock.advance(COOL_DOWN);
        assert_eq!(authenticator.check(&token_of("e")).await, alice());
        assert_eq!(authenticator.check(&token_of("new")).await, again_in(60));
        assert_eq!(issuer.fetches(), i + 2);
    }
}

#[tokio::test]
async fn a_clock_that_jumps_back_does_not_stop_fetching() {
    let (issuer, clock, authenticator) = issuer().await;
    assert_eq!(authenticator.check(&token(&Signer::ec(), "e")).await, alice());
    clock.set_millis(1000);
    issuer.publish(&[Signer::rsa("rsa").jwk("r")]);
    until(async || authenticator.check(&token(&Signer::ec(), "e")).await.is_err()).await;
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn a_fetch_outlives_the_caller_that_began_it() {
    let (issuer, _, authenticator) = issuer().await;
    let token = token(&Signer::ec(), "e");
    assert!(authenticator.check(&token).now_or_never().is_none());
    assert_eq!(authenticator.check(&token).await, alice());
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn passes_over_keys_that_are_not_for_us() {
    let token = token(&Signer::ec(), "e");
    let unusable =
        refused("the key that signed it is published, but of no kind, use or algorithm that we take");
    let named = [
        jwk_with("use", json!("enc")),
        jwk_with("key_ops", json!(["sign"])),
        jwk_with("alg", json!("ES384")),
        jwk_with("crv", json!("P-384")),
        jwk_with("crv", json!("secp256k1")),
        jwk_with("x", json!("AAAA")),
        jwk_with("kty", json!("OKP")),
        Signer::secret(SECRET).jwk("e"),
    ];
    let nameless = [jwk_with("kid", json!(7)), json!("not a key"), json!({})];
    let outcomes = named.iter().map(|key| (key, &unusable));
    let unknown = refused(UNKNOWN_KEY);
    for (key, expected) in outcomes.chain(nameless.iter().map(|key| (key, &unknown))) {
        let issuer = Issuer::publishing(&[key.clone(), Signer::rsa("rsa").jwk("r")]).await;
        assert_eq!(authenticator(issuer.settings()).check(&token).await, *expected, "{key}");
    }
    // Beside all of these the good one is still found.
    let mut good = jwk_with("use", json!("sig"));
    good["alg"] = json!("ES256");
    good["key_ops"] = json!(["verify"]);
    let issuer = Issuer::publishing(&[&named[..], &nameless[..], &[good]].concat()).await;
    assert_eq!(authenticator(issuer.settings()).check(&token).await, alice());
}

#[tokio::test]
async fn keeps_so_many_keys_and_no_more() {
    let keys: Vec<_> = (0..65).map(|i| Signer::ec().jwk(&format!("k{i}"))).collect();
    let issuer = Issuer::publishing(&keys).await;
    let authenticator = authenticator(issuer.settings());
    assert_eq!(authenticator.check(&token(&Signer::ec(), "k63")).await, alice());
    assert_eq!(authenticator.check(&token(&Signer::ec(), "k64")).await, again_in(60));
}
