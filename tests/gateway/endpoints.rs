//! Calls while NetEase, or one of its addresses, does not answer.

use otc_im::infra::netease::NeteaseSettings;
use otc_im::ports::gateway::{Created, Gateway, GatewayError};
use serde_json::json;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};

use super::{NOWHERE, accid, gateway, made, metrics, notify, register, settings};
use crate::support::netease::NetEase;
use crate::support::proxy::Proxy;
use crate::support::service::eventually;

#[tokio::test]
async fn the_backup_serves_while_the_first_refuses_connections() {
    let netease = NetEase::start().await;
    register(&netease, &["shop"]).await;
    let backup_base_url = Some(netease.base_url());
    let gateway = made(NeteaseSettings { backup_base_url, ..settings(NOWHERE.to_owned()) });

    assert_eq!(gateway.create_user(&accid("alice"), "token", None).await, Ok(Created::New));
    for _ in 0..6 {
        notify(&gateway).await.expect("a notice too: it certainly was not done");
    }
    assert_eq!(netease.calls("msg/sendAttachMsg").await, 6, "each of them once");
    assert_eq!(gateway.circuit_open_for(), None, "one of two answers");
}

#[tokio::test]
async fn a_notice_goes_to_the_backup_only_if_it_certainly_was_not_done() {
    let (main, backup) = (NetEase::start().await, NetEase::start().await);
    for netease in [&main, &backup] {
        register(netease, &["shop", "alice"]).await;
    }
    let both = NeteaseSettings { backup_base_url: Some(backup.base_url()), ..settings(main.base_url()) };
    let gateway = made(both);
    let fail = async |mode: &str| {
        main.faults(json!({"failNext": [{"api": "*", "mode": mode}]})).await;
    };
    let unknown = Err(GatewayError::OutcomeUnknown("msg/sendAttachMsg"));
    for mode in ["lose-reply", "refuse-then-cut", "500", "408"] {
        fail(mode).await;
        assert_eq!(notify(&gateway).await, unknown, "{mode}");
    }
    assert_eq!(main.calls("msg/sendAttachMsg").await, 4);
    fail("503").await;
    assert_eq!(notify(&gateway).await, Ok(()), "NetEase refused it, and is asked once more");
    assert_eq!(main.calls("msg/sendAttachMsg").await, 6);
    assert_eq!(backup.calls("msg/sendAttachMsg").await, 0);

    fail("502").await;
    assert_eq!(notify(&gateway).await, Ok(()));
    assert_eq!(backup.calls("msg/sendAttachMsg").await, 1);
    fail("lose-reply").await;
    gateway.set_name(&accid("alice"), "Alice").await.unwrap();
    assert_eq!(backup.calls("user/updateUinfo").await, 1, "what may be repeated is");
}

#[tokio::test]
async fn a_netease_that_does_not_answer_is_left_alone_and_found_again() {
    let netease = NetEase::start().await;
    register(&netease, &["shop", "alice"]).await;
    netease.faults(json!({"apiDown": true})).await;
    let once = |url| made(NeteaseSettings { attempts: 1, ..settings(url) });
    let gateway = once(netease.base_url());
    let set_name = async || gateway.set_name(&accid("alice"), "Alice").await;
    let shown = |series: &str| metrics(&gateway).contains(&format!("{series}\n"));
    assert!(shown("netease_up{endpoint=\"main\"} 1"));
    assert!(shown("netease_calls_total{api=\"user/updateUinfo\",outcome=\"no_answer\"} 0"));

    for _ in 0..5 {
        assert_eq!(gateway.circuit_open_for(), None);
        assert!(matches!(set_name().await, Err(GatewayError::OutOfReach(_))));
    }
    assert!(gateway.circuit_open_for().is_some_and(|rest| rest <= Duration::from_secs(2)));
    assert!(gateway.background().circuit_open_for().is_some(), "both faces know");
    assert!(matches!(set_name().await, Err(GatewayError::OutOfReach(_))));
    assert!(matches!(notify(&gateway).await, Err(GatewayError::OutOfReach(_))), "nothing was sent");
    assert_eq!(netease.calls("user/updateUinfo").await, 5);
    assert_eq!(netease.calls("msg/sendAttachMsg").await, 0);
    assert!(shown("netease_up{endpoint=\"main\"} 0"));

    netease.faults(json!({})).await;
    eventually("a call is let through", async || gateway.circuit_open_for().is_none()).await;
    assert_eq!(set_name().await, Ok(()));
    assert_eq!(gateway.circuit_open_for(), None);
    assert!(shown("netease_up{endpoint=\"main\"} 1"));
    assert!(shown("netease_calls_total{api=\"user/updateUinfo\",outcome=\"done\"} 1"));
    let lost = ["not_sent", "no_answer"].map(|outcome| {
        shown(&format!("netease_calls_total{{api=\"user/updateUinfo\",outcome=\"{outcome}\"}} 5"))
    });
    assert!(lost[0] || lost[1], "{}", metrics(&gateway));
}

