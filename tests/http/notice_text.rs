//! A notice arrives as its caller wrote it: each digit, key, escape and blank of `attach` and `payload`. Everything here
//! compares texts: a value that was parsed has lost already what this is about.

use otc_im::domain::outbox::MAX_ATTACH_CHARS;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::notifications::{PATH, notices, site};
use crate::support::client::{Answer, Client, send};
use crate::support::service::Site;
use crate::support::stores::{Stores, on_both_sets};

on_both_sets!(objects_arrive_as_they_were_written, amounts_that_differ_in_the_last_digit_are_two_requests,);

/// Objects that a reading as values would change.
fn written() -> Vec<String> {
    let objects = [
        r#"{"z":1.10,"amount":12345678901234567890.123456789}"#,
        r#"{"b":1,"a":0.123456789012345678901,"wei":1000000000000000000001}"#,
        r#"{"big":1e400,"small":-0.0E-7,"zero":-0,"long":100000000000000000000000000000000000000000000}"#,
        r#"{"d":1,"d":2,"":{"d":3,"d":4}}"#,
        r#"{"\u0061":"\/\ud83d\ude00\u0000\ud800","e":"é文😀&=+%"}"#,
        " {\n  \"n\" :\t1 ,\r\n  \"list\" : [ 1.0 , 2 ],\n  \"text\": \" a  b \" }",
        "{}",
    ];
    let deep = format!(r#"{{"deep":{}{}}}"#, "[".repeat(500), "]".repeat(500));
    objects.into_iter().map(str::to_owned).chain([deep]).collect()
}

async fn post(client: &Client, body: String) -> Answer {
    client.as_user("shop").post_text(PATH, body).await
}

async fn with_key(client: &Client, key: &str, body: String) -> Answer {
    let request = client.as_user("shop").request(reqwest::Method::POST, PATH);
    send(request.header("Idempotency-Key", key).body(body)).await
}

/// `attach` and `payload` of the newest notice that NetEase got for `to`.
async fn newest(site: &Site, to: &str) -> (String, String) {
    let notices = notices(site, to).await;
    let text = |field: &str| notices.last().unwrap()[field].as_str().unwrap_or_default().to_owned();
    (text("attach"), text("payload"))
}

async fn objects_arrive_as_they_were_written(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let alice = site.user("alice");
    for text in written() {
        let body = format!(r#"{{"to":"{alice}","attach":{text},"payload":{text}}}"#);
        let sent = post(&service.client, body).await;
        assert_eq!(sent.ok()["state"], "sent", "{}", sent.text);
        let inner = text.trim_start();
        assert_eq!(newest(&site, &alice).await, (inner.to_owned(), inner.to_owned()));

        let quoted = json!({"to": alice, "attach": text, "payload": text}).to_string();
        if !text.contains("\\ud800") {
            post(&service.client, quoted).await.ok();
            assert_eq!(newest(&site, &alice).await, (text.clone(), text), "as text it is not looked into");
        }
    }
    post(&service.client, format!(r#"{{"to":"{alice}","attach":[ 1.10,1e400 ]}}"#)).await.ok();
    assert_eq!(newest(&site, &alice).await.0, "[ 1.10,1e400 ]");
}

#[tokio::test]
async fn a_batch_gets_the_same_text() {
    let (site, service) = site().await;
    post(&service.client, r#"{"to":"alice","attach":"hello"}"#.to_owned()).await.ok();
    let others: Vec<String> = (0..20).map(|n| format!("u{n}")).chain(["alice".to_owned()]).collect();
    for text in written() {
        let to = json!(others);
        post(&service.client, format!(r#"{{"to":{to},"attach":{text},"payload":{text}}}"#)).await.ok();
        let inner = text.trim_start().to_owned();
        assert_eq!(newest(&site, "alice").await, (inner.clone(), inner));
    }
}

#[tokio::test]
async fn the_id_goes_in_and_everything_else_stays() {
    let site = Site::new(Stores::embedded()).await.set("notifications.resend_unknown", "true");
    let service = site.start().await;
    for text in written() {
        let told = post(&service.client, format!(r#"{{"to":"alice","attach":{text}}}"#)).await.ok();
        let rest = text.trim_start().strip_prefix('{').unwrap();
        let (id, attach) = (told["id"].as_str().unwrap(), newest(&site, "alice").await.0);
        let comma = if text == "{}" { "" } else { "," };
        assert_eq!(attach, format!(r#"{{"notificationId":"{id}"{comma}{rest}"#));
    }
    // A key that is no Unicode cannot be compared with the id's, so such an object goes without.
    for without in [r#"{"notificationId":1.10}"#, r#"{"notification\u0049d":"mine"}"#, r#"{"\ud800":1.10}"#] {
        post(&service.client, format!(r#"{{"to":"alice","attach":{without}}}"#)).await.ok();
        assert_eq!(newest(&site, "alice").await.0, without);
    }
}

#[tokio::test]
async fn limits_are_counted_on_what_is_sent() {
    let (site, service) = site().await;
    for (field, limit) in [("attach", MAX_ATTACH_CHARS), ("payload", 2_048)] {
        let spaced = |length: usize| format!(r#"{{"n":{}1.10}}"#, " ".repeat(length - 10));
        let attach = if field == "attach" { "" } else { r#""attach":"text","# };
        let with = |text: String| format!(r#"{{"to":"alice",{attach}"{field}":{text}}}"#);
        post(&service.client, with(spaced(limit))).await.ok();
        assert_eq!(notices(&site, "alice").await.last().unwrap()[field], spaced(limit));
        post(&service.client, with(spaced(limit + 1))).await.invalid(field);
    }
}

async fn amounts_that_differ_in_the_last_digit_are_two_requests(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let client = &service.client;
    let alice = site.user("alice");
    let order = |amount: &str| format!(r#"{{"to":"{alice}","attach":{{"amount":{amount},"n":[1]}}}}"#);
    let first = with_key(client, "key", order("1000000000000000000001")).await.ok();
    let others = ["1000000000000000000002", "1e21", "1000000000000000000001.0", "\"1000000000000000000001\""];
    for other in others {
        with_key(client, "key", order(other)).await.invalid("Idempotency-Key");
    }
    let reordered = format!(r#"{{"to":"{alice}","attach":{{"n":[1],"amount":1000000000000000000001}}}}"#);
    with_key(client, "key", reordered).await.invalid("Idempotency-Key");
    let same = [
        order("1000000000000000000001"),
        format!(r#"{{"attach":{{"amount":1000000000000000000001,"n":[1]}},"to":"{alice}"}}"#),
        format!(
            "\n{{ \"to\" : \"{alice}\" ,\r\n \"attach\" :\t{{ \"amount\" : 1000000000000000000001 , \"n\" : [ 1 ] }} }} "
        ),
    ];
    for same in same {
        assert_eq!(with_key(client, "key", same).await.ok(), first);
    }
    assert_eq!(notices(&site, &alice).await.len(), 1);
}

#[tokio::test]
async fn blanks_inside_a_string_count() {
    let (_site, service) = site().await;
    let order = |text: &str| format!(r#"{{"to":"alice","attach":{{"text":{text}}}}}"#);
    let texts = [r#""a b""#, r#""a  b""#, r#""a\" b""#, r#""a\"b""#, r#""a\\""#, r#""a\u0020b""#];
    for (at, one) in texts.iter().enumerate() {
        with_key(&service.client, &format!("key-{at}"), order(one)).await.ok();
        for other in texts.iter().filter(|other| *other != one) {
            let answer = with_key(&service.client, &format!("key-{at}"), order(other)).await;
            answer.invalid("Idempotency-Key");
        }
    }
}

/// White space that JSON allows between tokens.
fn blank() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}

fn number() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?"
}

fn string() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[a-z0-9 &=+%]{0,4}",
        "[é文😀]",
        Just(r#"\""#.to_owned()),
        Just(r"\\".to_owned()),
        r"\\/",
        r"\\[bfnrt]",
        r"\\u00[0-9a-fA-F]{2}",
    ];
    prop::collection::vec(part, 0..4).prop_map(|parts| format!("\"{}\"", parts.concat()))
}

/// The text of a JSON object, blanks and all.
fn object() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![3 => number(), 2 => string(), 1 => "true|false|null"];
    let value = leaf.prop_recursive(3, 24, 4, |inner| {
        let items = prop::collection::vec((blank(), inner.clone(), blank()), 0..4);
        let list = items.prop_map(|items| {
            let items: Vec<_> = items.into_iter().map(|(a, item, b)| format!("{a}{item}{b}")).collect();
            format!("[{}]", items.join(","))
        });
        prop_oneof![list, object_of(inner)]
    });
    object_of(value)
}

fn object_of(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let field = (blank(), string(), blank(), blank(), value, blank());
    prop::collection::vec(field, 0..4).prop_map(|fields| {
        let fields: Vec<_> = fields
            .into_iter()
            .map(|(a, name, b, c, value, d)| format!("{a}{name}{b}:{c}{value}{d}"))
            .collect();
        format!("{{{}}}", fields.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_object_arrives_byte_for_byte(texts in prop::collection::vec(object(), 40)) {
        Runtime::new().unwrap().block_on(async {
            let (site, service) = site().await;
            for text in texts.iter().filter(|text| text.chars().count() <= 2_048) {
                assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(), "{text}");
                let body = format!(r#"{{"payload":{text},"to":"alice","attach":{text}}}"#);
                let answer = post(&service.client, body).await;
                assert_eq!(answer.status, 202, "{text}: {}", answer.text);
                assert_eq!(newest(&site, "alice").await, (text.clone(), text.clone()));
            }
        });
    }
}

#[tokio::test]
async fn what_is_no_json_is_unreadable_wherever_it_stands() {
    let (site, service) = site().await;
    let broken = [
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":+1}",
        "{\"a\":NaN}",
        "{\"a\":1,}",
        "{'a':1}",
        "{\"a\":\"\n\"}",
        "nul",
    ];
    for text in broken {
        for field in ["attach", "payload"] {
            let body = format!(r#"{{"to":"alice","attach":"text","{field}":{text}}}"#);
            post(&service.client, body).await.problem(400, "unreadable");
        }
        let quoted = json!({"to": "alice", "attach": "text", "payload": text});
        service.client.as_user("shop").post(PATH, &quoted).await.invalid("payload");
    }
    assert_eq!(notices(&site, "alice").await, Vec::<Value>::new());
}
