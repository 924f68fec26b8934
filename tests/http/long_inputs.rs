//! Whatever a caller writes, and however much of it, the answer that refuses it is short.

use reqwest::Method;
use serde_json::{Value, json};

use super::notifications::site;
use crate::support::client::{Answer, Client, send};
use crate::support::webhook::{self, SECRET, now, signature};

const UNREAD: &str = "/v1/unread";
const STREAM: &str = "/v1/unread/stream";
const BIND: &str = "/v1/accounts/bind";
const NOTIFY: &str = "/v1/notifications";

/// Bytes that a refusal may have.
const SHORT: usize = 2 * 1024;
/// About as many bytes as a head or a body holds.
const MANY: usize = 60_000;

fn refused(answer: &Answer, status: u16, what: &str) {
    let start: String = answer.text.chars().take(300).collect();
    assert_eq!(answer.status, status, "{what}: {start}");
    assert!(answer.text.len() < SHORT, "{what} is answered with {} bytes: {start}", answer.text.len());
    assert!(answer.json()["detail"].is_string(), "{what}: {start}");
}

/// A text of one letter, which takes some 60,000 bytes in a body.
fn long(letter: &str) -> String {
    letter.repeat(MANY / letter.len())
}

#[tokio::test]
async fn a_long_address_is_refused_shortly() {
    let (_site, service) = site().await;
    let alice = service.client.as_user("alice");
    for letter in ["x", "%E5%BC%A0", "%01", "%ff", "x,"] {
        let long = long(letter);
        for (method, path, status) in [
            (Method::GET, format!("/{long}"), 404),
            (Method::GET, format!("/v1/{long}"), 404),
            (Method::GET, format!("/docs/{long}"), 404),
            (Method::GET, format!("{NOTIFY}/{long}"), 404),
            (Method::DELETE, format!("{NOTIFY}/{long}"), 405),
        ] {
            let answer = send(alice.request(method, &path)).await;
            refused(&answer, status, &path[..40]);
        }
        let unreadable = if letter == "%ff" { 400 } else { 422 };
        for path in [UNREAD, STREAM] {
            for (query, status) in [
                (format!("{long}=1"), 422),
                (format!("self=alice&users=bob&{long}=1"), 422),
                (format!("self={long}&users=bob"), unreadable),
                (format!("self=alice&users={long}"), unreadable),
                (format!("self=alice&users=bob&users={long}"), unreadable),
            ] {
                let answer = alice.get(&format!("{path}?{query}")).await;
                refused(&answer, status, &format!("{path}?{}", &query[..30]));
            }
        }
    }
}

#[tokio::test]
async fn a_long_body_is_refused_shortly() {
    let (_site, service) = site().await;
    let alice = service.client.as_user("alice");
    for letter in ["x", "张", "\u{1}", "\"", "\u{202e}"] {
        // JSON writes a control character with six.
        let long = if letter == "\u{1}" { letter.repeat(MANY / 6) } else { long(letter) };
        let long = if letter == "\"" { long[..MANY / 2].to_owned() } else { long };
        let with = |mut fields: Value, name: &str, value: Value| {
            fields[name] = value;
            fields
        };
        let poll = json!({"self": "alice", "users": ["bob"]});
        let bind = json!({"buyer": "alice", "seller": "bob"});
        let notice = json!({"to": "alice", "attach": "x"});
        let cases = [
            (UNREAD, with(poll.clone(), &long, json!(1))),
            (UNREAD, with(poll.clone(), "self", json!(long))),
            (UNREAD, with(poll.clone(), "users", json!([long]))),
            (UNREAD, with(poll.clone(), "users", json!(long))),
            (UNREAD, with(poll.clone(), "users", json!({&long: 1}))),
            (BIND, with(bind.clone(), &long, json!(1))),
            (BIND, with(bind.clone(), "buyer", json!(long))),
            (BIND, with(bind.clone(), "buyerName", json!(long))),
            (BIND, with(bind.clone(), "seller", json!([long]))),
            (NOTIFY, with(notice.clone(), &long, json!(1))),
            (NOTIFY, with(notice.clone(), "option", json!({&long: true}))),
            (NOTIFY, with(notice.clone(), "option", json!(long))),
            (NOTIFY, with(notice.clone(), "to", json!(long))),
            (NOTIFY, with(notice.clone(), "to", json!(["bob", long]))),
            (NOTIFY, with(notice.clone(), "attach", json!(long))),
            (NOTIFY, with(notice.clone(), "payload", json!({&long: 1}))),
            (NOTIFY, with(notice.clone(), "sound", json!(long))),
            (NOTIFY, with(notice.clone(), "save", json!(long))),
        ];
        for (path, body) in cases {
            let body = body.to_string();
            let answer = alice.post_text(path, body.clone()).await;
            let start: String = body.chars().take(60).collect();
            refused(&answer, 422, &format!("{path} {start}"));
        }
    }
    for (path, body, status) in [
        (UNREAD, long("x"), 400),
        (UNREAD, format!(r#"{{"self":"{}\ud800","users":["bob"]}}"#, long("x")), 400),
        (UNREAD, format!(r#"{{"{}":"#, long("x")), 400),
        (UNREAD, format!(r#"{{"self":{},"users":["bob"]}}"#, long("1")), 422),
        (NOTIFY, format!(r#"{{"to":"b","attach":"x","save":{}}}"#, long("1")), 422),
        (NOTIFY, format!(r#"{{"to":[{}"b"],"attach":"x"}}"#, "\"b\",".repeat(MANY / 4)), 422),
        (UNREAD, "x".repeat(100_000), 413),
    ] {
        let answer = alice.post_text(path, body.clone()).await;
        refused(&answer, status, &format!("{path} {}", &body[..40]));
    }
}

#[tokio::test]
async fn a_long_header_is_refused_shortly() {
    let (_site, service) = site().await;
    let shop = service.client.as_user("shop");
    let notice = json!({"to": "alice", "attach": "x"}).to_string();
    let post = |client: &Client, name: &'static str| {
        client.request(Method::POST, NOTIFY).header(name, long("x")).body(notice.clone())
    };
    refused(&send(post(&shop, "Idempotency-Key")).await, 422, "Idempotency-Key");
    refused(&send(post(&service.client, "Authorization")).await, 401, "Authorization");
    let token = format!("Bearer {}", long("x"));
    refused(&shop.with_token(token).get(UNREAD).await, 401, "a token");
    for at in 0..3 {
        let mut signed = signature(SECRET, b"{}", &now());
        signed[at].1 = long("1");
        let name = signed[at].0;
        let request = service.client.request(Method::POST, webhook::PATH).body("{}");
        let request = signed.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        refused(&send(request).await, 401, name);
    }
}
