//! System notices: their limits, who may send them, and what reaches the recipient.

use serde_json::{Value, json};

use crate::support::client::{Answer, Client, token};
use crate::support::service::{Service, Site};
use crate::support::stores::{Stores, on_both_sets};

pub const PATH: &str = "/v1/notifications";

on_both_sets!(a_notice_reaches_the_recipient_with_everything_that_was_said);

pub async fn site() -> (Site, Service) {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    (site, service)
}

pub async fn notify(client: &Client, body: &Value) -> Answer {
    client.as_user("shop").post(PATH, body).await
}

pub async fn notices(site: &Site, to: &str) -> Vec<Value> {
    site.netease.look(&format!("notices?to={to}")).await["notices"].as_array().unwrap().clone()
}

async fn a_notice_reaches_the_recipient_with_everything_that_was_said(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, system) = (site.user("alice"), "otc-system");
    let said = json!({"to": alice, "attach": {"type": "shipped", "order": 42}, "pushContent": "Your goods 📦",
        "payload": {"screen": "order"}, "sound": "ding.caf", "save": 1,
        "option": {"badge": false, "needPushNick": true, "route": false}});
    let answer = notify(&service.client, &said).await;
    assert_eq!((answer.status, &answer.json()["state"]), (202, &json!("sent")), "{}", answer.text);
    assert!(answer.json()["id"].as_str().is_some_and(|id| !id.is_empty()));

    let [notice] = &notices(&site, &alice).await[..] else { panic!("one notice") };
    assert_eq!(notice["from"], system, "registered on demand");
    assert_eq!(notice["attach"], said["attach"].to_string());
    assert_eq!(notice["pushcontent"], said["pushContent"]);
    assert_eq!((&notice["payload"], &notice["sound"]), (&json!(r#"{"screen":"order"}"#), &said["sound"]));
    assert_eq!((&notice["save"], &notice["option"]), (&json!(1), &said["option"]));
    assert_eq!(site.netease.look("stats").await["accounts"], 2);
}

#[tokio::test]
async fn what_is_left_out_has_its_default_and_is_not_copied_back() {
    let (site, service) = site().await;
    notify(&service.client, &json!({"to": "alice", "attach": "plain text"})).await.ok();
    notify(&service.client, &json!({"to": "alice", "from": "Shop 7", "attach": "text"})).await.ok();
    let all = notices(&site, "alice").await;
    assert_eq!((&all[0]["attach"], &all[0]["save"]), (&json!("plain text"), &json!(2)));
    let option = json!({"badge": true, "needPushNick": false, "route": false});
    assert_eq!((&all[0]["option"], &all[0]["pushcontent"]), (&option, &json!(null)));
    assert!(all[1]["from"].as_str().unwrap().starts_with("h-"), "a sender whose id is no accid");
    site.netease.drain().await;
    assert_eq!(site.netease.look("stats").await["copies"]["delivered"], 0);

    let route = json!({"to": "alice", "attach": "text", "option": {"route": true}});
    notify(&service.client, &route).await.ok();
    site.netease.drain().await;
    assert_eq!(site.netease.look("stats").await["copies"]["delivered"], 1);
    let asked = json!({"self": "alice", "users": ["otc-system"]});
    let counts = service.client.as_user("alice").post("/v1/unread", &asked).await.ok();
    assert_eq!(counts, json!({"otc-system": 0}), "a notice is no chat");
}

#[tokio::test]
async fn limits_are_counted_in_characters_and_named() {
    let (_site, service) = site().await;
    let with = |field: &str, value: Value| {
        let mut body = json!({"to": "alice", "attach": "text"});
        body[field] = value;
        body
    };
    let emoji = |count| json!("😀".repeat(count));
    let payload = |count: usize| json!(format!("{{\"a\":\"{}\"}}", "文".repeat(count - 8)));
    let limits = [
        ("attach", emoji(4096), emoji(4097)),
        ("pushContent", emoji(500), emoji(501)),
        ("payload", payload(2048), payload(2049)),
        ("sound", emoji(30), emoji(31)),
        ("save", json!(2), json!(3)),
        ("save", json!(1.0), json!(1.5)),
        ("to", json!("文".repeat(128)), json!("文".repeat(129))),
    ];
    for (field, within, beyond) in limits {
        notify(&service.client, &with(field, within)).await.ok();
        notify(&service.client, &with(field, beyond)).await.invalid(field);
    }
    let rules = [
        ("attach", json!("")),
        ("attach", json!(7)),
        ("attach", json!(null)),
        ("payload", json!("not JSON")),
        ("payload", json!(["not an object"])),
        ("payload", json!("[1]")),
        ("save", json!(0)),
        ("save", json!("2")),
        ("sound", json!(1)),
        ("to", json!("")),
        ("from", json!("a\nb")),
        ("colour", json!("an unknown field")),
    ];
    for (field, value) in rules {
        notify(&service.client, &with(field, value)).await.invalid(field);
    }
    for (field, option) in [("option.badge", json!({"badge": 1})), ("option.color", json!({"color": 1}))] {
        notify(&service.client, &with("option", option)).await.invalid(field);
    }
}

#[tokio::test]
async fn only_callers_with_the_scope_may_notify() {
    let (site, service) = site().await;
    let body = json!({"to": "alice", "attach": "text"});
    service.client.post(PATH, &body).await.problem(401, "unauthorized");
    for scopes in ["", "read", "notify2 renotify"] {
        let caller = service.client.with_token(token("shop", scopes));
        caller.post(PATH, &body).await.problem(403, "forbidden");
    }
    assert!(notices(&site, "alice").await.is_empty());
    service.client.with_token(token("shop", "read notify")).post(PATH, &body).await.ok();
    assert_eq!(notices(&site, "alice").await.len(), 1);
}
