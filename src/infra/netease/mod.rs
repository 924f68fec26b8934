//! The calls of NetEase's classic server API (NIM server API), over HTTP.

mod answer;
mod transport;

use async_trait::async_trait;
use serde_json::json;

use answer::{Answer, refused};
use transport::{Call, Transport};

pub use transport::NeteaseSettings;

use super::http_client::HttpClientError;
use crate::domain::ids::Accid;
use crate::ports::clock::{Clock, Ids};
use crate::ports::gateway::{Created, Gateway, GatewayError, Notice};
use std::sync::Arc;

/// NetEase, behind its base URL.
pub struct Netease {
    transport: Transport,
}

impl Netease {
    /// Makes no call yet.
    pub fn new(
        settings: NeteaseSettings,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, HttpClientError> {
        Ok(Self { transport: Transport::new(settings, clock, ids)? })
    }

    /// A call whose only good answer is code 200.
    async fn done(&self, call: Call) -> Result<(), GatewayError> {
        let api = call.api;
        match self.transport.call(call).await? {
            Answer { code: 200, .. } => Ok(()),
            other => Err(refused(api, &other)),
        }
    }
}

#[async_trait]
impl Gateway for Netease {
    async fn create_user(
        &self,
        accid: &Accid,
        token: &str,
        name: Option<&str>,
    ) -> Result<Created, GatewayError> {
        let call = Call::repeatable("user/create").with("accid", accid.as_str()).with("token", token);
        let call = name.into_iter().fold(call, |call, name| call.with("name", name));
        let api = call.api;
        match self.transport.call(call).await? {
            Answer { code: 200, .. } => Ok(Created::New),
            answer if answer.code == 414 && answer.says("already register") => Ok(Created::AlreadyRegistered),
            other => Err(refused(api, &other)),
        }
    }

    async fn set_token(&self, accid: &Accid, token: &str) -> Result<(), GatewayError> {
        self.done(Call::repeatable("user/update").with("accid", accid.as_str()).with("token", token)).await
    }

    async fn set_name(&self, accid: &Accid, name: &str) -> Result<(), GatewayError> {
        self.done(Call::repeatable("user/updateUinfo").with("accid", accid.as_str()).with("name", name)).await
    }

    async fn add_friend(&self, accid: &Accid, friend: &Accid) -> Result<(), GatewayError> {
        let call = Call::repeatable("friend/add").with("accid", accid.as_str());
        self.done(call.with("faccid", friend.as_str()).with("type", "1")).await
    }

    async fn send_notice(&self, notice: &Notice) -> Result<(), GatewayError> {
        let Notice { from, to, content } = notice;
        let option =
            json!({"badge": content.badge, "needPushNick": content.need_push_nick, "route": content.route});
        let call = Call::once("msg/sendAttachMsg")
            .with("from", from.as_str())
            .with("msgtype", "0")
            .with("to", to.as_str())
            .with("attach", &content.attach)
            .with("save", content.save.to_string())
            .with("option", option.to_string());
        let optional = [
            ("pushcontent", &content.push_content),
            ("payload", &content.payload),
            ("sound", &content.sound),
        ];
        let given = optional.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        self.done(given.fold(call, |call, (name, value)| call.with(name, value))).await
    }
}