#[tokio::test]
async fn codes_of_netease_are_answers_and_open_nothing() {
    let netease = NetEase::start().await;
    register(&netease, &["alice"]).await;
    let gateway = gateway(&netease);
    netease.faults(json!({"failNext": [{"api": "*", "mode": "500", "count": 10}]})).await;
    for _ in 0..5 {
        let named = gateway.set_name(&accid("alice"), "Alice").await;
        assert!(matches!(named, Err(GatewayError::Transient { code: 500, .. })), "{named:?}");
    }
    assert_eq!(gateway.circuit_open_for(), None);
    assert_eq!(netease.calls("user/updateUinfo").await, 10);
}

/// A server that answers everything with this status, and points elsewhere.
async fn answering(status: u16) -> String {
    let status = StatusCode::from_u16(status).unwrap();
    let answer = move || async move { (status, [(header::LOCATION, "http://127.0.0.1:1/")], "not NetEase") };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/nimserver", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    url
}

#[tokio::test]
async fn what_never_reached_netease_is_not_unknown() {
    for status in [301, 302, 307, 400, 401, 403, 404, 405, 413, 429, 502] {
        let notified = notify(&made(settings(answering(status).await))).await;
        let Err(GatewayError::OutOfReach(why)) = notified else { panic!("{status}: {notified:?}") };
        assert!(why.contains("HTTP status"), "{status}: {why}");
    }
    for status in [204, 408, 500, 503, 504] {
        let notified = notify(&made(settings(answering(status).await))).await;
        assert_eq!(notified, Err(GatewayError::OutcomeUnknown("msg/sendAttachMsg")), "{status}");
    }
    for odd in ["http://a b/nimserver", "https:///nimserver", "nimserver"] {
        let notified = notify(&made(settings(odd.to_owned()))).await;
        assert!(matches!(notified, Err(GatewayError::OutOfReach(_))), "{odd}: {notified:?}");
    }
}

#[tokio::test]
async fn a_call_says_who_calls_and_in_which_charset() {
    let (seen, mut calls) = tokio::sync::mpsc::unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/nimserver", listener.local_addr().unwrap());
    let answer = move |headers: HeaderMap, body: String| async move {
        seen.send((headers, body)).unwrap();
        r#"{"code":200}"#
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    made(settings(url)).set_name(&accid("alice"), "爱丽丝").await.unwrap();
    let (headers, body) = calls.recv().await.unwrap();
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded;charset=utf-8");
    assert_eq!(headers["user-agent"], concat!("otc-im/", env!("CARGO_PKG_VERSION")));
    assert!(body.contains("name=%E7%88%B1%E4%B8%BD%E4%B8%9D"), "{body}");
}

#[tokio::test]
async fn idle_connections_are_closed_here_before_anybody_cuts_them() {
    let netease = NetEase::start().await;
    register(&netease, &["shop", "alice"]).await;
    let proxy = Proxy::of(&netease.base_url()).await;
    let gateway = made(settings(proxy.through(&netease.base_url())));
    for sent in 1..=2 {
        assert_eq!(notify(&gateway).await, Ok(()));
        assert_eq!(notify(&gateway).await, Ok(()));
        assert_eq!(proxy.accepted(), sent, "one connection serves calls that follow each other");
        eventually("no idle connection is left", async || proxy.is_idle()).await;
    }
    assert_eq!(netease.calls("msg/sendAttachMsg").await, 4, "each once");
}
