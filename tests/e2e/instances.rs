//! Two processes over the same MySQL, MongoDB and Redis.

use serde_json::{Value, json};

use crate::support::process::Process;
use crate::support::service::{Site, eventually};
use crate::support::stores::Stores;
use crate::support::webhook::message;

async fn unread(process: &Process, reader: &str, peer: &str) -> Value {
    let body = json!({"self": reader, "users": [peer]});
    process.client.as_user(reader).post("/v1/unread", &body).await.ok()[peer].clone()
}

/// Waits for a count that another process was told of: Redis tells this one, a moment later.
async fn hears(process: &Process, reader: &str, peer: &str, count: u64) {
    let what = format!("{reader} has {count} from {peer}");
    eventually(&what, async || unread(process, reader, peer).await == count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_takes_in_the_other_one_counts() {
    let site = Site::new(Stores::servers().await).await;
    let (one, other) = (site.spawn().await, site.spawn().await);
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    assert_eq!(unread(&one, &alice, &bob).await, 0);
    let sent = site.netease.send(&bob, &alice, 3).await;
    assert_eq!(unread(&other, &alice, &bob).await, 3, "it took the copies");
    hears(&one, &alice, &bob, 3).await;
    site.netease.send_copies_to(&one.client.url(""));
    site.netease.tell("recall", json!({"msgidServer": sent[2]["msgidServer"]})).await;
    assert_eq!(unread(&one, &alice, &bob).await, 2, "it took the recall");
    hears(&other, &alice, &bob, 2).await;
    site.netease.read(&alice, &bob).await;
    assert_eq!(unread(&one, &alice, &bob).await, 0, "it took the receipt");
    hears(&other, &alice, &bob, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_comes_to_both_at_once_counts_once() {
    let site = Site::new(Stores::servers().await).await;
    let (one, other) = (site.spawn().await, site.spawn().await);
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    for n in 0..10 {
        let copy = message(&bob, &alice, 8_000_000_000 + n, 1_700_000_000_000).to_string();
        let (first, second) = tokio::join!(one.client.copy(copy.clone()), other.client.copy(copy));
        assert_eq!((first.status, second.status), (200, 200));
        let expected = json!(n + 1);
        let both = tokio::join!(unread(&one, &alice, &bob), unread(&other, &alice, &bob));
        assert_eq!(both, (expected.clone(), expected));
    }
    let firsts =
        one.client.counted("outcome=\"first\"").await + other.client.counted("outcome=\"first\"").await;
    assert_eq!(firsts, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_changed_on_one_process_keeps_the_token_on_the_other() {
    let site = Site::new(Stores::servers().await).await;
    let (one, other) = (site.spawn().await, site.spawn().await);
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let bind = async |process: &Process, name: &str| {
        let body = json!({"buyer": alice, "buyerName": name, "seller": bob});
        process.client.as_user(&alice).post("/v1/accounts/bind", &body).await.ok()
    };
    let bound = bind(&one, "Alice").await;
    assert_eq!(bind(&other, "Alicia").await, bound);
    assert_eq!(bind(&one, "Alice").await, bound, "its cache still has that name");
    assert!(site.netease.login(&alice, bound["token"].as_str().unwrap()).await);
    assert_eq!(site.netease.calls("user/create").await, 2);
}
