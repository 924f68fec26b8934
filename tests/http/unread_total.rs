//! The total: asked for by itself, and as events of a stream.

use otc_im::domain::ids::Accid;
use otc_im::infra::redis::Connection;
use reqwest::Method;
use serde_json::json;

use super::stores_out_of_reach::site_with_proxy;
use crate::support::backends::redis_key;
use crate::support::client::{send, token};
use crate::support::events::Events;
use crate::support::server;
use crate::support::service::{Service, Site, eventually};
use crate::support::stores::{Stores, on_both_sets};

on_both_sets!(
    a_total_is_of_all_who_have_written,
    a_stream_tells_the_total_first_and_whenever_it_changes,
    a_stream_without_users_tells_totals_alone,
);

async fn running(stores: Stores) -> (Site, Service) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    (site, service)
}

async fn a_total_is_of_all_who_have_written(stores: Stores) {
    let (site, service) = running(stores).await;
    let (alice, bob, carol) = (site.user("alice"), site.user("bob"), site.user("carol"));
    let caller = service.client.as_user(&alice);
    let path = format!("/v1/unread/total?self={alice}");
    let conditional =
        async |etag: &str| send(caller.request(Method::GET, &path).header("If-None-Match", etag)).await;
    let nothing = caller.get(&path).await;
    assert_eq!(nothing.ok(), json!({"messages": 0, "users": 0}));
    site.netease.send(&bob, &alice, 2).await;
    site.netease.send(&carol, &alice, 1).await;
    site.netease.send(&alice, &bob, 5).await;
    let first = caller.get(&path).await;
    assert_eq!(first.ok(), json!({"messages": 3, "users": 2}));
    assert_eq!(first.header("cache-control"), "private, no-cache");
    assert_eq!(first.header("vary"), "Authorization");
    let etag = first.header("etag");
    let unchanged = conditional(etag).await;
    assert_eq!((unchanged.status, unchanged.text.as_str(), unchanged.header("etag")), (304, "", etag));

    // Another total of the same number of messages is another one.
    site.netease.read(&alice, &carol).await;
    site.netease.send(&bob, &alice, 1).await;
    let changed = conditional(etag).await;
    assert_eq!(changed.ok(), json!({"messages": 3, "users": 1}));
    site.netease.read(&alice, &bob).await;
    let back = conditional(nothing.header("etag")).await;
    assert_eq!(back.status, 304, "all is as it was");
}

async fn a_stream_tells_the_total_first_and_whenever_it_changes(stores: Stores) {
    let (site, service) = running(stores).await;
    let (alice, bob, carol) = (site.user("alice"), site.user("bob"), site.user("carol"));
    site.netease.send(&bob, &alice, 2).await;
    let path = format!("/v1/unread/stream?self={alice}&users={bob}&total=1");
    let mut events = Events::open(&service.client.as_user(&alice), &path).await;
    let map = events.next().await;
    assert_eq!((map.name.as_str(), map.map), ("", json!({bob.clone(): 2})));
    let first = events.next().await;
    assert_eq!((first.name.as_str(), first.map), ("total", json!({"messages": 2, "users": 1})));

    // Nobody on the page: the total alone.
    site.netease.send(&carol, &alice, 1).await;
    let told = events.next().await;
    assert_eq!((told.name.as_str(), told.map), ("total", json!({"messages": 3, "users": 2})));
    site.netease.read(&alice, &carol).await;
    let told = events.next().await;
    assert_eq!(
        (told.name.as_str(), told.map, told.id),
        ("total", json!({"messages": 2, "users": 1}), first.id)
    );
    site.netease.read(&alice, &bob).await;
    let (map, total) = (events.next().await, events.next().await);
    assert_eq!((map.name.as_str(), map.map), ("", json!({bob: 0})));
    assert_eq!((total.name.as_str(), total.map), ("total", json!({"messages": 0, "users": 0})));
}

