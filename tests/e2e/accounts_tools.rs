//! `otc-im accounts`: a token is replaced, and what NetEase lost or shows wrongly is put right.

use otc_im::domain::ids::Accid;
use serde_json::{Value, json};

use crate::gateway::gateway;
use crate::support::netease::NetEase;
use crate::support::process::run;
use crate::support::service::{Service, Site, eventually};
use crate::support::stores::{Stores, on_both_sets};

on_both_sets!(
    a_refreshed_token_is_the_one_that_works,
    what_netease_does_not_know_is_made_again_with_the_same_token,
    a_row_of_before_is_let_go_and_its_owner_binds,
    a_login_that_is_not_ours_is_left_alone_unless_the_operator_says_so,
);

async fn bind(service: &Service, buyer: &str, name: &str, seller: &str) -> Value {
    let body = json!({"buyer": buyer, "buyerName": name, "seller": seller});
    service.client.as_user(buyer).post("/v1/accounts/bind", &body).await.ok()
}

fn token(bound: &Value) -> &str {
    bound["token"].as_str().expect("a token")
}

/// Runs `otc-im accounts …`; answers the exit code and standard output.
fn accounts(site: &Site, arguments: &[&str]) -> (Option<i32>, String) {
    let (code, out, log) =
        run(&[&["accounts"], arguments].concat(), &site.settings(), site.stores.folder.path());
    assert!(!log.contains("panic"), "{log}");
    (code, out)
}

async fn a_refreshed_token_is_the_one_that_works(stores: Stores) {
    let site = Site::new(stores).await.set("accounts.cache_ttl", "100ms");
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let before = bind(&service, &alice, "Alice", &bob).await;
    let (code, out) = accounts(&site, &["refresh", &alice]);
    assert_eq!((code, out.contains("100ms (accounts.cache_ttl)")), (Some(0), true), "{out}");
    let new = async || bind(&service, &alice, "Alice", &bob).await != before;
    eventually("the new token is handed out", new).await;
    let after = bind(&service, &alice, "Alice", &bob).await;
    assert!(site.netease.login(&alice, token(&after)).await);
    assert!(!site.netease.login(&alice, token(&before)).await, "the old one is void");
    assert_eq!(after["friend"]["state"], "added");
    assert_eq!(accounts(&site, &["refresh", &site.user("nobody")]).0, Some(1));
}

