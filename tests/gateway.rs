//! The calls to NetEase, made against the simulator over sockets: quotas, breakers, the backup, each answer's meaning.

mod answers;
mod endpoints;
mod quotas;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use otc_im::domain::ids::Accid;
use otc_im::infra::clock::System;
use otc_im::infra::http_client::Egress;
use otc_im::infra::netease::{Netease, NeteaseSettings};
use otc_im::ports::gateway::{BeforeSend, Gateway, GatewayError, Notice, NoticeContent};
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

fn settings(base_url: String) -> NeteaseSettings {
    NeteaseSettings {
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

/// What calls this NetEase.
pub fn gateway(netease: &NetEase) -> Netease {
    made(settings(netease.base_url()))
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
async fn notify(gateway: &Netease) -> Result<(), GatewayError> {
    let notice = Notice { from: accid("shop"), to: accid("alice"), content: content() };
    gateway.send_notice(&notice, &Always).await
}
