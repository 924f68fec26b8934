//! The stream of counts: the whole map first, then what changes; and when it ends.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::client::{Client, token_until};
use crate::support::events::Events;
use crate::support::service::{Service, Site, eventually};
use crate::support::stores::{Stores, on_both_sets};

on_both_sets!(the_whole_map_comes_first_then_what_changes);

fn path(reader: &str, users: &[&str]) -> String {
    format!("/v1/unread/stream?self={reader}&users={}", users.join(","))
}

async fn open(client: &Client, reader: &str, users: &[&str]) -> Events {
    Events::open(&client.as_user(reader), &path(reader, users)).await
}

async fn site() -> (Site, Service) {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    (site, service)
}

async fn the_whole_map_comes_first_then_what_changes(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, bob, carol) = (site.user("alice"), site.user("bob"), site.user("carol"));
    site.netease.send(&bob, &alice, 2).await;
    let mut events = open(&service.client, &alice, &[&bob, &carol, &alice]).await;
    let first = events.next().await;
    assert_eq!(first.map, json!({bob.clone(): 2, carol.clone(): 0, alice.clone(): 0}));

    site.netease.send(&carol, &alice, 1).await;
    let began = Instant::now();
    let told = events.next().await;
    assert_eq!(told.map, json!({carol.clone(): 1}), "only what has changed");
    assert!(began.elapsed() < Duration::from_secs(1), "after {:?}", began.elapsed());
    assert_ne!(told.id, first.id);
    site.netease.read(&alice, &carol).await;
    let back = events.next().await;
    assert_eq!((back.map, back.id), (json!({carol.clone(): 0}), first.id.clone()), "all is as it was");
    site.netease.read(&alice, &bob).await;
    assert_eq!(events.next().await.map, json!({bob.clone(): 0}));

    // Nobody else's messages are told.
    site.netease.send(&alice, &bob, 1).await;
    site.netease.send(&bob, &carol, 1).await;
    site.netease.send(&bob, &alice, 1).await;
    assert_eq!(events.next().await.map, json!({bob: 1}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_another_instance_takes_in_is_told() {
    let site = Site::new(Stores::servers().await).await;
    let (watched, taking) = (site.start().await, site.start().await);
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let mut events = open(&watched.client, &alice, &[&bob]).await;
    assert_eq!(events.next().await.map, json!({bob.clone(): 0}));
    for n in 1..=5 {
        // Copies go to the instance that was started last.
        site.netease.send(&bob, &alice, 1).await;
        let began = Instant::now();
        assert_eq!(events.next().await.map, json!({bob.clone(): n}));
        assert!(began.elapsed() < Duration::from_secs(1), "after {:?}", began.elapsed());
    }
    drop(taking);
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let (_site, service) = site().await;
    let client = service.client.with_token(token_until("alice", "", -28));
    let mut events = Events::open(&client, &path("alice", &["bob"])).await;
    events.next().await;
    let ended = tokio::time::timeout(Duration::from_secs(10), events.next_or_end()).await;
    assert_eq!(ended, Ok(None), "two seconds later, for clocks may differ by thirty");
}

#[tokio::test]
async fn only_the_reader_may_watch_and_only_so_often() {
    let site =
        Site::new(Stores::embedded()).await.set("limits.streams_per_reader", "2").set("limits.streams", "3");
    let service = site.start().await;
    let ask = async |reader: &str, as_user: &str| {
        service.client.as_user(as_user).get(&path(reader, &["bob"])).await
    };
    ask("alice", "mallory").await.problem(403, "forbidden");
    service.client.get(&path("alice", &["bob"])).await.problem(401, "unauthorized");
    service.client.as_user("alice").get(&path("alice", &[])).await.invalid("users");

    let (one, other) =
        (open(&service.client, "alice", &["bob"]).await, open(&service.client, "alice", &["bob"]).await);
    ask("alice", "alice").await.problem(429, "too_many_streams");
    let third = open(&service.client, "carol", &["bob"]).await;
    ask("dave", "dave").await.problem(503, "overloaded");
    drop((one, other, third));
    let free = async || service.client.get("/metrics").await.text.contains("otc_im_streams_open 0");
    eventually("their places are free again", free).await;
    open(&service.client, "dave", &["bob"]).await.next().await;
}

#[tokio::test]
async fn a_store_out_of_reach_ends_the_stream_and_is_never_a_zero() {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    site.netease.send("bob", "alice", 3).await;
    let mut events = open(&service.client, "alice", &["bob"]).await;
    assert_eq!(events.next().await.map, json!({"bob": 3}));
    drop(service);
    assert_eq!(events.next_or_end().await, None, "told to stop, it ends; no event says 0");
}
