//! Stores that go away and come back: an outage is a 503, never a zero, and nothing acknowledged is lost.

use serde_json::json;

use super::accounts::bind;
use super::webhook::unread;
use crate::support::proxy::Proxy;
use crate::support::service::{Service, Site, eventually};
use crate::support::stores::Stores;
use crate::support::webhook::message;

const AT: i64 = 1_700_000_000_000;

/// A site one of whose stores is behind a proxy.
pub async fn site_with_proxy(key: &'static str) -> (Site, Service, Proxy) {
    let stores = Stores::servers().await;
    let proxy = Proxy::of(stores.url(key)).await;
    let url = proxy.through(stores.url(key));
    let site = Site::new(stores.with(key, url)).await;
    let service = site.start().await;
    (site, service, proxy)
}

async fn names_the_store(service: &Service, store: &str) {
    let readiness = service.client.get("/readyz").await.ok();
    assert_eq!(readiness, json!({"state": "ready", "degraded": [store]}), "the others serve on");
    let metrics = service.client.get("/metrics").await.text;
    for other in ["accounts", "messages", "unread"] {
        let up = format!("otc_im_store_up{{store=\"{other}\"}} {}\n", u8::from(other != store));
        assert!(metrics.contains(&up), "{up}: {metrics}");
    }
    assert_eq!(service.client.get("/healthz").await.status, 200, "restarting would not help");
}

async fn recovers(service: &Service) {
    let ready = async || service.client.get("/readyz").await.json() == json!({"state": "ready"});
    eventually("every store answers again", ready).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_view_polls_and_copies_are_503_and_redelivery_mends_the_counts() {
    let (site, service, proxy) = site_with_proxy("unread.url").await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    site.netease.send(&bob, &alice, 2).await;
    assert_eq!(unread(&service.client, &alice, &bob).await, 2);

    proxy.cut();
    let poll = json!({"self": alice, "users": [bob]});
    // For a moment, the answer in memory still holds.
    let refused = async || service.client.as_user(&alice).post("/v1/unread", &poll).await.status != 200;
    eventually("the loss is noticed", refused).await;
    service.client.as_user(&alice).post("/v1/unread", &poll).await.problem(503, "store_unavailable");
    let path = format!("/v1/unread?self={alice}&users={bob}");
    service.client.as_user(&alice).get(&path).await.problem(503, "store_unavailable");
    let copy = message(&bob, &alice, 6_000_000_001, AT).to_string();
    service.client.copy(copy.clone()).await.problem(503, "store_unavailable");
    names_the_store(&service, "unread").await;
    let sent = json!({"from": bob, "to": alice, "count": 3, "force": true, "wait": false});
    site.netease.faults(json!({"maxAttempts": 1000, "maxRetryMs": 200})).await;
    site.netease.tell("send", sent).await;
    eventually("copies are sent again", async || site.netease.look("stats").await["copies"]["retried"] != 0)
        .await;

    proxy.mend();
    recovers(&service).await;
    site.netease.drain().await;
    assert_eq!(unread(&service.client, &alice, &bob).await, 5);
    assert_eq!(service.client.copy(copy).await.status, 200, "sent again, as NetEase would");
    assert_eq!(unread(&service.client, &alice, &bob).await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_log_copies_are_503_and_redelivery_mends_the_counts() {
    let (site, service, proxy) = site_with_proxy("messages.url").await;
    let (alice, bob, carol) = (site.user("alice"), site.user("bob"), site.user("carol"));
    site.netease.send(&bob, &alice, 2).await;
    assert_eq!(unread(&service.client, &alice, &bob).await, 2);
    site.netease.send(&bob, &carol, 1).await;

    proxy.cut();
    let copy = message(&bob, &alice, 6_000_000_001, AT).to_string();
    service.client.copy(copy).await.problem(503, "store_unavailable");
    service.client.copy("not JSON").await.problem(503, "store_unavailable");
    let receipt = json!([{"fromAccount": alice, "toAccount": bob, "timestamp": AT}]);
    let receipt = json!({"eventType": "30", "objects": receipt}).to_string();
    service.client.copy(receipt).await.problem(503, "store_unavailable");
    assert_eq!(unread(&service.client, &alice, &bob).await, 2, "whoever is loaded needs no log");
    let unknown = json!({"self": carol, "users": [bob]});
    let answer = service.client.as_user(&carol).post("/v1/unread", &unknown).await;
    assert_eq!(answer.status, 503, "not a zero: {}", answer.text);
    names_the_store(&service, "messages").await;
    site.netease.faults(json!({"maxAttempts": 1000, "maxRetryMs": 200})).await;
    let sent = json!({"from": bob, "to": alice, "count": 3, "force": true, "wait": false});
    site.netease.tell("send", sent).await;

    proxy.mend();
    recovers(&service).await;
    site.netease.drain().await;
    assert_eq!(unread(&service.client, &alice, &bob).await, 5, "what was answered 503 by hand is not there");
    assert_eq!(unread(&service.client, &carol, &bob).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_account_rows_binds_are_503_and_chat_goes_on() {
    let (site, service, proxy) = site_with_proxy("accounts.url").await;
    let (alice, bob, carol) = (site.user("alice"), site.user("bob"), site.user("carol"));
    let bound = bind(&service.client, &alice, None, &bob).await;

    proxy.cut();
    let body = json!({"buyer": alice, "seller": carol});
    service.client.as_user(&alice).post("/v1/accounts/bind", &body).await.problem(503, "store_unavailable");
    let notice = json!({"to": carol, "attach": "text"});
    service.client.as_user("shop").post("/v1/notifications", &notice).await.problem(503, "store_unavailable");
    names_the_store(&service, "accounts").await;
    site.netease.send(&bob, &alice, 1).await;
    assert_eq!(unread(&service.client, &alice, &bob).await, 1);

    proxy.mend();
    recovers(&service).await;
    let again = bind(&service.client, &alice, None, &carol).await;
    assert_eq!((&again["token"], &again["friend"]["state"]), (&bound["token"], &json!("added")));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_view_and_log_the_instance_is_not_ready() {
    let stores = Stores::servers().await;
    let (log, view) =
        tokio::join!(Proxy::of(stores.url("messages.url")), Proxy::of(stores.url("unread.url")));
    let (log_url, view_url) =
        (log.through(stores.url("messages.url")), view.through(stores.url("unread.url")));
    let site = Site::new(stores.with("messages.url", log_url).with("unread.url", view_url)).await;
    let service = site.start().await;
    let metrics = service.client.get("/metrics").await.text;
    assert_eq!(metrics.matches("otc_im_store_up{").count(), 3, "there from the start: {metrics}");
    log.cut();
    view.cut();
    let problem = service.client.get("/readyz").await.problem(503, "store_unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("out of reach: messages, unread;"), "{problem}");
    log.mend();
    eventually("one of them is enough", async || service.client.get("/readyz").await.status == 200).await;
    view.mend();
    recovers(&service).await;
}

#[tokio::test]
async fn readyz_speaks_of_our_stores_only() {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    site.netease.stop().await;
    assert_eq!(service.client.get("/readyz").await.ok(), json!({"state": "ready"}));
    assert_eq!(service.client.get("/healthz").await.ok(), json!({"state": "alive"}));
}
