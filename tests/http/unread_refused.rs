//! Polls that are refused: shape, size, and who asks.

use serde_json::{Value, json};

use crate::support::client::{Client, token_until};
use crate::support::service::{Service, Site};
use crate::support::stores::Stores;

const PATH: &str = "/v1/unread";

async fn service() -> (Site, Service, Client) {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    let alice = service.client.as_user("alice");
    (site, service, alice)
}

fn poll(users: usize) -> Value {
    json!({"self": "alice", "users": (0..users).map(|n| format!("user-{n}")).collect::<Vec<_>>()})
}

#[tokio::test]
async fn one_to_five_hundred_users_may_be_asked_for() {
    let (_site, _service, alice) = service().await;
    assert_eq!(alice.post(PATH, &poll(500)).await.ok().as_object().unwrap().len(), 500);
    let problem = alice.post(PATH, &poll(501)).await.invalid("users");
    assert!(problem["detail"].as_str().unwrap().contains("500"), "{problem}");
    alice.post(PATH, &poll(0)).await.invalid("users");
}

#[tokio::test]
async fn a_wrong_type_or_a_broken_rule_names_its_field() {
    let (_site, _service, alice) = service().await;
    let cases = [
        ("self", json!({"self": 7, "users": ["bob"]})),
        ("self", json!({"self": "", "users": ["bob"]})),
        ("self", json!({"self": "a\tb", "users": ["bob"]})),
        ("users", json!({"self": "alice", "users": "bob"})),
        ("users", json!({"self": "alice", "users": null})),
        ("users[1]", json!({"self": "alice", "users": ["bob", 7]})),
        ("users[1]", json!({"self": "alice", "users": ["bob", ""]})),
        ("users[0]", json!({"self": "alice", "users": ["文".repeat(129)]})),
        ("peers", json!({"self": "alice", "users": ["bob"], "peers": []})),
    ];
    for (field, body) in cases {
        alice.post(PATH, &body).await.invalid(field);
    }
    for (missing, body) in [("self", json!({"users": ["bob"]})), ("users", json!({"self": "alice"}))] {
        alice.post(PATH, &body).await.invalid(missing);
    }
}

#[tokio::test]
async fn what_is_no_json_is_unreadable() {
    let (_site, _service, alice) = service().await;
    let good = poll(1).to_string();
    let bodies = ["", "{", "{\"self\":\"alice\",", "self=alice", "{\"self\":\"\\ud800\",\"users\":[\"b\"]}"];
    for body in bodies {
        alice.post_text(PATH, body.to_owned()).await.problem(400, "unreadable");
    }
    alice.post_text(PATH, format!("{good} trailing")).await.problem(400, "unreadable");
    alice.post_text(PATH, format!("\u{feff}{good}")).await.problem(400, "unreadable");
    alice.post_text(PATH, &b"{\"self\":\"\xff\"}"[..]).await.problem(400, "unreadable");
    let twice = "{\"self\":\"bob\",\"self\":\"alice\",\"users\":[\"b\"]}";
    alice.post_text(PATH, twice).await.problem(422, "invalid");
    alice.post_text(PATH, format!("  {good}\n")).await.ok();
}

#[tokio::test]
async fn a_body_of_64_kib_is_taken_and_one_more_byte_is_not() {
    let (_site, _service, alice) = service().await;
    let padded = |length: usize| {
        let body = poll(1).to_string();
        body.clone() + &" ".repeat(length - body.len())
    };
    alice.post_text(PATH, padded(64 * 1024)).await.ok();
    alice.post_text(PATH, padded(64 * 1024 + 1)).await.problem(413, "too_large");
}

#[tokio::test]
async fn only_the_reader_may_ask() {
    let (_site, service, alice) = service().await;
    let body = poll(1);
    alice.post(PATH, &body).await.ok();
    for other in ["bob", "Alice", "alice "] {
        service.client.as_user(other).post(PATH, &body).await.problem(403, "forbidden");
    }
    // A question that breaks the rules is told so, whoever asks.
    for users in [json!([]), json!(["bob", ""])] {
        let broken = json!({"self": "alice", "users": users});
        service.client.as_user("bob").post(PATH, &broken).await.problem(422, "invalid");
    }
    let nobody = service.client.post(PATH, &body).await;
    nobody.problem(401, "unauthorized");
    assert_eq!(nobody.header("www-authenticate"), "Bearer");
    let (signed, expired) = (token_until("alice", "", 3600), token_until("alice", "", -3600));
    let (rest, signature) = signed.rsplit_once('.').unwrap();
    let payload = rest.split('.').nth(1).unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIn0.{payload}.");
    let forged = format!("eyJhbGciOiJIUzI1NiJ9.{payload}.{signature}");
    for token in
        [expired, unsigned, forged, format!("{signed}x"), "nonsense".into(), "..".into(), String::new()]
    {
        let answer = service.client.with_token(token.clone()).post(PATH, &body).await;
        answer.problem(401, "unauthorized");
        assert!(token.is_empty() || !answer.text.contains(&token), "it quotes the token");
    }
}

#[tokio::test]
async fn without_authentication_anybody_may_ask_for_anybody() {
    let site = Site::new(Stores::embedded()).await.set("auth.mode", "none");
    let service = site.start().await;
    assert_eq!(service.client.post(PATH, &poll(1)).await.ok(), json!({"user-0": 0}));
    assert_eq!(service.client.get("/v1/unread?self=x&users=y").await.ok(), json!({"y": 0}));
}
