//! The poll by POST: what it answers.

use serde_json::{Map, Value, json};

use crate::support::service::Site;
use crate::support::stores::{Stores, on_both_sets};
use crate::support::webhook::message;

on_both_sets!(
    every_user_asked_for_is_answered_once_as_it_was_written,
    only_what_waits_to_be_read_counts,
    five_hundred_users_are_answered_in_one_poll,
);

async fn every_user_asked_for_is_answered_once_as_it_was_written(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, bob, carol) = (site.user("alice"), site.user("bob"), site.user("carol"));
    let shouted = bob.to_uppercase();
    let chinese = format!("卖家 {bob}");
    site.netease.send(&bob, &alice, 3).await;
    site.netease.send(&alice, &bob, 1).await;

    let users = json!([carol, shouted, bob, chinese, bob, alice]);
    let body = json!({"self": alice, "users": users});
    let answer = service.client.as_user(&alice).post("/v1/unread", &body).await;
    let expected = json!({ &carol: 0, &shouted: 0, &bob: 3, &chinese: 0, &alice: 0 });
    assert_eq!(answer.ok(), expected);
    for user in [&carol, &shouted, &bob, &chinese, &alice] {
        let key = format!("{}:", json!(user));
        assert_eq!(answer.text.matches(&key).count(), 1, "{user} in {}", answer.text);
    }
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");

    // Letter case tells users apart: this is somebody else.
    let loud = alice.to_uppercase();
    let body = json!({"self": loud, "users": [bob]});
    assert_eq!(service.client.as_user(&loud).post("/v1/unread", &body).await.ok(), json!({bob: 0}));
}

async fn only_what_waits_to_be_read_counts(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let send = async |extra: Value| {
        let mut said = json!({"from": bob, "to": alice, "force": true});
        said.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        assert_eq!(site.netease.tell("send", said).await["pending"], 0);
    };
    send(json!({"antispam": true})).await;
    send(json!({"blacklist": true})).await;
    send(json!({"convType": "TEAM"})).await;
    send(json!({"convType": "CUSTOM_PERSON", "msgType": "CUSTOM_P2P_MSG"})).await;
    send(json!({"to": bob})).await;
    send(json!({"msgType": "A_TYPE_OF_TOMORROW"})).await;
    send(json!({"extra": {"antispam": "false", "attach": {"an": "object"}}})).await;

    let counts = async |reader: &str, peer: &str| {
        let body = json!({"self": reader, "users": [peer]});
        service.client.as_user(reader).post("/v1/unread", &body).await.ok()[peer].clone()
    };
    assert_eq!(counts(&alice, &bob).await, 2);
    assert_eq!(counts(&alice, &bob).await, site.netease.unread(&alice, &bob).await);
    assert_eq!(counts(&bob, &bob).await, 0);
}

async fn five_hundred_users_are_answered_in_one_poll(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let alice = site.user("alice");
    let users: Vec<String> = (0..500).map(|n| site.user(&format!("u{n}"))).collect();
    for (n, user) in users.iter().enumerate().step_by(125) {
        let id = 7_000_000_000 + n as u64;
        assert_eq!(
            service.client.copy(message(user, &alice, id, 1_700_000_000_000).to_string()).await.status,
            200
        );
    }
    let body = json!({"self": alice, "users": users});
    let answered = service.client.as_user(&alice).post("/v1/unread", &body).await.ok();
    let expected: Map<String, Value> =
        users.iter().enumerate().map(|(n, user)| (user.clone(), json!(u64::from(n % 125 == 0)))).collect();
    assert_eq!(answered, Value::Object(expected));
}
