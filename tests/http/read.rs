//! Read marks that the site sets by itself, and NetEase being told of them.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::accounts::bind;
use super::stores_out_of_reach::site_with_proxy;
use super::webhook::unread;
use crate::support::client::{Client, token};
use crate::support::service::{Service, Site, eventually};
use crate::support::stores::{Stores, on_both_sets};

on_both_sets!(
    a_chat_that_the_site_shows_is_read,
    a_mark_up_to_a_message_leaves_what_is_later,
    a_mark_from_the_future_leaves_the_next_message_unread,
    a_site_reads_for_its_users_and_nobody_else_does,
    netease_is_told_of_what_was_read,
    netease_is_told_by_its_newer_api,
);

const PATH: &str = "/v1/read";

async fn running(stores: Stores) -> (Site, Service) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    (site, service)
}

async fn read(client: &Client, reader: &str, peer: &str) -> Value {
    client.as_user(reader).post(PATH, &json!({"self": reader, "peer": peer})).await.ok()
}

async fn a_chat_that_the_site_shows_is_read(stores: Stores) {
    let (site, service) = running(stores).await;
    let (alice, bob, carol) = (site.user("alice"), site.user("bob"), site.user("carol"));
    assert_eq!(read(&service.client, &alice, &bob).await, json!({"unread": 0}), "nobody has written");
    site.netease.send(&bob, &alice, 3).await;
    site.netease.send(&carol, &alice, 2).await;
    site.netease.send(&alice, &bob, 1).await;
    assert_eq!(unread(&service.client, &alice, &bob).await, 3);
    for _ in 0..2 {
        let answer = service.client.as_user(&alice).post(PATH, &json!({"self": alice, "peer": bob})).await;
        assert_eq!((answer.ok(), answer.header("cache-control")), (json!({"unread": 0}), "no-store"));
        assert_eq!(unread(&service.client, &alice, &bob).await, 0);
    }
    assert_eq!(unread(&service.client, &alice, &carol).await, 2, "another chat");
    assert_eq!(unread(&service.client, &bob, &alice).await, 1, "the other side of it");
    site.netease.send(&bob, &alice, 1).await;
    assert_eq!(unread(&service.client, &alice, &bob).await, 1, "it came after");

    // In the log, not in this process: another one says the same.
    read(&service.client, &alice, &bob).await;
    let other = site.start().await;
    assert_eq!(unread(&other.client, &alice, &bob).await, 0);
    assert_eq!(
        site.netease.calls("msg/markReadMsg").await,
        0,
        "NetEase is not told unless that is asked for"
    );
}

async fn a_mark_up_to_a_message_leaves_what_is_later(stores: Stores) {
    let (site, service) = running(stores).await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let mut times = Vec::new();
    for at in [1_000, 2_000, 3_000] {
        let said = json!({"from": bob, "to": alice, "timestamp": at, "force": true});
        times.push(site.netease.tell("send", said).await["messages"][0]["msgTimestamp"].clone());
    }
    let caller = service.client.as_user(&alice);
    let up_to = |at: &Value| json!({"self": alice, "peer": bob, "upTo": at});
    let fifteen_hundred = json!(1.5e3);
    for (at, left) in [(&json!(0), 3), (&fifteen_hundred, 2), (&times[1], 1), (&times[0], 1), (&times[2], 0)]
    {
        assert_eq!(caller.post(PATH, &up_to(at)).await.ok(), json!({"unread": left}), "{at}");
        assert_eq!(unread(&service.client, &alice, &bob).await, left, "{at}");
    }
}

async fn a_mark_from_the_future_leaves_the_next_message_unread(stores: Stores) {
    let (site, service) = running(stores).await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    site.netease.send(&bob, &alice, 1).await;
    let caller = service.client.as_user(&alice);
    for far in [json!(i64::MAX), json!(9e18), json!(4_000_000_000_000_u64)] {
        let mark = json!({"self": alice, "peer": bob, "upTo": far});
        assert_eq!(caller.post(PATH, &mark).await.ok(), json!({"unread": 0}));
    }
    let later = 3_000_000_000_000_u64;
    site.netease.tell("send", json!({"from": bob, "to": alice, "timestamp": later, "force": true})).await;
    assert_eq!(unread(&service.client, &alice, &bob).await, 1);
}

async fn a_site_reads_for_its_users_and_nobody_else_does(stores: Stores) {
    let (site, service) = running(stores).await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    site.netease.send(&bob, &alice, 2).await;
    let mark = json!({"self": alice, "peer": bob});
    service.client.as_user(&bob).post(PATH, &mark).await.problem(403, "forbidden");
    service.client.post(PATH, &mark).await.problem(401, "unauthorized");
    assert_eq!(unread(&service.client, &alice, &bob).await, 2);
    let server = service.client.with_token(token("site", "unread"));
    assert_eq!(server.post(PATH, &mark).await.ok(), json!({"unread": 0}));
}

async fn netease_is_told_of_what_was_read(stores: Stores) {
    is_told(stores, "v9", "msg/markReadMsg").await;
}

