//! The poll by GET: conditional requests, and ids that need encoding.

use otc_im::domain::ids::Accid;
use reqwest::Method;
use serde_json::json;

use crate::support::client::{Client, send, token};
use crate::support::service::{Service, Site};
use crate::support::stores::{Stores, on_both_sets};

on_both_sets!(an_etag_holds_until_the_answer_changes);

async fn an_etag_holds_until_the_answer_changes(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let caller = service.client.as_user(&alice);
    let path = format!("/v1/unread?self={alice}&users={bob}");
    let conditional =
        async |etag: &str| send(caller.request(Method::GET, &path).header("If-None-Match", etag)).await;
    site.netease.send(&bob, &alice, 1).await;

    let first = caller.get(&path).await;
    assert_eq!(first.ok(), json!({&bob: 1}));
    assert_eq!(first.header("cache-control"), "private, no-cache");
    assert_eq!(first.header("vary"), "Authorization");
    let etag = first.header("etag");
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    for held in [etag.to_owned(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        let unchanged = conditional(&held).await;
        assert_eq!((unchanged.status, unchanged.text.as_str()), (304, ""), "{held}");
        assert_eq!(unchanged.header("etag"), etag);
    }
    site.netease.send(&bob, &alice, 1).await;
    let changed = conditional(etag).await;
    assert_eq!(changed.ok(), json!({bob: 2}));
    assert_ne!(changed.header("etag"), etag);
}

async fn service() -> (Site, Service, Client) {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    let alice = service.client.as_user("alice");
    (site, service, alice)
}

#[tokio::test]
async fn a_query_is_read_as_form_encoders_write_it() {
    let (site, service, alice) = service().await;
    let path = "/v1/unread?self=alice&users=%E5%8D%96%E5%AE%B6,%F0%9F%A6%80,a%26b%3Dc,a+b,a%20b,a%2Bb,100%25";
    let expected = json!({"卖家": 0, "🦀": 0, "a&b=c": 0, "a b": 0, "a+b": 0, "100%": 0});
    assert_eq!(alice.get(path).await.ok(), expected);
    let together = Accid::of_user("bob,carol");
    for (from, messages) in [("bob", 1), ("carol", 2), (together.as_str(), 3)] {
        site.netease.send(from, "alice", messages).await;
    }
    let both = json!({"bob": 1, "carol": 2});
    for users in ["users=bob,carol", "users=bob%2Ccarol", "users=bob%2ccarol", "users=bob&users=carol"] {
        assert_eq!(alice.get(&format!("/v1/unread?self=alice&{users}")).await.ok(), both, "{users}");
        assert_eq!(alice.get(&format!("/v1/unread?{users}&self=alice&")).await.ok(), both, "{users}");
    }
    // Each of several is one id, commas and all; one that is named twice is answered once.
    let whole = alice.get("/v1/unread?self=alice&users=bob%2Ccarol&users=carol").await;
    assert_eq!(whole.ok(), json!({"bob,carol": 3, "carol": 2}));
    let whole = alice.get("/v1/unread?self=alice&users=bob,carol&users=bob,carol").await;
    assert_eq!(whole.ok(), json!({"bob,carol": 3}));
    let buyer = service.client.as_user("买家, 1");
    assert_eq!(
        buyer.get("/v1/unread?users=bob&self=%E4%B9%B0%E5%AE%B6%2C%201").await.ok(),
        json!({"bob": 0})
    );
    assert_eq!(alice.get("/v1/unread?self=alice&users=bob,,bob,").await.ok(), json!({"bob": 1}));
}

#[tokio::test]
async fn a_sites_own_server_asks_for_anybody() {
    let (site, service, _) = service().await;
    site.netease.send("bob", "alice", 2).await;
    let server = service.client.with_token(token("order-page", "openid unread"));
    assert_eq!(server.get("/v1/unread?self=alice&users=bob").await.ok(), json!({"bob": 2}));
    let asked = json!({"self": "alice", "users": ["bob"]});
    assert_eq!(server.post("/v1/unread", &asked).await.ok(), json!({"bob": 2}));
    let other = service.client.with_token(token("order-page", "notify"));
    other.get("/v1/unread?self=alice&users=bob").await.problem(403, "forbidden");
    // It asks; it does not bind in somebody's name.
    let bind = json!({"buyer": "alice", "seller": "bob"});
    server.post("/v1/accounts/bind", &bind).await.problem(403, "forbidden");
}

#[tokio::test]
async fn a_query_that_makes_no_sense_is_refused_and_the_parameter_named() {
    let (_site, service, alice) = service().await;
    let many = (0..501).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let cases = [
        ("self", "users=bob".to_owned()),
        ("users", "self=alice".to_owned()),
        ("users", "self=alice&users=".to_owned()),
        ("users", "self=alice&users=,,".to_owned()),
        ("users", "self=alice&users".to_owned()),
        ("bob", "self=alice&users=carol&bob".to_owned()),
        ("users", "self=alice&users=100%".to_owned()),
        ("users", "self=alice&users=bob,50%2,carol".to_owned()),
        ("users", "self=alice&users=%zz".to_owned()),
        ("self", "self=%E4%B9%B&users=bob".to_owned()),
        ("users[0]", "self=alice&users=&users=bob".to_owned()),
        ("self", "self=alice&self=alice&users=bob".to_owned()),
        ("peers", "self=alice&users=bob&peers=carol".to_owned()),
        ("self", "self=&users=bob".to_owned()),
        ("users[1]", "self=alice&users=bob,a%00b".to_owned()),
        ("users", format!("self=alice&users={many}")),
    ];
    for (parameter, query) in cases {
        alice.get(&format!("/v1/unread?{query}")).await.invalid(parameter);
    }
    alice.get("/v1/unread").await.invalid("self");
    alice.get("/v1/unread?self=alice&users=%FF%FE").await.problem(400, "unreadable");
    alice.get("/v1/unread?self=bob&users=alice").await.problem(403, "forbidden");
    service.client.get("/v1/unread?self=alice&users=bob").await.problem(401, "unauthorized");
}
