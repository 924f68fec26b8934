//! What becomes of a notice once it is accepted: sent at once, later, never, or nobody knows; and told by its id.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::notifications::{PATH, notices, notify, site};
use crate::support::client::{Answer, Client, send};
use crate::support::service::{Service, Site, eventually};
use crate::support::stores::{Stores, on_both_sets};

on_both_sets!(
    a_notice_is_told_by_its_id_across_instances_and_restarts,
    what_netease_did_not_take_is_queued_and_sent_later_in_order,
    a_repeated_key_answers_the_same_notice_and_sends_none,
    a_key_used_by_many_at_once_on_two_instances_sends_one_notice,
    what_is_no_id_is_not_found_on_any_store,
);

fn order(to: &str, n: u32) -> Value {
    json!({"to": to, "attach": {"n": n}})
}

async fn look_up(client: &Client, id: &str) -> Value {
    client.as_user("shop").get(&format!("{PATH}/{id}")).await.ok()
}

/// Posts with a key.
async fn repeatable(client: &Client, caller: &str, key: &str, body: &Value) -> Answer {
    let request = client.as_user(caller).request(reqwest::Method::POST, PATH);
    send(request.header("Idempotency-Key", key).body(body.to_string())).await
}

fn id_of(answer: &Value) -> String {
    answer["id"].as_str().expect("an id").to_owned()
}

/// The order of the notices that a recipient got.
async fn received(site: &Site, to: &str) -> Vec<u64> {
    let number = |notice: &Value| {
        let attach: Value = serde_json::from_str(notice["attach"].as_str().unwrap()).unwrap();
        attach["n"].as_u64().unwrap()
    };
    notices(site, to).await.iter().map(number).collect()
}

async fn state_of(client: &Client, id: &str) -> String {
    look_up(client, id).await["state"].as_str().unwrap().to_owned()
}

async fn becomes(client: &Client, id: &str, state: &str) -> Value {
    eventually(state, async || look_up(client, id).await["state"] == state).await;
    look_up(client, id).await
}

async fn a_notice_is_told_by_its_id_across_instances_and_restarts(stores: Stores) {
    let site = Site::new(stores).await;
    let first = site.start().await;
    let sent = notify(&first.client, &order(&site.user("alice"), 1)).await.ok();
    assert_eq!(sent["state"], "sent");
    drop(first);
    let second = site.start().await;
    let told = look_up(&second.client, &id_of(&sent)).await;
    assert_eq!(told, json!({"id": sent["id"], "state": "sent", "attempts": 1}));
}

async fn what_netease_did_not_take_is_queued_and_sent_later_in_order(stores: Stores) {
    let site = Site::new(stores).await.set("notifications.patience", "200ms");
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    notify(&service.client, &order(&alice, 0)).await.ok();
    let gone = json!({"api": "msg/sendAttachMsg", "mode": "502", "count": 6});
    site.netease.faults(json!({"failNext": [gone]})).await;
    let mut ids = Vec::new();
    for n in 1..=4 {
        let queued = notify(&service.client, &order(&alice, n)).await.ok();
        assert_eq!(queued["state"], "queued", "{queued}");
        ids.push(id_of(&queued));
    }
    notify(&service.client, &order(&bob, 9)).await.ok();
    for id in &ids {
        becomes(&service.client, id, "sent").await;
    }
    assert_eq!(received(&site, &alice).await, [0, 1, 2, 3, 4]);
    eventually("the other recipient has theirs", async || received(&site, &bob).await == [9]).await;
}

async fn a_repeated_key_answers_the_same_notice_and_sends_none(stores: Stores) {
    let site = Site::new(stores).await;
    let first = site.start().await;
    let alice = site.user("alice");
    let sent = repeatable(&first.client, "shop", "key-1", &order(&alice, 1)).await;
    assert_eq!((sent.status, &sent.ok()["state"]), (202, &json!("sent")));
    let quoted = repeatable(&first.client, "shop", "\"key-1\"", &order(&alice, 1)).await;
    assert_eq!((quoted.status, quoted.ok()), (202, sent.ok()));
    drop(first);
    let second = site.start().await;
    let spaced = json!({"attach": {"n": 1}, "to": alice}).to_string().replace(':', " : ");
    let request = second.client.as_user("shop").request(reqwest::Method::POST, PATH);
    let again = send(request.header("Idempotency-Key", "key-1").body(spaced)).await;
    assert_eq!(again.ok(), sent.ok(), "the same meaning, after a restart");
    assert_eq!(received(&site, &alice).await, [1]);

    repeatable(&second.client, "shop", "key-1", &order(&alice, 2)).await.invalid("Idempotency-Key");
    let other_key = repeatable(&second.client, "shop", "key-2", &order(&alice, 2)).await.ok();
    let other_caller = repeatable(&second.client, "stall", "key-1", &order(&alice, 3)).await.ok();
    assert_ne!((&other_key["id"], &other_caller["id"]), (&sent.ok()["id"], &other_key["id"]));
    assert_eq!(received(&site, &alice).await, [1, 2, 3]);
}

