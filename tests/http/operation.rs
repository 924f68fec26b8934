//! `/metrics`: what whoever runs the service looks at.

use serde_json::json;

use super::webhook::unread;
use crate::support::service::Site;
use crate::support::stores::Stores;
use crate::support::webhook::message;

const AT: i64 = 1_700_000_000_000;

#[tokio::test]
async fn metrics_count_requests_by_route_and_copies_by_outcome() {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    let client = &service.client;
    for n in [1, 2, 3, 1] {
        assert_eq!(client.copy(message("bob", "alice", n, AT).to_string()).await.status, 200);
    }
    for _ in 0..5 {
        assert_eq!(unread(client, "alice", "bob").await, 3);
    }
    let metrics = client.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    assert!(metrics.text.ends_with("# EOF\n"), "{}", metrics.text);
    assert_eq!(client.counted("outcome=\"first\"").await, 3);
    assert_eq!(client.counted("outcome=\"repeated\"").await, 1);
    let polls = "seconds_count{route=\"/v1/unread\",status=\"200\"}";
    assert_eq!(client.counted(polls).await, 5);
    assert_eq!(client.counted("view_loads").await, 1, "one load for five polls");
}

#[tokio::test]
async fn what_alerts_ask_for_is_there_before_it_happens() {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    let text = service.client.get("/metrics").await.text;
    let zero = |series: &str| text.contains(&format!("{series} 0\n"));
    for (route, status) in [
        ("/receiveMsg.action", 503),
        ("/v1/unread", 503),
        ("/v1/unread/stream", 503),
        ("/v1/accounts/bind", 429),
        ("/v1/accounts/bind", 503),
        ("/v1/notifications", 429),
    ] {
        let labels = format!("route=\"{route}\",status=\"{status}\"");
        assert!(zero(&format!("otc_im_http_request_duration_seconds_count{{{labels}}}")), "{labels}");
    }
    for (event_type, outcome) in
        [("1", "first"), ("1", "conflicting"), ("30", "read"), ("unknown", "refused")]
    {
        let labels = format!("event_type=\"{event_type}\",outcome=\"{outcome}\"");
        assert!(zero(&format!("otc_im_copies_total{{{labels}}}")), "{labels}");
    }
}

#[tokio::test]
async fn metrics_do_not_grow_with_what_strangers_send() {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    let client = &service.client;
    let series = async || client.get("/metrics").await.text.lines().count();
    let stranger = async |n: u32| {
        client.get(&format!("/some/{n}")).await.problem(404, "not_found");
        client.get(&format!("/v1/unread?self=u{n}&users=x")).await.problem(401, "unauthorized");
        let copy = json!({"eventType": format!("type-{n}")}).to_string();
        assert_eq!(client.copy(copy).await.status, 200);
    };
    stranger(0).await;
    series().await;
    let before = series().await;
    for n in 1..20 {
        stranger(n).await;
    }
    assert_eq!(series().await, before);
}

#[tokio::test]
async fn a_receipt_from_the_future_is_pulled_back_and_counted() {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    let client = &service.client;
    let far = json!([{"fromAccount": "alice", "toAccount": "bob", "timestamp": 9_999_999_999_999_i64}]);
    let copy = json!({"eventType": "30", "objects": far}).to_string();
    assert_eq!(client.copy(copy).await.status, 200);
    assert_eq!(client.counted("receipts_clamped").await, 1);
    let in_between = 4_000_000_000_000;
    assert_eq!(client.copy(message("bob", "alice", 9, in_between).to_string()).await.status, 200);
    assert_eq!(unread(client, "alice", "bob").await, 1, "a message after the clamped receipt still counts");
}
