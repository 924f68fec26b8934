//! Binding while NetEase is down, closed, or says no; and binds that make no sense.

use serde_json::{Value, json};

use super::accounts::bind;
use crate::support::client::Answer;
use crate::support::service::{Service, Site, eventually};
use crate::support::stores::{Stores, on_both_sets};

on_both_sets!(
    while_netease_is_down_known_pairs_are_answered_and_new_ones_wait,
    an_account_row_written_before_netease_failed_is_finished_later,
);

async fn try_bind(service: &Service, buyer: &str, seller: &str) -> Answer {
    let body = json!({"buyer": buyer, "seller": seller});
    service.client.as_user(buyer).post("/v1/accounts/bind", &body).await
}

async fn while_netease_is_down_known_pairs_are_answered_and_new_ones_wait(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, bob, carol) = (site.user("alice"), site.user("bob"), site.user("carol"));
    let bound = bind(&service.client, &alice, Some("Alice"), &bob).await;

    site.netease.faults(json!({"apiDown": true})).await;
    assert_eq!(bind(&service.client, &alice, Some("Alice"), &bob).await, bound);
    let pending = bind(&service.client, &alice, None, &carol).await;
    assert_eq!(pending["friend"], json!({"accid": carol, "state": "pending"}));
    assert_eq!(pending["token"], bound["token"]);
    try_bind(&service, &carol, &bob).await.problem(503, "netease_unavailable");
    let again = site.start().await;
    assert_eq!(bind(&again.client, &alice, None, &bob).await, bound, "with a cold cache too");

    site.netease.faults(json!({})).await;
    let friends = async || site.netease.look(&format!("accounts/{carol}")).await["friends"] == json!([alice]);
    eventually("the friendship that was owed is made, without another bind", friends).await;
    let added = bind(&service.client, &alice, None, &carol).await;
    assert_eq!(added["friend"]["state"], "added");
}

async fn an_account_row_written_before_netease_failed_is_finished_later(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let lost = json!({"api": "user/create", "mode": "lose-reply", "count": 2});
    let cut = json!({"api": "user/update", "mode": "refuse-then-cut", "count": 2});
    site.netease.faults(json!({"failNext": [lost, cut]})).await;

    for _ in ["made, but nobody knows", "found, but not ours yet"] {
        try_bind(&service, &alice, &bob).await.problem(503, "netease_unavailable");
    }
    let bound = bind(&service.client, &alice, Some("Alice"), &bob).await;
    assert!(site.netease.login(&alice, bound["token"].as_str().unwrap()).await);
    let account = site.netease.look(&format!("accounts/{alice}")).await;
    assert_eq!((&account["name"], &account["friends"]), (&json!("Alice"), &json!([bob])));
    assert_eq!(bound["friend"]["state"], "added");
}

async fn site() -> (Site, Service) {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    (site, service)
}

#[tokio::test]
async fn a_new_buyer_is_told_to_come_back_when_netease_refuses_connections() {
    let (site, service) = site().await;
    let alice = site.user("alice");
    site.netease.stop().await;
    try_bind(&service, &alice, "bob").await.problem(503, "netease_unavailable");
}

#[tokio::test]
async fn too_many_calls_to_netease_are_429_for_a_new_buyer_and_pending_for_a_known_one() {
    let (site, service) = site().await;
    bind(&service.client, "alice", None, "bob").await;
    let closed = json!({"api": "user/create", "mode": "416"});
    site.netease.faults(json!({"failNext": [closed]})).await;
    for stranger in ["dave", "erin"] {
        let answer = try_bind(&service, stranger, "bob").await;
        let problem = answer.problem(429, "netease_busy");
        let said = format!("closed for another {} s", answer.header("retry-after"));
        assert!(problem["detail"].as_str().unwrap().contains(&said), "{said}: {problem}");
    }
    assert_eq!(bind(&service.client, "alice", None, "carol").await["friend"]["state"], "pending");
    assert_eq!(site.netease.calls("user/create").await, 3, "the last one was not made: it is still closed");
    // This instance waits until NetEase takes such calls again; another one knows nothing of that.
    let again = site.start().await;
    assert_eq!(bind(&again.client, "alice", None, "carol").await["friend"]["state"], "added");
}

#[tokio::test]
async fn a_final_no_of_netease_is_502_with_its_code_and_asked_once() {
    let (site, service) = site().await;
    for code in ["414", "403", "405", "422"] {
        let calls = site.netease.calls("user/create").await;
        let refusal = json!({"api": "user/create", "mode": code, "count": 2});
        site.netease.faults(json!({"failNext": [refusal]})).await;
        let problem = try_bind(&service, "alice", "bob").await.problem(502, "netease_rejected");
        assert!(problem["detail"].as_str().unwrap().contains(code), "{problem}");
        assert_eq!(site.netease.calls("user/create").await, calls + 1);
    }
    site.netease.faults(json!({})).await;
    assert_eq!(bind(&service.client, "alice", None, "bob").await["friend"]["state"], "added");
}