async fn netease_is_told_by_its_newer_api(stores: Stores) {
    is_told(stores, "v10", "v2/messages.p2p_read_receipt").await;
}

async fn is_told(stores: Stores, api: &str, call: &str) {
    let site = Site::new(stores).await.set("netease.tell_reads", "true").set("netease.api", api);
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    bind(&service.client, &alice, None, &bob).await;
    site.netease.send(&bob, &alice, 3).await;
    assert_eq!(site.netease.unread(&alice, &bob).await, 3);
    // Trouble that passes.
    site.netease.faults(json!({"failNext": [{"api": call, "mode": "503", "count": 2}]})).await;
    assert_eq!(read(&service.client, &alice, &bob).await, json!({"unread": 0}));
    eventually("NetEase is told", async || site.netease.unread(&alice, &bob).await == 0).await;
    // It copies the receipt to us, which says nothing new; nor does a repeated mark.
    site.netease.drain().await;
    let calls = site.netease.calls(call).await;
    assert_eq!(read(&service.client, &alice, &bob).await, json!({"unread": 0}));
    let told = "otc_im_reads_told_total 1\n";
    eventually("it is counted", async || service.client.get("/metrics").await.text.contains(told)).await;
    assert_eq!(site.netease.calls(call).await, calls);
}

#[tokio::test]
async fn a_wrong_type_or_a_broken_rule_names_its_field() {
    let (_site, service) = running(Stores::embedded()).await;
    let alice = service.client.as_user("alice");
    let cases = [
        ("self", json!({"peer": "bob"})),
        ("peer", json!({"self": "alice"})),
        ("peer", json!({"self": "alice", "peer": ""})),
        ("peer", json!({"self": "alice", "peer": ["bob"]})),
        ("upTo", json!({"self": "alice", "peer": "bob", "upTo": -1})),
        ("upTo", json!({"self": "alice", "peer": "bob", "upTo": "1"})),
        ("upTo", json!({"self": "alice", "peer": "bob", "upTo": 1.5})),
        ("upTo", json!({"self": "alice", "peer": "bob", "upTo": 9_223_372_036_854_775_808_u64})),
        ("upTo", json!({"self": "alice", "peer": "bob", "upTo": 1e300})),
        ("users", json!({"self": "alice", "peer": "bob", "users": []})),
    ];
    for (field, body) in cases {
        alice.post(PATH, &body).await.invalid(field);
    }
    alice.post_text(PATH, "{").await.problem(400, "unreadable");
    let to_oneself = json!({"self": "alice", "peer": "alice", "upTo": 1});
    assert_eq!(alice.post(PATH, &to_oneself).await.ok(), json!({"unread": 0}), "as a poll has it");
}

#[tokio::test]
async fn letter_case_tells_readers_apart_as_everywhere() {
    let site = Site::new(Stores::embedded()).await.set("accounts.case", "fold");
    let service = site.start().await;
    site.netease.send("bob", "alice", 1).await;
    let mark = json!({"self": "ALICE", "peer": "Bob"});
    assert_eq!(service.client.as_user("Alice").post(PATH, &mark).await.ok(), json!({"unread": 0}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_out_of_reach_is_503_and_the_same_call_again_mends_it() {
    for key in ["unread.url", "messages.url"] {
        let (site, service, proxy) = site_with_proxy(key).await;
        let (alice, bob) = (site.user("alice"), site.user("bob"));
        site.netease.send(&bob, &alice, 2).await;
        assert_eq!(unread(&service.client, &alice, &bob).await, 2);
        let (caller, mark) = (service.client.as_user(&alice), json!({"self": alice, "peer": bob}));
        proxy.cut();
        let refused = caller.post(PATH, &mark).await;
        assert!(["store_unavailable", "overloaded"].contains(&refused.json()["code"].as_str().unwrap()));
        refused.problem(503, refused.json()["code"].as_str().unwrap());
        proxy.mend();
        let again = async || caller.post(PATH, &mark).await.status == 200;
        eventually("the stores answer again", again).await;
        assert_eq!(unread(&service.client, &alice, &bob).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_cannot_be_owed_is_no_read() {
    let (site, _service, proxy) = site_with_proxy("accounts.url").await;
    let site = site.set("netease.tell_reads", "true");
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    site.netease.send(&bob, &alice, 2).await;
    proxy.cut();
    let mark = json!({"self": alice, "peer": bob});
    let refused = service.client.as_user(&alice).post(PATH, &mark).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!(unread(&service.client, &alice, &bob).await, 2, "or NetEase would never be told");
    proxy.mend();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_hangs_up_has_read_all_the_same() {
    let (site, service) = running(Stores::servers().await).await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    site.netease.send(&bob, &alice, 1).await;
    let body = json!({"self": alice, "peer": bob}).to_string();
    let request = service.client.as_user(&alice).request(Method::POST, PATH).body(body);
    eventually("a call whose caller did not wait was received", async || {
        let request = request.try_clone().expect("a body of text");
        let _ = request.timeout(Duration::from_millis(5)).send().await;
        unread(&service.client, &alice, &bob).await == 0
    })
    .await;
}
