//! Calls while NetEase, or one of its addresses, does not answer.

use otc_im::infra::netease::{NeteaseSettings, ServerApi};
use otc_im::ports::gateway::{Created, GatewayError};
use serde_json::json;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};

use super::{NOWHERE, accid, by_both_apis, called, made, metrics, notify, register, settings, speaking};
use crate::support::netease::NetEase;
use crate::support::proxy::Proxy;
use crate::support::service::eventually;

by_both_apis!(
    the_backup_serves_while_the_first_refuses_connections,
    a_notice_goes_to_the_backup_only_if_it_certainly_was_not_done,
    a_netease_that_does_not_answer_is_left_alone_and_found_again,
    codes_of_netease_are_answers_and_open_nothing,
    what_never_reached_netease_is_not_unknown,
    a_call_says_who_calls_and_in_which_charset,
    idle_connections_are_closed_here_before_anybody_cuts_them,
);

async fn the_backup_serves_while_the_first_refuses_connections(api: ServerApi) {
    let netease = NetEase::start().await;
    register(&netease, &["shop"]).await;
    let backup_base_url = Some(netease.base_url());
    let gateway =
        made(NeteaseSettings { backup_base_url, ..settings(api, NOWHERE.to_owned()) }).for_persons();

    assert_eq!(gateway.create_user(&accid("alice"), "token", None).await, Ok(Created::New));
    for _ in 0..6 {
        notify(&*gateway).await.expect("a notice too: it certainly was not done");
    }
    assert_eq!(netease.calls(called(api, "msg/sendAttachMsg")).await, 6, "each of them once");
    assert_eq!(gateway.circuit_open_for(), None, "one of two answers");
}

async fn a_notice_goes_to_the_backup_only_if_it_certainly_was_not_done(api: ServerApi) {
    let (main, backup) = (NetEase::start().await, NetEase::start().await);
    for netease in [&main, &backup] {
        register(netease, &["shop", "alice"]).await;
    }
    let both = NeteaseSettings { backup_base_url: Some(backup.base_url()), ..settings(api, main.base_url()) };
    let (gateway, send) = (made(both).for_persons(), called(api, "msg/sendAttachMsg"));
    let fail = async |mode: &str| {
        main.faults(json!({"failNext": [{"api": "*", "mode": mode}]})).await;
    };
    let unknown = Err(GatewayError::OutcomeUnknown(send));
    for mode in ["lose-reply", "refuse-then-cut", "500", "408"] {
        fail(mode).await;
        assert_eq!(notify(&*gateway).await, unknown, "{mode}");
    }
    assert_eq!(main.calls(send).await, 4);
    fail("503").await;
    assert_eq!(notify(&*gateway).await, Ok(()), "NetEase refused it, and is asked once more");
    assert_eq!(main.calls(send).await, 6);
    assert_eq!(backup.calls(send).await, 0);

    fail("502").await;
    assert_eq!(notify(&*gateway).await, Ok(()));
    assert_eq!(backup.calls(send).await, 1);
    fail("lose-reply").await;
    gateway.set_name(&accid("alice"), "Alice").await.unwrap();
    assert_eq!(backup.calls(called(api, "user/updateUinfo")).await, 1, "what may be repeated is");
}

async fn a_netease_that_does_not_answer_is_left_alone_and_found_again(api: ServerApi) {
    let netease = NetEase::start().await;
    register(&netease, &["shop", "alice"]).await;
    netease.faults(json!({"apiDown": true})).await;
    let ours = made(NeteaseSettings { attempts: 1, ..settings(api, netease.base_url()) });
    let (gateway, update) = (ours.for_persons(), called(api, "user/updateUinfo"));
    let set_name = async || gateway.set_name(&accid("alice"), "Alice").await;
    let shown = |series: &str| metrics(&ours).contains(&format!("{series}\n"));
    assert!(shown("netease_up{endpoint=\"main\"} 1"));
    let ended = |outcome: &str| format!("netease_calls_total{{api=\"{update}\",outcome=\"{outcome}\"}}");
    assert!(shown(&format!("{} 0", ended("no_answer"))));

    for _ in 0..5 {
        assert_eq!(gateway.circuit_open_for(), None);
        assert!(matches!(set_name().await, Err(GatewayError::OutOfReach(_))));
    }
    assert!(gateway.circuit_open_for().is_some_and(|rest| rest <= Duration::from_secs(2)));
    assert!(ours.background().circuit_open_for().is_some(), "both faces know");
    assert!(matches!(set_name().await, Err(GatewayError::OutOfReach(_))));
    assert!(matches!(notify(&*gateway).await, Err(GatewayError::OutOfReach(_))), "nothing was sent");
    assert_eq!(netease.calls(called(api, "user/updateUinfo")).await, 5);
    assert_eq!(netease.calls(called(api, "msg/sendAttachMsg")).await, 0);
    assert!(shown("netease_up{endpoint=\"main\"} 0"));

    netease.faults(json!({})).await;
    eventually("a call is let through", async || gateway.circuit_open_for().is_none()).await;
    assert_eq!(set_name().await, Ok(()));
    assert_eq!(gateway.circuit_open_for(), None);
    assert!(shown("netease_up{endpoint=\"main\"} 1"));
    assert!(shown(&format!("{} 1", ended("done"))));
    let lost = ["not_sent", "no_answer"].map(|outcome| shown(&format!("{} 5", ended(outcome))));
    assert!(lost[0] || lost[1], "{}", metrics(&ours));
}