#[tokio::test]
async fn a_friendship_that_netease_refuses_for_good_costs_nobody_their_token() {
    let (site, service) = site().await;
    let token = bind(&service.client, "alice", None, "carol").await["token"].clone();
    let refusals =
        [("friend/add", "419"), ("friend/add", "7101"), ("friend/add", "403"), ("user/create", "403")];
    for (n, (api, code)) in refusals.into_iter().enumerate() {
        let (seller, calls) = (format!("seller-{n}"), site.netease.calls(api).await);
        site.netease.faults(json!({"failNext": [{"api": api, "mode": code}]})).await;
        let bound = bind(&service.client, "alice", None, &seller).await;
        assert_eq!((&bound["token"], &bound["friend"]["state"]), (&token, &json!("refused")), "{code}");
        let reason = bound["friend"]["reason"].as_str().unwrap();
        assert!(reason.contains(code) && reason.contains(api), "{reason}");
        assert_eq!(site.netease.calls(api).await, calls + 1, "asked once");
        let added = bind(&service.client, "alice", None, &seller).await;
        assert_eq!(added["friend"], json!({"accid": seller, "state": "added"}), "it is not remembered");
    }
}

#[tokio::test]
async fn an_account_to_which_nobody_gave_a_name_shows_the_user_id() {
    let (site, service) = site().await;
    let name = async |accid: &str| site.netease.look(&format!("accounts/{accid}")).await["name"].clone();
    let bound = bind(&service.client, "张三", None, "李四").await;
    let [buyer, seller] = [&bound["accid"], &bound["friend"]["accid"]].map(|accid| accid.as_str().unwrap());
    assert_eq!((name(buyer).await, name(seller).await), (json!("张三"), json!("李四")));
    let order = json!({"to": "王五", "attach": "hello"});
    let sent = service.client.as_user("site").post("/v1/notifications", &order).await;
    assert_eq!((sent.status, &sent.json()["state"]), (202, &json!("sent")));
    let recipient = otc_im::domain::ids::Accid::of_user("王五");
    assert_eq!(name(recipient.as_str()).await, "王五");
    // A name that is given later is the one; an account that NetEase had before keeps its own.
    bind(&service.client, "李四", Some("Li Si"), "张三").await;
    assert_eq!(name(seller).await, "Li Si");
}

#[tokio::test]
async fn passing_trouble_at_netease_goes_unnoticed() {
    let (site, service) = site().await;
    for (n, mode) in ["502", "503", "408", "415", "500", "514", "431"].into_iter().enumerate() {
        let fault = |api| json!({"api": api, "mode": mode});
        site.netease.faults(json!({"failNext": [fault("user/create"), fault("friend/add")]})).await;
        let bound = bind(&service.client, &format!("buyer-{n}"), None, "bob").await;
        assert_eq!(bound["friend"]["state"], "added", "{mode}");
    }
}

#[tokio::test]
async fn a_bind_that_breaks_a_rule_names_the_field() {
    let (_site, service) = site().await;
    let alice = service.client.as_user("alice");
    let good = json!({"buyer": "alice", "buyerName": "Alice", "seller": "bob"});
    let faults: [(&str, Value); 11] = [
        ("buyer", json!("")),
        ("buyer", json!("x".repeat(129))),
        ("buyer", json!("a\u{0}b")),
        ("buyer", json!(7)),
        ("buyerName", json!("")),
        ("buyerName", json!("x".repeat(65))),
        ("buyerName", json!("two\nlines")),
        ("buyerName", json!(["Alice"])),
        ("seller", json!("alice")),
        ("seller", json!(null)),
        ("shop", json!("an unknown field")),
    ];
    for (field, value) in faults {
        let mut body = good.clone();
        body[field] = value;
        alice.post("/v1/accounts/bind", &body).await.invalid(field);
    }
    for missing in ["buyer", "seller"] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(missing);
        let problem = alice.post("/v1/accounts/bind", &body).await.problem(422, "invalid");
        assert!(problem["detail"].as_str().unwrap().contains(missing), "{problem}");
    }
    alice.post_text("/v1/accounts/bind", "{\"buyer\"").await.problem(400, "unreadable");
    let other = service.client.as_user("mallory").post("/v1/accounts/bind", &good).await;
    other.problem(403, "forbidden");
    service.client.post("/v1/accounts/bind", &good).await.problem(401, "unauthorized");
}
