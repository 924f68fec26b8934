//! Signed bodies of every kind: kept, acknowledged or refused, but never a 500 and never lost.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::webhook::unread;
use crate::support::raw::ChunkedPost;
use crate::support::service::Site;
use crate::support::stores::{Stores, on_both_sets};
use crate::support::webhook::{PATH, SECRET, message, now, signature};

const AT: i64 = 1_700_000_000_000;

on_both_sets!(
    what_cannot_be_understood_is_kept_and_acknowledged,
    what_is_none_of_ours_is_acknowledged_and_not_kept,
    numbers_and_strings_are_taken_alike,
    what_no_rule_looks_at_makes_no_dead_letter,
);

async fn what_cannot_be_understood_is_kept_and_acknowledged(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let with = |field: &str, value: Value| {
        let mut copy = message(&bob, &alice, 9, AT);
        copy[field] = value;
        copy.to_string().into_bytes()
    };
    let text = |text: &str| text.as_bytes().to_vec();
    let mut bodies = vec![
        text("{\"eventType\":\"1\",\"to\":\"\\ud800\"}"),
        text("{\"eventType\":"),
        text("not JSON"),
        text("[]"),
        text("7"),
        text("{\"something\":1}"),
        text("{\"eventType\":{}}"),
        text("\u{feff}{\"eventType\":\"2\"}"),
        text("{\"eventType\":\"1\",\"eventType\":\"2\"}"),
        b"{\"eventType\":\"1\",\"to\":\"\xff\xfe\"}".to_vec(),
        b"\0".to_vec(),
        text("{\"eventType\":\"30\",\"objects\":\"[{\"}"),
        text("{\"eventType\":\"30\"}"),
        text("{\"eventType\":\"7\",\"from\":\"a\"}"),
        with("msgidServer", json!("9223372036854775808")),
        with("msgidServer", json!("zero")),
        with("msgidServer", json!(-1)),
        with("msgTimestamp", json!("99999999999999999999")),
        with("convType", json!("A_KIND_OF_TOMORROW")),
        with("fromAccount", json!("张三")),
        with("to", json!(["alice"])),
        with("to", json!("a\0b")),
    ];
    bodies.push([vec![b'['; 10_000], vec![b']'; 10_000]].concat());
    bodies.push(format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)).into_bytes());
    for body in &bodies {
        let answer = service.client.copy(body.clone()).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        assert_eq!(answer.status, 200, "{shown}");
    }
    let dead_letters = service.client.counted("outcome=\"dead_letter\"").await;
    assert_eq!(dead_letters, bodies.len() as u64);
    assert_eq!(unread(&service.client, &alice, &bob).await, 0);
}

async fn what_is_none_of_ours_is_acknowledged_and_not_kept(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let bodies =
        ["", "{}", " { } ", "{\"eventType\":\"2\"}", "{\"eventType\":4711}", "{\"eventType\":\"no number\"}"];
    for body in bodies {
        assert_eq!(service.client.copy(body).await.status, 200, "{body}");
    }
    let body = message(&bob, &alice, 9, AT).to_string();
    let call = signature(SECRET, body.as_bytes(), &now()).into_iter().chain([("type", "G2".to_owned())]);
    assert_eq!(service.client.copy_under(call, body).await.status, 200);
    assert_eq!(unread(&service.client, &alice, &bob).await, 0, "a copy of a call is no message");
    let mut to_a_team = message(&"x".repeat(64), "4711", 9, AT);
    to_a_team["convType"] = json!("TEAM");
    assert_eq!(service.client.copy(to_a_team.to_string()).await.status, 200);
    assert_eq!(service.client.counted("outcome=\"foreign\"").await, 1);
    assert_eq!(service.client.counted("outcome=\"dead_letter\"").await, 0);

    let mut callback = message(&bob, &alice, 9, AT);
    callback["eventType"] = json!(1);
    callback.as_object_mut().unwrap().remove("msgidServer");
    service.client.copy(callback.to_string()).await.problem(422, "invalid");
    assert_eq!(unread(&service.client, &alice, &bob).await, 0);
}

