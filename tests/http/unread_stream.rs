//! The stream of counts: the whole map first, then what changes; and when it ends.

use std::time::Duration;

use otc_im::domain::ids::Accid;
use otc_im::infra::clock::System;
use otc_im::infra::redis::Connection;
use otc_im::ports::clock::Clock;
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::stores_out_of_reach::site_with_proxy;
use crate::support::backends::redis_key;
use crate::support::client::{Client, token_until};
use crate::support::events::Events;
use crate::support::proxy::Proxy;
use crate::support::server;
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
    let told = events.next().await;
    assert_eq!(told.map, json!({carol.clone(): 1}), "only what has changed");
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
    let told_by_redis = async || shows(&watched, "otc_im_near_cache_active 1").await;
    eventually("Redis tells of changes", told_by_redis).await;
    let mut events = open(&watched.client, &alice, &[&bob]).await;
    assert_eq!(events.next().await.map, json!({bob.clone(): 0}));
    for n in 1..=5 {
        // Copies go to the instance that was started last. By itself the stream would look after half a minute, which
        // is longer than an event is waited for.
        site.netease.send(&bob, &alice, 1).await;
        assert_eq!(events.next().await.map, json!({bob.clone(): n}));
    }
    assert!(told_by_redis().await, "all the time");
    drop(taking);
}

/// Once the stream is open, time stands still until everybody waits for it.
#[tokio::test]
async fn a_stream_ends_with_its_token() {
    /// It expired ten seconds ago, and clocks may differ by thirty.
    const TOKEN: Duration = Duration::from_secs(20);
    /// Timers are of whole milliseconds.
    const TICK: Duration = Duration::from_millis(10);
    let (_site, service) = site().await;
    let asked = Instant::now();
    let into_second = Duration::from_millis(System.now().0.unsigned_abs() % 1000);
    let client = service.client.with_token(token_until("alice", "", -10));
    let mut events = Events::open(&client, &path("alice", &["bob"])).await;
    events.next().await;
    let opened = asked.elapsed();
    tokio::time::pause();
    let ended = timeout(2 * TOKEN, events.next_or_end()).await;
    let lasted = asked.elapsed();
    assert_eq!(ended, Ok(None));
    // A token is of whole seconds; its end is looked at while the stream is opened.
    assert!(lasted + TICK + into_second >= TOKEN, "{lasted:?}");
    assert!(lasted <= TOKEN + opened + TICK, "{lasted:?}");
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
    let free = async || shows(&service, "otc_im_streams_open 0").await;
    eventually("their places are free again", free).await;
    open(&service.client, "dave", &["bob"]).await.next().await;
}

#[tokio::test]
async fn a_stop_ends_the_stream_and_is_never_a_zero() {
    let (site, service) = site().await;
    site.netease.send("bob", "alice", 3).await;
    let mut events = open(&service.client, "alice", &["bob"]).await;
    assert_eq!(events.next().await.map, json!({"bob": 3}));
    drop(service);
    assert_eq!(events.next_or_end().await, None, "told to stop, it ends; no event says 0");
}

async fn shows(service: &Service, metric: &str) -> bool {
    service.client.get("/metrics").await.text.contains(&format!("{metric}\n"))
}

/// A service one of whose stores is behind a proxy, a reader with three unread messages, and the stream that tells so.
struct Watched {
    site: Site,
    service: Service,
    proxy: Proxy,
    reader: String,
    peer: String,
    events: Events,
}

impl Watched {
    async fn through_proxy_to(key: &'static str) -> Self {
        let (site, service, proxy) = site_with_proxy(key).await;
        eventually("Redis tells of changes", async || shows(&service, "otc_im_near_cache_active 1").await)
            .await;
        let (reader, peer) = (site.user("alice"), site.user("bob"));
        site.netease.send(&peer, &reader, 3).await;
        let mut events = open(&service.client, &reader, &[&peer]).await;
        assert_eq!(events.next().await.map, json!({peer.clone(): 3}));
        Self { site, service, proxy, reader, peer, events }
    }

    /// The stream ends, with its service going on; another one is refused, until the store is back.
    async fn ends_and_comes_back(mut self) {
        let ended = timeout(Duration::from_secs(25), self.events.next_or_end()).await;
        assert_eq!(ended.expect("the stream ends"), None, "no event says 0");
        eventually("its place is free again", async || shows(&self.service, "otc_im_streams_open 0").await)
            .await;
        let reader = self.service.client.as_user(&self.reader);
        reader.get(&path(&self.reader, &[&self.peer])).await.problem(503, "store_unavailable");
        assert_eq!(self.service.client.get("/healthz").await.status, 200);
        assert!(shows(&self.service, "otc_im_streams_open 0").await, "who is refused takes no place");

        self.proxy.mend();
        let ready = async || self.service.client.get("/readyz").await.json() == json!({"state": "ready"});
        eventually("every store answers again", ready).await;
        let mut events = open(&self.service.client, &self.reader, &[&self.peer]).await;
        assert_eq!(events.next().await.map, json!({self.peer.clone(): 3}));
        self.site.netease.send(&self.peer, &self.reader, 1).await;
        assert_eq!(events.next().await.map, json!({self.peer.clone(): 4}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_is_away_for_a_moment_ends_no_stream() {
    let mut watched = Watched::through_proxy_to("unread.url").await;
    watched.proxy.cut();
    // The stream is told to look, and finds nobody to ask.
    let lost = async || shows(&watched.service, "otc_im_near_cache_active 0").await;
    eventually("Redis is lost", lost).await;
    watched.proxy.mend();
    let back = async || shows(&watched.service, "otc_im_near_cache_active 1").await;
    eventually("Redis tells of changes again", back).await;
    watched.site.netease.send(&watched.peer, &watched.reader, 1).await;
    assert_eq!(watched.events.next().await.map, json!({watched.peer.clone(): 4}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_out_of_reach_ends_the_stream_and_is_never_a_zero() {
    let watched = Watched::through_proxy_to("unread.url").await;
    watched.proxy.cut();
    watched.ends_and_comes_back().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_out_of_reach_ends_the_stream_of_a_reader_whom_the_view_has_lost() {
    let watched = Watched::through_proxy_to("messages.url").await;
    watched.proxy.cut();
    let key = redis_key(&Accid::from_nim(&watched.reader).unwrap(), "n");
    let mut redis = Connection::open(&server("TEST_REDIS_URL")).await.unwrap();
    redis::cmd("DEL").arg(key).query_async::<()>(&mut redis).await.unwrap();
    watched.ends_and_comes_back().await;
}
