//! The calls of NetEase's classic server API (NIM server API), over HTTP.

mod answer;
mod breaker;
mod call;
mod counters;
mod endpoints;
mod history;
mod quota;
mod settings;
mod transport;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use prometheus_client::registry::Registry;
use serde_json::json;

use answer::{Answer, refused};
use call::{Api, Call};
use quota::Urgency;
use transport::Transport;

pub use settings::NeteaseSettings;

use super::http_client::HttpClientError;
use crate::domain::ids::Accid;
use crate::ports::clock::{Clock, Ids};
use crate::ports::gateway::{BeforeSend, Created, Gateway, GatewayError, Notice, NoticeContent};

/// user/getUinfos takes at most this many accids.
const MOST_NAMES: usize = 200;

/// NetEase, behind its base URLs. Its faces share connections, breakers and quotas.
pub struct Netease {
    transport: Arc<Transport>,
    urgency: Urgency,
}

impl Netease {
    /// The face for calls that somebody waits for. Makes no call yet.
    pub fn new(
        settings: NeteaseSettings,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, HttpClientError> {
        let transport = Arc::new(Transport::new(settings, clock, ids)?);
        Ok(Self { transport, urgency: Urgency::Person })
    }

    /// The face for calls that nobody waits for: it leaves a quarter of each quota to the others, and waits longer.
    #[must_use]
    pub fn background(&self) -> Self {
        Self { transport: Arc::clone(&self.transport), urgency: Urgency::Background }
    }

    /// Shows what is counted of the calls under `/metrics`.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.transport.counters().register(registry);
    }

    async fn call(&self, call: &Call) -> Result<Answer, GatewayError> {
        self.transport.call(call, self.urgency, None).await
    }

    /// The answer to a call whose only good code is 200.
    async fn succeed(&self, call: &Call) -> Result<Answer, GatewayError> {
        good(call, self.call(call).await?)
    }

    /// The same of a call that must happen once.
    async fn succeed_once(&self, call: &Call, before: &dyn BeforeSend) -> Result<Answer, GatewayError> {
        good(call, self.transport.call(call, self.urgency, Some(before)).await?)
    }
}

fn good(call: &Call, answer: Answer) -> Result<Answer, GatewayError> {
    if answer.code == 200 { Ok(answer) } else { Err(refused(call.api, &answer)) }
}

/// What both notice calls say in the same words.
fn with_content(call: Call, content: &NoticeContent) -> Call {
    let option =
        json!({"badge": content.badge, "needPushNick": content.need_push_nick, "route": content.route});
    call.with("attach", &content.attach)
        .with("save", content.save.to_string())
        .with("option", option.to_string())
        .with_some("pushcontent", content.push_content.as_deref())
        .with_some("payload", content.payload.as_deref())
        .with_some("sound", content.sound.as_deref())
}

/// A JSON array.
fn list(accids: &[Accid]) -> String {
    json!(accids.iter().map(Accid::as_str).collect::<Vec<_>>()).to_string()
}

#[async_trait]
impl Gateway for Netease {
    async fn create_user(
        &self,
        accid: &Accid,
        token: &str,
        name: Option<&str>,
    ) -> Result<Created, GatewayError> {
        let call = Call::new(Api::UserCreate)
            .with("accid", accid.as_str())
            .with("token", token)
            .with_some("name", name);
        match self.call(&call).await? {
            answer if answer.code == 200 => Ok(Created::New),
            answer if answer.code == 414 && answer.says("already register") => Ok(Created::AlreadyRegistered),
            other => Err(refused(call.api, &other)),
        }
    }

    async fn set_token(&self, accid: &Accid, token: &str) -> Result<(), GatewayError> {
        let call = Call::new(Api::UserUpdate).with("accid", accid.as_str()).with("token", token);
        self.succeed(&call).await.map(drop)
    }

    async fn set_name(&self, accid: &Accid, name: &str) -> Result<(), GatewayError> {
        let call = Call::new(Api::UserUpdateUinfo).with("accid", accid.as_str()).with("name", name);
        self.succeed(&call).await.map(drop)
    }

    async fn add_friend(&self, accid: &Accid, friend: &Accid) -> Result<(), GatewayError> {
        let call = Call::new(Api::FriendAdd).with("accid", accid.as_str()).with("faccid", friend.as_str());
        self.succeed(&call.with("type", "1")).await.map(drop)
    }

    async fn send_notice(&self, notice: &Notice, before: &dyn BeforeSend) -> Result<(), GatewayError> {
        let call = Call::new(Api::SendAttachMsg)
            .with("from", notice.from.as_str())
            .with("msgtype", "0")
            .with("to", notice.to.as_str());
        self.succeed_once(&with_content(call, &notice.content), before).await.map(drop)
    }

    async fn send_batch(
        &self,
        from: &Accid,
        to: &[Accid],
        content: &NoticeContent,
        before: &dyn BeforeSend,
    ) -> Result<Vec<Accid>, GatewayError> {
        let call =
            Call::new(Api::SendBatchAttachMsg).with("fromAccid", from.as_str()).with("toAccids", list(to));
        Ok(self.succeed_once(&with_content(call, content), before).await?.unregistered())
    }

    /// Whether NetEase leaves out whom it does not know or refuses all for one (414) is not known. So what is refused
    /// is asked again in halves, and one refused alone is unknown there: at most 2n − 1 calls for n accids.
    async fn names(&self, accids: &[Accid]) -> Result<BTreeMap<Accid, String>, GatewayError> {
        let mut names = BTreeMap::new();
        let mut parts: Vec<&[Accid]> = accids.chunks(MOST_NAMES).collect();
        while let Some(part) = parts.pop() {
            let call = Call::new(Api::UserGetUinfos).with("accids", list(part));
            match self.call(&call).await? {
                answer if answer.code == 200 => names.extend(answer.names()),
                answer if answer.code != 414 || answer.is_about_us() => {
                    return Err(refused(call.api, &answer));
                }
                _ if part.len() > 1 => parts.extend(<[_; 2]>::from(part.split_at(part.len() / 2))),
                _ => {}
            }
        }
        Ok(names)
    }

    fn circuit_open_for(&self) -> Option<Duration> {
        self.transport.circuit_open_for()
    }
}
