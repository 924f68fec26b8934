//! The classic server API: each call of the port as a form, and what its answer comes to.

mod answers;
mod history;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use self::answers::{names_in, unregistered};
use super::answer::refused;
use super::call::{Api, Call, Form, ServerApi};
use super::caller::Caller;
use crate::domain::ids::Accid;
use crate::domain::message::MessageRef;
use crate::ports::gateway::{
    Addressee, BeforeSend, Created, Gateway, GatewayError, LeftOut, Notice, NoticeContent,
};

/// user/getUinfos takes at most this many accids.
const MOST_NAMES: usize = 200;
/// msg/sendBatchAttachMsg takes at most this many accids.
const MOST_RECIPIENTS: usize = 5_000;

/// Speaks V9.
pub(super) struct V9(pub Caller);

/// user/getUinfos: the profiles of at most [`MOST_NAMES`].
pub(super) fn names(accids: &[Accid]) -> Call {
    Call::v9(Api::Names, Form::default().with("accids", list(accids)))
}

/// What both notice calls say in the same words.
fn with_content(form: Form, content: &NoticeContent) -> Form {
    let option =
        json!({"badge": content.badge, "needPushNick": content.need_push_nick, "route": content.route});
    form.with("attach", &content.attach)
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
impl Gateway for V9 {
    /// user/create
    async fn create_user(
        &self,
        accid: &Accid,
        token: &str,
        name: Option<&str>,
    ) -> Result<Created, GatewayError> {
        let form = Form::default().with("accid", accid.as_str()).with("token", token);
        let call = Call::v9(Api::CreateUser, form.with_some("name", name));
        match self.0.call(&call).await? {
            answer if answer.code == 200 => Ok(Created::New),
            answer if answer.code == 414 && answer.says("already register") => Ok(Created::AlreadyRegistered),
            other => Err(refused(&call, &other)),
        }
    }

    /// user/update
    async fn set_token(&self, accid: &Accid, token: &str) -> Result<(), GatewayError> {
        let form = Form::default().with("accid", accid.as_str()).with("token", token);
        self.0.succeed(&Call::v9(Api::SetToken, form)).await.map(drop)
    }

    /// user/updateUinfo
    async fn set_name(&self, accid: &Accid, name: &str) -> Result<(), GatewayError> {
        let form = Form::default().with("accid", accid.as_str()).with("name", name);
        self.0.succeed(&Call::v9(Api::SetName, form)).await.map(drop)
    }

    /// friend/add
    async fn add_friend(&self, accid: &Accid, friend: &Accid) -> Result<(), GatewayError> {
        let form = Form::default().with("accid", accid.as_str()).with("faccid", friend.as_str());
        self.0.succeed(&Call::v9(Api::AddFriend, form.with("type", "1"))).await.map(drop)
    }

    /// msg/sendAttachMsg
    async fn send_notice(&self, notice: &Notice, before: &dyn BeforeSend) -> Result<(), GatewayError> {
        let (msgtype, to) = match &notice.to {
            Addressee::Person(accid) => ("0", accid),
            Addressee::Team(id) => ("1", id),
        };
        let form = Form::default().with("from", notice.from.as_str());
        let form = form.with("msgtype", msgtype).with("to", to.as_str());
        let call = Call::v9(Api::SendNotice, with_content(form, &notice.content));
        self.0.succeed_once(&call, before).await.map(drop)
    }

    /// msg/sendBatchAttachMsg
    async fn send_batch(
        &self,
        from: &Accid,
        to: &[Accid],
        content: &NoticeContent,
        before: &dyn BeforeSend,
    ) -> Result<Vec<LeftOut>, GatewayError> {
        let form = Form::default().with("fromAccid", from.as_str()).with("toAccids", list(to));
        let call = Call::v9(Api::SendBatch, with_content(form, content));
        let unknown = unregistered(&self.0.succeed_once(&call, before).await?);
        Ok(unknown.into_iter().map(|to| LeftOut { to, refusal: None }).collect())
    }

    fn most_recipients(&self) -> usize {
        MOST_RECIPIENTS
    }

    /// msg/markReadMsg, which names the message by the id that its sender's client gave it.
    async fn tell_read(&self, reader: &Accid, peer: &Accid, newest: &MessageRef) -> Result<(), GatewayError> {
        let Some(client_id) = &newest.client_id else {
            let (api, desc) =
                (ServerApi::V9.name(Api::TellRead), "the message has no msgidClient".to_owned());
            return Err(GatewayError::Rejected { api, code: 414, desc });
        };
        let form = Form::default().with("from", reader.as_str()).with("to", peer.as_str());
        self.0.succeed(&Call::v9(Api::TellRead, form.with("msgidClient", client_id))).await.map(drop)
    }

    /// user/getUinfos. Whether NetEase leaves out whom it does not know or refuses all for one (414) is not known. So
    /// what is refused is asked again in halves, and one refused alone is unknown there: at most 2n − 1 calls for n
    /// accids.
    async fn names(&self, accids: &[Accid]) -> Result<BTreeMap<Accid, String>, GatewayError> {
        let mut known = BTreeMap::new();
        let mut parts: Vec<&[Accid]> = accids.chunks(MOST_NAMES).collect();
        while let Some(part) = parts.pop() {
            let call = names(part);
            match self.0.call(&call).await? {
                answer if answer.code == 200 => known.extend(names_in(&answer)),
                answer if answer.code != 414 || answer.is_about_us(ServerApi::V9) => {
                    return Err(refused(&call, &answer));
                }
                _ if part.len() > 1 => parts.extend(<[_; 2]>::from(part.split_at(part.len() / 2))),
                _ => {}
            }
        }
        Ok(known)
    }

    fn circuit_open_for(&self) -> Option<Duration> {
        self.0.circuit_open_for()
    }
}