async fn numbers_and_strings_are_taken_alike(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let largest = i64::MAX.unsigned_abs();
    let mut as_numbers = message(&bob, &alice, largest, AT);
    as_numbers["eventType"] = json!(1);
    as_numbers["msgidServer"] = json!(largest);
    as_numbers["msgTimestamp"] = json!(AT);
    as_numbers["attach"] = json!({"an": ["object"]});
    as_numbers["body"] = json!("with a \u{0} and 😀");
    assert_eq!(service.client.copy(as_numbers.to_string()).await.status, 200);
    assert_eq!(unread(&service.client, &alice, &bob).await, 1);
    assert_eq!(service.client.copy(message(&bob, &alice, largest - 1, AT).to_string()).await.status, 200);
    assert_eq!(unread(&service.client, &alice, &bob).await, 2, "2^63-1 and 2^63-2 are two");
    assert_eq!(service.client.copy(message(&bob, &alice, largest, AT).to_string()).await.status, 200);
    assert_eq!(unread(&service.client, &alice, &bob).await, 2, "the number and the text are one");

    for objects in [json!([{"fromAccount": alice, "toAccount": bob, "timestamp": AT - 1}]), json!("[]")] {
        let copy = json!({"eventType": 30, "objects": objects});
        assert_eq!(service.client.copy(copy.to_string()).await.status, 200);
        assert_eq!(unread(&service.client, &alice, &bob).await, 2);
    }
    let session = json!({"eventType": 85, "accid": alice, "ackAccid": bob, "msgType": 0, "ackMsgTime": AT});
    assert_eq!(service.client.copy(session.to_string()).await.status, 200);
    assert_eq!(unread(&service.client, &alice, &bob).await, 0);
}

async fn what_no_rule_looks_at_makes_no_dead_letter(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let odd =
        [json!({"a.b": {"$c": [1.50]}}), json!([["x"]]), json!(7), json!(true), json!(null), json!("a\u{0}")];
    let names = ["fromNick", "body", "attach", "ext", "yidunRes", "accid", "state", "_id", "a.b", "$set", ""];
    for (id, value) in odd.iter().enumerate() {
        let mut copy = message(&bob, &alice, id as u64 + 1, AT);
        for name in names {
            copy[name] = value.clone();
        }
        for _ in 0..2 {
            assert_eq!(service.client.copy(copy.to_string()).await.status, 200, "{value}");
        }
    }
    assert_eq!(unread(&service.client, &alice, &bob).await, odd.len());
    assert_eq!(service.client.counted("outcome=\"repeated\"").await, odd.len() as u64);
    assert_eq!(service.client.counted("outcome=\"dead_letter\"").await, 0);
}

#[tokio::test]
async fn a_body_of_one_mebibyte_is_taken_and_more_is_413() {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    let mut copy = message("bob", "alice", 9, AT);
    let rest = 1024 * 1024 - copy.to_string().len() + "hello".len();
    copy["body"] = json!("x".repeat(rest));
    assert_eq!(service.client.copy(copy.to_string()).await.status, 200);
    assert_eq!(unread(&service.client, "alice", "bob").await, 1);
    copy["body"] = json!("x".repeat(rest + 1));
    service.client.copy(copy.to_string()).await.problem(413, "too_large");

    let endless = ChunkedPost::begin(&service.client, PATH, signature(SECRET, b"", &now())).await;
    let answer = endless.spaces(80, 64 * 1024).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("\"too_large\""), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let site = Site::new(Stores::embedded()).await.set("limits.webhook_timeout", "200ms");
    let service = site.start().await;
    let post = ChunkedPost::begin(&service.client, PATH, signature(SECRET, b"{}", &now())).await;
    let answer = post.stall().await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"body_timeout\""), "{answer}");
}

#[tokio::test]
async fn more_copies_at_once_than_the_limit_are_sent_again() {
    let site = Site::new(Stores::embedded()).await.set("limits.webhooks_at_once", "1");
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let copy = |id| service.client.copy(message(&bob, &alice, id, AT).to_string());
    let answers = join_all((1..=100).map(copy)).await;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert!(!taken.is_empty() && !refused.is_empty(), "{} taken, {} refused", taken.len(), refused.len());
    for answer in refused {
        answer.problem(503, "overloaded");
    }
    assert_eq!(copy(101).await.status, 200, "there is room again");
    assert_eq!(unread(&service.client, &alice, &bob).await, taken.len() + 1);
}