async fn codes_of_netease_are_answers_and_open_nothing(api: ServerApi) {
    let netease = NetEase::start().await;
    register(&netease, &["alice"]).await;
    let gateway = speaking(api, &netease).for_persons();
    netease.faults(json!({"failNext": [{"api": "*", "mode": "500", "count": 10}]})).await;
    for _ in 0..5 {
        let named = gateway.set_name(&accid("alice"), "Alice").await;
        assert!(matches!(named, Err(GatewayError::Transient { code: 500, .. })), "{named:?}");
    }
    assert_eq!(gateway.circuit_open_for(), None);
    assert_eq!(netease.calls(called(api, "user/updateUinfo")).await, 10);
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

async fn what_never_reached_netease_is_not_unknown(api: ServerApi) {
    for status in [301, 302, 307, 400, 401, 403, 404, 405, 413, 429, 502] {
        let notified = notify(&*made(settings(api, answering(status).await)).for_persons()).await;
        let Err(GatewayError::OutOfReach(why)) = notified else { panic!("{status}: {notified:?}") };
        assert!(why.contains("HTTP status"), "{status}: {why}");
    }
    for status in [204, 408, 500, 503, 504] {
        let notified = notify(&*made(settings(api, answering(status).await)).for_persons()).await;
        let send = called(api, "msg/sendAttachMsg");
        assert_eq!(notified, Err(GatewayError::OutcomeUnknown(send)), "{status}");
    }
    for odd in ["http://a b/nimserver", "https:///nimserver", "nimserver"] {
        let notified = notify(&*made(settings(api, odd.to_owned())).for_persons()).await;
        assert!(matches!(notified, Err(GatewayError::OutOfReach(_))), "{odd}: {notified:?}");
    }
}

async fn a_call_says_who_calls_and_in_which_charset(api: ServerApi) {
    let (seen, mut calls) = tokio::sync::mpsc::unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/nimserver", listener.local_addr().unwrap());
    let answer = move |method: Method, uri: Uri, headers: HeaderMap, body: String| async move {
        seen.send((format!("{method} {uri}"), headers, body)).unwrap();
        r#"{"code":200}"#
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    made(settings(api, url)).for_persons().set_name(&accid("alice"), "爱丽丝").await.unwrap();
    let (line, headers, body) = calls.recv().await.unwrap();
    assert_eq!(headers["user-agent"], concat!("otc-im/", env!("CARGO_PKG_VERSION")));
    let (trace_id, no_trace_id) = match api {
        ServerApi::V9 => {
            assert_eq!(line, "POST /nimserver/user/updateUinfo.action");
            assert_eq!(headers["content-type"], "application/x-www-form-urlencoded;charset=utf-8");
            assert!(body.contains("name=%E7%88%B1%E4%B8%BD%E4%B8%9D"), "{body}");
            ("requestid", "x-custom-traceid")
        }
        ServerApi::V10 => {
            assert_eq!(line, "PATCH /nimserver/im/v2/users/alice");
            assert_eq!(headers["content-type"], "application/json;charset=UTF-8");
            assert_eq!(body, r#"{"name":"爱丽丝"}"#);
            ("x-custom-traceid", "requestid")
        }
    };
    assert!(headers.contains_key(trace_id) && !headers.contains_key(no_trace_id), "{headers:?}");
}

async fn idle_connections_are_closed_here_before_anybody_cuts_them(api: ServerApi) {
    let netease = NetEase::start().await;
    register(&netease, &["shop", "alice"]).await;
    let proxy = Proxy::of(&netease.base_url()).await;
    let gateway = made(settings(api, proxy.through(&netease.base_url()))).for_persons();
    for sent in 1..=2 {
        assert_eq!(notify(&*gateway).await, Ok(()));
        assert_eq!(notify(&*gateway).await, Ok(()));
        assert_eq!(proxy.accepted(), sent, "one connection serves calls that follow each other");
        eventually("no idle connection is left", async || proxy.is_idle()).await;
    }
    assert_eq!(netease.calls(called(api, "msg/sendAttachMsg")).await, 4, "each once");
}