async fn what_netease_does_not_know_is_made_again_with_the_same_token(stores: Stores) {
    let site = Site::new(stores).await.set("accounts.cache_ttl", "100ms");
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let before = bind(&service, &alice, "Alice", &bob).await;
    assert!(accounts(&site, &["verify"]).1.contains("2 accounts: 0 had drifted"));

    let forgetful = NetEase::start().await;
    let elsewhere = site.set("netease.base_url", &forgetful.base_url());
    let (code, out) = accounts(&elsewhere, &["verify"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("2 accounts: 2 had drifted, 0"), "{out}");
    assert!(forgetful.login(&alice, token(&before)).await, "the token is the one that clients have");
    let again = elsewhere.start().await;
    assert_eq!(bind(&again, &alice, "Alice", &bob).await, before);
    let account = forgetful.look(&format!("accounts/{alice}")).await;
    assert_eq!(
        (&account["name"], &account["friends"]),
        (&json!("Alice"), &json!([bob])),
        "friends again too"
    );
}

async fn a_row_of_before_is_let_go_and_its_owner_binds(stores: Stores) {
    let site = Site::new(stores).await.set("accounts.cache_ttl", "100ms").set("accounts.case", "fold");
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let capital = alice.replace("alice", "Alice");
    // Where case told nobody apart, the accid is that of the folded id, and the row holds what was written.
    bind(&site.start().await, &capital, "Alice", &bob).await;
    let site = site.set("accounts.case", "distinct");
    let service = site.start().await;
    let request = json!({"buyer": alice, "seller": bob});
    let refused = service.client.as_user(&alice).post("/v1/accounts/bind", &request).await;
    let problem = refused.problem(409, "account_taken");
    let way_out = format!("otc-im accounts release {alice}");
    assert!(problem["detail"].as_str().unwrap().contains(&way_out), "{problem}");

    let (code, out) = accounts(&site, &["show", &alice]);
    assert_eq!((code, out.contains(&capital), out.contains("letter case")), (Some(0), true, true), "{out}");
    let (code, out) = accounts(&site, &["release", &alice]);
    assert_eq!((code, out.starts_with(&alice), out.contains(&capital)), (Some(0), true, true), "{out}");
    let free =
        async || service.client.as_user(&alice).post("/v1/accounts/bind", &request).await.status == 200;
    eventually("the row is gone from the cache too", free).await;
    let bound = bind(&service, &alice, "Alice", &bob).await;
    assert!(site.netease.login(&alice, token(&bound)).await);
    assert_eq!(bound["friend"]["state"], "added");
    let (code, out) = accounts(&site, &["show", &alice]);
    assert_eq!(
        (code, out.contains("letter case"), out.contains(token(&bound))),
        (Some(0), false, false),
        "{out}"
    );
    for action in ["show", "release", "refresh"] {
        let (code, out) = accounts(&site, &[action, &site.user("alcie")]);
        assert_eq!((code, out.contains("has no account yet")), (Some(1), true), "{action}: {out}");
    }
}

async fn a_login_that_is_not_ours_is_left_alone_unless_the_operator_says_so(stores: Stores) {
    let site = Site::new(stores).await.set("accounts.cache_ttl", "100ms");
    let service = site.start().await;
    let (alice, desk) = (site.user("alice"), site.user("desk"));
    let accid = Accid::from_nim(&desk).unwrap();
    gateway(&site.netease).create_user(&accid, "their own", None).await.unwrap();
    bind(&service, &alice, "Alice", &desk).await;

    let (code, out) = accounts(&site, &["verify", "--set-tokens"]);
    let summary = "2 accounts: 0 had drifted, 0 of all could not be put right; 1 have a token that is not ours; \
                   tokens set: 1\n";
    assert_eq!((code, out.contains(summary)), (Some(0), true), "{out}");
    assert!(site.netease.login(&desk, "their own").await);
    assert!(accounts(&site, &["show", &desk]).1.contains("a token that is not ours"));

    assert_eq!(accounts(&site, &["refresh", &desk]).0, Some(0));
    assert!(!site.netease.login(&desk, "their own").await);
    assert!(accounts(&site, &["verify"]).1.contains("; 0 have a token"));
    let ours = async || {
        let request = json!({"buyer": desk, "seller": alice});
        let bound = service.client.as_user(&desk).post("/v1/accounts/bind", &request).await.ok();
        site.netease.login(&desk, token(&bound)).await
    };
    eventually("the operator's token is the one that is handed out", ours).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_after_an_accid_whatever_its_form() {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    let bound = bind(&service, "张三", "张三", "x").await;
    let hashed = bound["accid"].as_str().unwrap();
    let (code, out) = accounts(&site, &["verify", "--after", hashed]);
    assert_eq!((code, out.contains("1 accounts")), (Some(0), true), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_and_a_name_that_differ_at_netease_are_set_again() {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    let bound = bind(&service, "alice", "Alice", "bob").await;
    let other = gateway(&site.netease);
    let alice = Accid::from_nim("alice").unwrap();
    other.set_token(&alice, "somebody else's").await.unwrap();
    other.set_name(&alice, "Mallory").await.unwrap();

    let (code, out) = accounts(&site, &["verify"]);
    assert_eq!(
        (code, out.contains("alice  NetEase shows another name: put right")),
        (Some(0), true),
        "{out}"
    );
    assert!(!out.contains("tokens set"), "nobody asked for it: {out}");
    assert!(!site.netease.login("alice", token(&bound)).await, "NetEase does not tell which token it has");
    let (code, out) = accounts(&site, &["verify", "--set-tokens"]);
    assert_eq!((code, out.contains("; tokens set: 2\n")), (Some(0), true), "{out}");
    assert!(site.netease.login("alice", token(&bound)).await);
    assert_eq!(site.netease.look("accounts/alice").await["name"], "Alice");
    assert!(accounts(&site, &["verify", "--after", "alice"]).1.contains("1 accounts"), "bob alone");
}
