//! Pages of another origin: asked first, answered, and able to read errors; or not.

use reqwest::Method;
use serde_json::json;

use crate::support::client::{Answer, Client, send};
use crate::support::service::{Service, Site};
use crate::support::stores::Stores;

const SHOP: &str = "https://shop.example";

async fn with(origins: &str) -> (Site, Service) {
    let site = Site::new(Stores::embedded()).await.set("http.cors_origins", origins);
    let service = site.start().await;
    (site, service)
}

async fn preflight(client: &Client, path: &str, origin: &str, method: &str, headers: &str) -> Answer {
    let request = client.request(Method::OPTIONS, path).header("Origin", origin);
    let request = request.header("Access-Control-Request-Method", method);
    send(request.header("Access-Control-Request-Headers", headers)).await
}

fn allowed(answer: &Answer) -> Option<&str> {
    answer.headers.get("access-control-allow-origin").map(|origin| origin.to_str().unwrap())
}

#[tokio::test]
async fn a_page_of_a_named_origin_may_call_everything_and_read_errors() {
    let (_site, service) = with(SHOP).await;
    for (path, method, headers) in [
        ("/v1/unread", "POST", "authorization,content-type"),
        ("/v1/unread?self=alice&users=bob", "GET", "authorization,if-none-match"),
        ("/v1/unread/stream?self=alice&users=bob", "GET", "authorization,last-event-id"),
        ("/v1/accounts/bind", "POST", "authorization,content-type"),
        ("/v1/notifications", "POST", "authorization,content-type,idempotency-key"),
    ] {
        let asked = preflight(&service.client, path, SHOP, method, headers).await;
        assert_eq!((asked.status, allowed(&asked)), (200, Some(SHOP)), "{path}");
        assert!(asked.header("access-control-allow-methods").contains(method), "{path}");
        let may_send = asked.header("access-control-allow-headers");
        assert!(headers.split(',').all(|header| may_send.contains(header)), "{path}: {may_send}");
    }
    let alice = service.client.as_user("alice");
    let from_shop = |path: &str| alice.request(Method::GET, path).header("Origin", SHOP);
    let counts = send(from_shop("/v1/unread?self=alice&users=bob")).await;
    assert_eq!((counts.ok(), allowed(&counts)), (json!({"bob": 0}), Some(SHOP)));
    let exposed = counts.header("access-control-expose-headers");
    assert!(exposed.contains("etag") && exposed.contains("retry-after"), "{exposed}");
    assert!(counts.headers.get("access-control-allow-credentials").is_none(), "no cookies");
    for (path, status) in [("/v1/unread?self=bob&users=c", 403), ("/v1/unread", 422), ("/nothing", 404)] {
        let refused = send(from_shop(path)).await;
        assert_eq!((refused.status, allowed(&refused)), (status, Some(SHOP)), "{path}");
    }
    let nobody = send(service.client.request(Method::GET, "/v1/unread").header("Origin", SHOP)).await;
    assert_eq!((nobody.status, allowed(&nobody)), (401, Some(SHOP)));
}

#[tokio::test]
async fn a_page_of_another_origin_may_not() {
    let (_site, service) = with(SHOP).await;
    for other in ["https://shop.example.evil", "http://shop.example", "null", "http://localhost:3000"] {
        let asked = preflight(&service.client, "/v1/unread", other, "POST", "authorization").await;
        assert_eq!(allowed(&asked), None, "{other}");
    }
    let asked = preflight(&service.client, "/receiveMsg.action", SHOP, "POST", "content-type").await;
    assert_eq!((asked.status, allowed(&asked)), (405, None), "the webhook is no page's");
}

#[tokio::test]
async fn pages_of_this_machine_may_where_it_is_said_and_nobody_where_nothing_is() {
    let (_site, service) = with("loopback").await;
    for own in ["http://localhost:3000", "http://127.0.0.1:5173"] {
        let asked = preflight(&service.client, "/v1/unread", own, "POST", "authorization").await;
        assert_eq!(allowed(&asked), Some(own));
    }
    assert_eq!(allowed(&preflight(&service.client, "/v1/unread", SHOP, "POST", "authorization").await), None);
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    let asked = preflight(&service.client, "/v1/unread", SHOP, "POST", "authorization").await;
    assert_eq!((asked.status, allowed(&asked)), (405, None));
}
