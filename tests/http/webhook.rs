//! The webhook: signatures, and what counts.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::service::{Service, Site};
use crate::support::stores::{Stores, on_both_sets};
use crate::support::webhook::{SECRET, message, now, signature};

on_both_sets!(
    the_signed_vectors_are_taken_and_stored,
    a_message_copied_many_times_at_once_counts_once,
    one_malformed_receipt_of_a_hundred_stops_none_of_the_others,
);

pub async fn unread(client: &Client, reader: &str, peer: &str) -> Value {
    let body = json!({"self": reader, "users": [peer]});
    client.as_user(reader).post("/v1/unread", &body).await.ok()[peer].clone()
}

async fn service() -> (Site, Service) {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    (site, service)
}

async fn the_signed_vectors_are_taken_and_stored(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let vectors: Value = serde_json::from_str(include_str!("../fixtures/nim_vectors.json")).unwrap();
    assert_eq!(vectors["appSecret"], SECRET);
    let vectors = vectors["webhook"].as_array().unwrap();
    assert!(!vectors.is_empty());
    for vector in vectors {
        let text = |name: &str| vector[name].as_str().unwrap().to_owned();
        let headers = [("CurTime", text("curTime")), ("MD5", text("md5")), ("CheckSum", text("checkSum"))];
        let answer = service.client.copy_under(headers, text("body")).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "{\"code\":200}"), "{}", vector["name"]);
    }
    assert_eq!(service.client.counted("outcome=\"dead_letter\"").await, 0);
    let first = service.client.counted("outcome=\"first\"").await;
    assert!(first > 0);
    let (from, to) = (site.user("from"), site.user("to"));
    site.netease.send(&from, &to, 1).await;
    assert_eq!(service.client.counted("outcome=\"first\"").await, first + 1);
}

async fn a_message_copied_many_times_at_once_counts_once(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let body = message(&bob, &alice, 4_000_000_001, 1_700_000_000_000).to_string();
    let copies = (0..20).map(|_| {
        let (client, body) = (service.client.clone(), body.clone());
        tokio::spawn(async move { client.copy(body).await.status })
    });
    for copy in copies.collect::<Vec<_>>() {
        assert_eq!(copy.await.unwrap(), 200);
    }
    assert_eq!(unread(&service.client, &alice, &bob).await, 1);
    let mut other = message(&bob, &alice, 4_000_000_001, 1_700_000_000_000);
    other["body"] = json!("another text under the same id");
    assert_eq!(service.client.copy(other.to_string()).await.status, 200);
    assert_eq!(service.client.counted("outcome=\"conflicting\"").await, 1);
    assert_eq!(unread(&service.client, &alice, &bob).await, 1);
}

async fn one_malformed_receipt_of_a_hundred_stops_none_of_the_others(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, at) = (site.user("alice"), 1_700_000_000_000_i64);
    let peers: Vec<String> = (0..100).map(|n| site.user(&format!("p{n}"))).collect();
    for (n, peer) in peers.iter().enumerate().step_by(11) {
        let id = 5_000_000_000 + n as u64;
        assert_eq!(service.client.copy(message(peer, &alice, id, at).to_string()).await.status, 200);
    }
    let receipt = |(n, peer): (usize, &String)| {
        let timestamp = if n == 55 { json!("yesterday") } else { json!(at) };
        json!({"fromAccount": alice, "toAccount": peer, "timestamp": timestamp, "msgidClient": "x"})
    };
    let objects: Vec<Value> = peers.iter().enumerate().map(receipt).collect();
    let copy = json!({"eventType": "30", "objects": Value::from(objects).to_string()});
    assert_eq!(service.client.copy(copy.to_string()).await.status, 200);

    let body = json!({"self": alice, "users": peers});
    let counts = service.client.as_user(&alice).post("/v1/unread", &body).await.ok();
    for (n, peer) in peers.iter().enumerate() {
        assert_eq!(counts[peer], json!(u64::from(n == 55)), "peer {n}");
    }
    assert_eq!(unread(&site.start().await.client, &alice, &peers[55]).await, 1, "in the log as well");
}

#[tokio::test]
async fn what_netease_did_not_sign_is_401_and_counted() {
    let (_site, service) = service().await;
    let body = message("bob", "alice", 1, 1_700_000_000_000).to_string();
    let good = signature(SECRET, body.as_bytes(), &now());
    let with = |name: &str, value: &str| {
        let replace = |(n, v): (&'static str, String)| (n, if n == name { value.to_owned() } else { v });
        good.clone().map(replace)
    };
    let altered = service.client.copy_under(good.clone(), body.replace("hello", "hellx")).await;
    altered.problem(401, "bad_signature");
    let md5 = &good[1].1;
    let seconds = now()[..10].to_owned();
    let forged = [
        with("MD5", &md5[1..]),
        with("MD5", &format!("{md5}0")),
        with("MD5", &md5.replace(|_: char| true, "g")),
        with("MD5", ""),
        with("CheckSum", &"0".repeat(40)),
        with("CheckSum", ""),
        with("CheckSum", "中文中文"),
        with("CurTime", &seconds),
        with("CurTime", "-1"),
        with("CurTime", ""),
        with("CurTime", "１７０００００００００００"),
        with("CurTime", "170000000000000"),
    ];
    for headers in forged {
        let answer = service.client.copy_under(headers.clone(), body.clone()).await;
        answer.problem(401, "bad_signature");
    }
    for missing in 0..3 {
        let headers = good.clone().into_iter().enumerate().filter(|(n, _)| *n != missing).map(|(_, h)| h);
        service.client.copy_under(headers, body.clone()).await.problem(401, "bad_signature");
    }
    let twice = good.clone().into_iter().chain([good[0].clone()]);
    service.client.copy_under(twice, body.clone()).await.problem(401, "bad_signature");
    assert_eq!(service.client.counted("webhook_bad_signatures").await, 17);
    assert_eq!(unread(&service.client, "alice", "bob").await, 0);
    assert_eq!(service.client.copy_under(with("MD5", &md5.to_uppercase()), body).await.status, 200);
    assert_eq!(unread(&service.client, "alice", "bob").await, 1);
}

#[tokio::test]
async fn the_present_secret_and_the_previous_ones_are_taken() {
    let site = Site::new(Stores::embedded()).await.set("netease.previous_app_secrets", "older,oldest");
    let service = site.start().await;
    for (secret, status) in [(SECRET, 200), ("older", 200), ("oldest", 200), ("third", 401), ("", 401)] {
        let answer = service.client.copy_under(signature(secret, b"{}", &now()), "{}").await;
        assert_eq!(answer.status, status, "{secret}");
    }
}

#[tokio::test]
async fn any_age_is_taken_unless_one_is_set() {
    let (_site, service) = service().await;
    let under = async |service: &Service, cur_time: &str| {
        service.client.copy_under(signature(SECRET, b"{}", cur_time), "{}").await.status
    };
    assert_eq!(under(&service, "1440570500855").await, 200);
    assert_eq!(under(&service, "1").await, 200);
    let strict = Site::new(Stores::embedded()).await.set("netease.max_age", "5m");
    let service = strict.start().await;
    let minutes = |n: i64| (now().parse::<i64>().unwrap() + n * 60_000).to_string();
    for (age, status) in [(0, 200), (-4, 200), (4, 200), (-6, 401), (6, 401)] {
        assert_eq!(under(&service, &minutes(age)).await, status, "{age} minutes");
    }
}
