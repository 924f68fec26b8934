//! The calls to NetEase, made against the simulator over sockets: quotas, breakers, the backup, each answer's meaning.
//! Each case by the classic server API and by the newer one.

mod answers;
mod endpoints;
mod looks_back;
mod quotas;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use otc_im::domain::ids::Accid;
use otc_im::infra::clock::System;
use otc_im::infra::http_client::Egress;
use otc_im::infra::netease::{Netease, NeteaseSettings, ServerApi};
use otc_im::ports::gateway::{Addressee, BeforeSend, Gateway, GatewayError, Notice, NoticeContent};
use otc_im::ports::history::History;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::support::netease::NetEase;
use crate::support::webhook::SECRET;

/// Lets every call go.
struct Always;

#[async_trait]
impl BeforeSend for Always {
    async fn may_send(&self) -> bool {
        true
    }
}

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:1/nimserver";

/// Runs each test by both server APIs: `by_both_apis!(test, another)` makes `v9::test`, `v10::test` and so on of
/// `async fn test(api: ServerApi)`.
macro_rules! by_both_apis {
    ($($test:ident),+ $(,)?) => {
        mod v9 {
            $(#[tokio::test]
            async fn $test() {
                super::$test(otc_im::infra::netease::ServerApi::V9).await;
            })+
        }
        mod v10 {
            $(#[tokio::test]
            async fn $test() {
                super::$test(otc_im::infra::netease::ServerApi::V10).await;
            })+
        }
    };
}
use by_both_apis;

/// What V10 calls this call of V9, in metrics, errors and the simulator's statistics.
fn called(api: ServerApi, classic: &'static str) -> &'static str {
    match (api, classic) {
        (ServerApi::V9, _) => classic,
        (ServerApi::V10, "user/create") => "v2/accounts.create",
        (ServerApi::V10, "user/update") => "v2/accounts.update",
        (ServerApi::V10, "user/updateUinfo") => "v2/users.update",
        (ServerApi::V10, "user/getUinfos") => "v2/users.get",
        (ServerApi::V10, "friend/add") => "v2.1/friends.add",
        (ServerApi::V10, "msg/sendAttachMsg") => "v2/custom_notification.send",
        (ServerApi::V10, "msg/sendBatchAttachMsg") => "v2/custom_notification.send_batch",
        (ServerApi::V10, "msg/markReadMsg") => "v2/messages.p2p_read_receipt",
        (ServerApi::V10, other) => panic!("{other} has no name in V10"),
    }
}

fn settings(api: ServerApi, base_url: String) -> NeteaseSettings {
    NeteaseSettings {
        api,
        base_url,
        backup_base_url: None,
        app_key: "simulated_app_key".to_owned(),
        app_secret: SECRET.into(),
        connect_timeout: Duration::from_secs(5),
        timeout: Duration::from_secs(5),
        attempts: 2,
        calls_per_second: 100,
        batch_calls_per_minute: 120,
        instances: 1,
        patience: Duration::from_secs(10),
        egress: Egress::default(),
    }
}

fn made(settings: NeteaseSettings) -> Netease {
    Netease::new(settings, Arc::new(System), Arc::new(System)).unwrap()
}

/// What calls this NetEase, by this server API.
fn speaking(api: ServerApi, netease: &NetEase) -> Netease {
    made(settings(api, netease.base_url()))
}

/// What calls this NetEase for somebody who waits, by the classic server API.
pub fn gateway(netease: &NetEase) -> Arc<dyn Gateway> {
    speaking(ServerApi::V9, netease).for_persons()
}

/// NetEase's history, by this server API.
pub fn history(api: ServerApi, netease: &NetEase) -> Arc<dyn History> {
    speaking(api, netease).history()
}

fn accid(name: &str) -> Accid {
    Accid::from_nim(name).unwrap()
}

/// What `/metrics` would show of the calls.
fn metrics(gateway: &Netease) -> String {
    let (mut registry, mut text) = (Registry::default(), String::new());
    gateway.register_metrics(&mut registry);
    encode(&mut text, &registry).unwrap();
    text
}

/// Registers these, each with its accid for a token.
async fn register(netease: &NetEase, names: &[&str]) {
    let gateway = gateway(netease);
    for name in names {
        gateway.create_user(&accid(name), name, None).await.unwrap();
    }
}

fn content() -> NoticeContent {
    NoticeContent {
        attach: r#"{"type":"shipped"}"#.to_owned(),
        push_content: Some("Your goods 📦".to_owned()),
        payload: Some(r#"{"screen":"order"}"#.to_owned()),
        sound: Some("ding.caf".to_owned()),
        save: 1,
        badge: false,
        need_push_nick: true,
        route: false,
    }
}

/// From the shop to alice.
async fn notify(gateway: &dyn Gateway) -> Result<(), GatewayError> {
    let notice = Notice { from: accid("shop"), to: Addressee::Person(accid("alice")), content: content() };
    gateway.send_notice(&notice, &Always).await
}