async fn a_key_used_by_many_at_once_on_two_instances_sends_one_notice(stores: Stores) {
    let site = Site::new(stores).await;
    let (one, other) = (site.start().await, site.start().await);
    let (alice, order) = (site.user("alice"), order(&site.user("alice"), 1));
    let instance = |n: usize| if n.is_multiple_of(2) { &one.client } else { &other.client };
    let all = join_all((0..20).map(|n| repeatable(instance(n), "shop", "key", &order))).await;
    let ids: Vec<String> = all.iter().map(|answer| id_of(&answer.ok())).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    becomes(&one.client, &ids[0], "sent").await;
    assert_eq!(received(&site, &alice).await, [1]);
}

#[tokio::test]
async fn keys_that_are_none_are_named() {
    let (_site, service) = site().await;
    let body = order("alice", 1);
    for bad in ["", "\"\"", "two words", "x".repeat(256).as_str(), "ключ"] {
        repeatable(&service.client, "shop", bad, &body).await.invalid("Idempotency-Key");
    }
    repeatable(&service.client, "shop", &"x".repeat(255), &body).await.ok();
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_nothing_is_sent_twice() {
    let (site, service) = site().await;
    notify(&service.client, &order("alice", 0)).await.ok();
    let lost = json!({"api": "msg/sendAttachMsg", "mode": "lose-reply"});
    site.netease.faults(json!({"failNext": [lost]})).await;
    let unknown = notify(&service.client, &order("alice", 1)).await.ok();
    assert_eq!(unknown["state"], "unknown");
    assert!(unknown["lastError"].as_str().unwrap().contains("not known"), "{unknown}");
    notify(&service.client, &order("alice", 2)).await.ok();
    assert_eq!(received(&site, "alice").await, [0, 1, 2], "it does not hold up what comes after");
    assert_eq!(look_up(&service.client, &id_of(&unknown)).await["attempts"], 1);
}

#[tokio::test]
async fn a_lost_answer_is_sent_again_with_its_id_inside_if_the_site_wants_that() {
    let site = Site::new(Stores::embedded()).await.set("notifications.resend_unknown", "true");
    let service = site.start().await;
    notify(&service.client, &order("alice", 0)).await.ok();
    let lost = json!({"api": "msg/sendAttachMsg", "mode": "lose-reply"});
    site.netease.faults(json!({"failNext": [lost.clone()]})).await;
    let queued = notify(&service.client, &order("alice", 1)).await.ok();
    let sent = becomes(&service.client, &id_of(&queued), "sent").await;
    assert_eq!(sent["attempts"], 2);
    let doubles = notices(&site, "alice").await;
    assert_eq!(received(&site, "alice").await, [0, 1, 1]);
    for double in &doubles[1..] {
        let attach: Value = serde_json::from_str(double["attach"].as_str().unwrap()).unwrap();
        assert_eq!(attach["notificationId"], queued["id"], "so the client can drop the second");
    }
    // Plain text cannot carry an id, so it is not sent again.
    site.netease.faults(json!({"failNext": [lost]})).await;
    let text = notify(&service.client, &json!({"to": "alice", "attach": "text"})).await.ok();
    becomes(&service.client, &id_of(&text), "unknown").await;
}

#[tokio::test]
async fn a_refusal_is_final_and_told_with_its_reason() {
    let (site, service) = site().await;
    let banned = json!({"api": "msg/sendAttachMsg", "mode": "403"});
    site.netease.faults(json!({"failNext": [banned]})).await;
    let failed = notify(&service.client, &order("alice", 1)).await.ok();
    assert_eq!(failed["state"], "failed");
    assert!(failed["lastError"].as_str().unwrap().contains("403"), "{failed}");
    let told = look_up(&service.client, &id_of(&failed)).await;
    assert_eq!((&told["state"], &told["attempts"]), (&json!("failed"), &json!(1)));
    assert_eq!(notify(&service.client, &order("alice", 2)).await.ok()["state"], "sent");
}

/// What is told in the end of a notice for which NetEase has nothing but passing trouble.
async fn troubled_until_it_fails(site: Site) -> Value {
    let service = site.start().await;
    notify(&service.client, &order("alice", 0)).await.ok();
    let trouble = json!({"api": "msg/sendAttachMsg", "mode": "503", "count": 100});
    site.netease.faults(json!({"failNext": [trouble]})).await;
    let queued = notify(&service.client, &order("alice", 1)).await.ok();
    becomes(&service.client, &id_of(&queued), "failed").await
}

#[tokio::test]
async fn passing_trouble_is_borne_so_often_then_the_notice_fails() {
    let site = Site::new(Stores::embedded()).await.set("notifications.attempts", "2");
    let failed = troubled_until_it_fails(site).await;
    assert_eq!(failed["attempts"], 2);
    assert!(failed["lastError"].as_str().unwrap().starts_with("given up"), "{failed}");
}

#[tokio::test]
async fn what_waited_for_too_long_fails_without_another_attempt() {
    let site = Site::new(Stores::embedded()).await.set("notifications.give_up_after", "500ms");
    let failed = troubled_until_it_fails(site).await;
    assert_eq!(failed["attempts"], 1);
    assert_eq!(failed["lastError"], "given up: it waited for too long");
}

#[tokio::test]
async fn one_recipient_of_few_can_fail_alone() {
    let (site, service) = site().await;
    let refused = json!({"api": "msg/sendAttachMsg", "mode": "404"});
    site.netease.faults(json!({"failNext": [refused]})).await;
    let order = json!({"to": ["alice", "bob", "alice", "carol"], "attach": {"n": 1}});
    let told = notify(&service.client, &order).await.ok();
    assert_eq!(told["state"], "failed", "the worst of them");
    let recipients = told["recipients"].as_array().unwrap();
    let named: Vec<_> = recipients.iter().map(|one| one["to"].as_str().unwrap()).collect();
    assert_eq!(named, ["alice", "bob", "carol"], "each once, in the order asked for");
    let states: Vec<_> = recipients.iter().map(|one| one["state"].as_str().unwrap()).collect();
    assert_eq!(states.iter().filter(|state| **state == "sent").count(), 2);
    assert_eq!(states.iter().filter(|state| **state == "failed").count(), 1);
    assert_eq!(site.netease.calls("msg/sendAttachMsg").await, 3);
    assert_eq!(look_up(&service.client, &id_of(&told)).await, told);
}

#[tokio::test]
async fn many_recipients_go_by_one_call_and_strangers_are_told() {
    for form in ["array", "string"] {
        let (site, service) = site().await;
        site.netease.faults(json!({"unregisterAs": form})).await;
        for known in ["alice", "bob"] {
            notify(&service.client, &json!({"to": known, "attach": "hello"})).await.ok();
        }
        let strangers = (0..1_000).map(|n| format!("stranger-{n}"));
        let to: Vec<String> =
            ["alice".to_owned()].into_iter().chain(strangers).chain(["bob".to_owned()]).collect();
        let told = notify(&service.client, &json!({"to": to, "attach": {"n": 1}})).await.ok();
        assert_eq!(told["state"], "failed");
        let recipients = told["recipients"].as_array().unwrap();
        assert_eq!(recipients.len(), to.len());
        for (asked, one) in to.iter().zip(recipients) {
            assert_eq!(one["to"], **asked);
            let state = if asked.starts_with("stranger") { "failed" } else { "sent" };
            assert_eq!(one["state"], state, "{one}");
        }
        assert_eq!(site.netease.calls("msg/sendBatchAttachMsg").await, 1);
        assert_eq!(notices(&site, "bob").await.len(), 2);
        assert_eq!(look_up(&service.client, &id_of(&told)).await, told);
    }
}

#[tokio::test]
async fn lists_of_recipients_that_make_no_sense_are_named() {
    let (_site, service) = site().await;
    let with = |to: Value| json!({"to": to, "attach": "text"});
    notify(&service.client, &with(json!([]))).await.invalid("to");
    notify(&service.client, &with(json!({"user": "alice"}))).await.invalid("to");
    notify(&service.client, &with(json!(["alice", 7]))).await.invalid("to[1]");
    notify(&service.client, &with(json!(["alice", ""]))).await.invalid("to[1]");
    let many: Vec<String> = (0..5_001).map(|n| format!("u{n}")).collect();
    notify(&service.client, &with(json!(many))).await.invalid("to");
}

#[tokio::test]
async fn too_many_that_wait_are_429_and_those_that_wait_are_kept() {
    let site = Site::new(Stores::embedded()).await;
    let site = site.set("notifications.max_queued", "5").set("notifications.patience", "100ms");
    let service = site.start().await;
    notify(&service.client, &order("alice", 0)).await.ok();
    site.netease.faults(json!({"apiDown": true})).await;
    let mut accepted = Vec::new();
    let shed = loop {
        let answer = notify(&service.client, &order("alice", 1)).await;
        if answer.status != 202 {
            break answer;
        }
        accepted.push(answer.ok());
        assert!(accepted.len() < 50, "it never says that it is full");
    };
    shed.problem(429, "netease_busy");
    site.netease.faults(json!({})).await;
    for notice in &accepted {
        let id = id_of(notice);
        // A cut connection is an unknown outcome: of the first few, until nothing is sent any more.
        let done = async || ["sent", "unknown"].contains(&&*state_of(&service.client, &id).await);
        eventually("what was accepted is done", done).await;
    }
    eventually("there is room again", async || notify(&service.client, &order("bob", 2)).await.status == 202)
        .await;
}

async fn what_is_no_id_is_not_found_on_any_store(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let shop = service.client.as_user("shop");
    let sent = notify(&service.client, &order(&site.user("alice"), 1)).await.ok();
    let id = id_of(&sent);
    let strange = ["no-such-id", "%ff", "%E2%82%AC", "%00", "'", "-", "00000000-0000-0000-0000-000000000000"];
    let longer = [format!("{id}%20"), format!("%20{id}"), format!("{id}0"), "x".repeat(5_000)];
    for none in strange.into_iter().map(str::to_owned).chain(longer) {
        shop.get(&format!("{PATH}/{none}")).await.problem(404, "not_found");
    }
    assert_eq!(
        look_up(&service.client, &id.to_uppercase()).await["id"],
        id,
        "letter case is no part of a UUID"
    );
}

#[tokio::test]
async fn the_scope_is_needed_before_an_id_is_looked_at() {
    let (_site, service): (Site, Service) = site().await;
    let path = format!("{PATH}/no-such-id");
    service.client.as_user("shop").get(&path).await.problem(404, "not_found");
    service.client.get(&path).await.problem(401, "unauthorized");
    let reader = service.client.with_token(crate::support::client::token("shop", "read"));
    reader.get(&path).await.problem(403, "forbidden");
}

#[tokio::test]
async fn a_wrong_secret_keeps_notices_until_it_is_put_right() {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    notify(&service.client, &order("alice", 0)).await.ok();
    let refused = json!({"api": "msg/sendAttachMsg", "mode": "315", "count": 2});
    site.netease.faults(json!({"failNext": [refused]})).await;
    let queued = notify(&service.client, &order("alice", 1)).await.ok();
    assert_eq!((&queued["state"], &queued["attempts"]), (&json!("queued"), &json!(0)), "{queued}");
    assert!(queued["lastError"].as_str().unwrap().contains("does not accept this service"), "{queued}");
}

#[tokio::test]
async fn a_caller_who_leaves_has_the_notice_delivered_all_the_same() {
    let (site, service) = site().await;
    notify(&service.client, &order("alice", 0)).await.ok();
    site.netease.faults(json!({"latencyMs": 300})).await;
    let call = service.client.as_user("shop").request(reqwest::Method::POST, PATH);
    let left =
        call.body(order("alice", 1).to_string()).timeout(std::time::Duration::from_millis(100)).send().await;
    assert!(left.is_err(), "the answer waits for the delivery");
    eventually("it is delivered", async || received(&site, "alice").await == [0, 1]).await;
    assert_eq!(notify(&service.client, &order("alice", 2)).await.ok()["state"], "sent", "its lane is free");
}

#[tokio::test]
async fn users_who_differ_in_letter_case_are_two_in_a_batch_too() {
    let (site, service) = site().await;
    notify(&service.client, &json!({"to": "alice", "attach": "hello"})).await.ok();
    let others: Vec<String> = (0..20).map(|n| format!("u{n}")).collect();
    let to: Vec<&str> = ["Alice"].into_iter().chain(others.iter().map(String::as_str)).collect();
    let told = notify(&service.client, &json!({"to": to, "attach": "for Alice alone"})).await.ok();
    assert_eq!(told["recipients"][0]["state"], "failed");
    assert!(
        told["recipients"][0]["lastError"].as_str().unwrap().contains("does not know this user"),
        "{told}"
    );
    assert_eq!(notices(&site, "alice").await.len(), 1, "alice has nothing to do with it");
}