async fn a_stream_without_users_tells_totals_alone(stores: Stores) {
    let (site, service) = running(stores).await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    for users in ["", "&users="] {
        let path = format!("/v1/unread/stream?self={alice}{users}&total=1");
        let mut events = Events::open(&service.client.as_user(&alice), &path).await;
        let first = events.next().await;
        assert_eq!((first.name.as_str(), first.map), ("total", json!({"messages": 0, "users": 0})));
        site.netease.send(&bob, &alice, 1).await;
        let told = events.next().await;
        assert_eq!((told.name.as_str(), told.map), ("total", json!({"messages": 1, "users": 1})));
        site.netease.read(&alice, &bob).await;
        assert_eq!(events.next().await.map, json!({"messages": 0, "users": 0}));
    }
}

#[tokio::test]
async fn a_total_is_for_the_reader_and_takes_no_other_parameter() {
    let (site, service) = running(Stores::embedded()).await;
    site.netease.send("bob", "alice", 2).await;
    let alice = service.client.as_user("alice");
    alice.get("/v1/unread/total?self=bob").await.problem(403, "forbidden");
    service.client.get("/v1/unread/total?self=alice").await.problem(401, "unauthorized");
    alice.get("/v1/unread/total").await.invalid("self");
    alice.get("/v1/unread/total?self=").await.invalid("self");
    alice.get("/v1/unread/total?self=alice&users=bob").await.invalid("users");
    alice.get("/v1/unread/total?self=alice&total=1").await.invalid("total");
    alice.get("/v1/unread?self=alice&users=bob&total=1").await.invalid("total");
    alice.get("/v1/unread/stream?self=alice").await.invalid("users");
    alice.get("/v1/unread/stream?self=alice&total=0").await.invalid("users");
    alice.get("/v1/unread/stream?self=alice&users=bob&total=yes").await.invalid("total");
    let order_page = service.client.with_token(token("order-page", "openid unread"));
    let total = order_page.get("/v1/unread/total?self=alice").await;
    assert_eq!(total.ok(), json!({"messages": 2, "users": 1}));
    // Off is as if it were not there.
    let path = "/v1/unread/stream?self=alice&users=bob&total=0";
    let mut events = Events::open(&alice, path).await;
    assert_eq!(events.next().await.map, json!({"bob": 2}));
    site.netease.read("alice", "bob").await;
    assert_eq!(events.next().await.map, json!({"bob": 0}));
    site.netease.send("bob", "alice", 1).await;
    assert_eq!(events.next().await.map, json!({"bob": 1}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_total_of_a_reader_who_was_lost_is_loaded_and_an_outage_is_503() {
    let (site, service, proxy) = site_with_proxy("unread.url").await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let caller = service.client.as_user(&alice);
    let path = format!("/v1/unread/total?self={alice}");
    site.netease.send(&bob, &alice, 3).await;
    let all = json!({"messages": 3, "users": 1});
    assert_eq!(caller.get(&path).await.ok(), all);
    let key = redis_key(&Accid::from_nim(&alice).unwrap(), "n");
    let mut redis = Connection::open(&server("TEST_REDIS_URL")).await.unwrap();
    redis::cmd("DEL").arg(key).query_async::<()>(&mut redis).await.unwrap();
    for _ in 0..20 {
        assert_eq!(caller.get(&path).await.ok(), all, "who is lost is loaded, and is no zero");
    }
    proxy.cut();
    let refused = async || {
        let answer = caller.get(&path).await;
        if answer.status == 200 {
            assert_eq!(answer.ok(), all, "from memory, for a moment");
        }
        answer.status != 200
    };
    eventually("the outage is told", refused).await;
    let refused = caller.get(&path).await;
    assert!(refused.header("retry-after").parse::<u64>().is_ok());
    refused.problem(503, "store_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_fallbacks_the_log_counts_the_total_while_the_view_is_away() {
    let (site, _service, proxy) = site_with_proxy("unread.url").await;
    let site = site.set("unread.fallback_at_once", "2");
    let service = site.start().await;
    let (alice, bob, carol) = (site.user("alice"), site.user("bob"), site.user("carol"));
    site.netease.send(&bob, &alice, 3).await;
    site.netease.send(&carol, &alice, 1).await;
    site.netease.read(&alice, &carol).await;
    proxy.cut();
    let caller = service.client.as_user(&alice);
    let total = caller.get(&format!("/v1/unread/total?self={alice}")).await;
    assert_eq!(total.ok(), json!({"messages": 3, "users": 1}));
}
