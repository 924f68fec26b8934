//! The newer server API: each call of the port as JSON under `/im/v2`, and what its answer comes to.

mod answers;
mod history;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};

use self::answers::{ALREADY_FRIENDS, ALREADY_REGISTERED, left_out, names_in};
use super::answer::refused;
use super::call::{Api, Call, ServerApi};
use super::caller::Caller;
use crate::domain::ids::Accid;
use crate::domain::message::MessageRef;
use crate::ports::gateway::{
    Addressee, BeforeSend, Created, Gateway, GatewayError, LeftOut, Notice, NoticeContent,
};

/// `GET /im/v2/users` is asked about at most this many: how many it takes is not known, and a URL should stay short.
const MOST_NAMES: usize = 100;
/// `POST /im/v2/custom_notification/batch` takes at most this many.
const MOST_RECIPIENTS: usize = 500;

/// Speaks V10.
pub(super) struct V10(pub Caller);

/// `GET /im/v2/users`: the profiles of at most [`MOST_NAMES`].
pub(super) fn names(accids: &[Accid]) -> Call {
    // No character of an accid, nor a comma, has to be encoded in a query.
    let list = accids.iter().map(Accid::as_str).collect::<Vec<_>>().join(",");
    Call::v10_get(Api::Names, format!("/im/v2/users?account_ids={list}"))
}

/// A PATCH of what belongs to one account: its id is part of the path.
fn patch(api: Api, of: &str, accid: &Accid, body: &Value) -> Result<Call, GatewayError> {
    let id = accid.as_str();
    // Every client of HTTP takes these for steps within the path.
    if matches!(id, "." | "..") {
        let desc = format!("`{id}` cannot be part of a URL, so this account can be used with V9 alone");
        return Err(GatewayError::Rejected { api: ServerApi::V10.name(api), code: 414, desc });
    }
    Ok(Call::v10(api, Method::PATCH, format!("/im/v2/{of}/{id}"), body))
}

/// What both notice calls say in the same words, beside what is `addressed`.
fn notice(mut addressed: Value, content: &NoticeContent) -> Value {
    let mut push = json!({"push_nick_enabled": content.need_push_nick});
    for (name, value) in [("push_content", &content.push_content), ("push_payload", &content.payload)] {
        if let Some(value) = value {
            push[name] = json!(value);
        }
    }
    if let Some(sound) = &content.sound {
        addressed["sound"] = json!(sound);
    }
    addressed["content"] = json!(content.attach);
    addressed["notification_config"] =
        json!({"offline_enabled": content.save == 2, "unread_enabled": content.badge});
    addressed["push_config"] = push;
    addressed["route_config"] = json!({"route_enabled": content.route});
    addressed
}

#[async_trait]
impl Gateway for V10 {
    /// `POST /im/v2/accounts`
    async fn create_user(
        &self,
        accid: &Accid,
        token: &str,
        name: Option<&str>,
    ) -> Result<Created, GatewayError> {
        let mut body = json!({"account_id": accid.as_str(), "token": token});
        if let Some(name) = name {
            body["user_information"] = json!({"name": name});
        }
        let call = Call::v10(Api::CreateUser, Method::POST, "/im/v2/accounts", &body);
        match self.0.call(&call).await? {
            answer if answer.code == 200 => Ok(Created::New),
            answer if answer.code == ALREADY_REGISTERED => Ok(Created::AlreadyRegistered),
            other => Err(refused(&call, &other)),
        }
    }

    /// `PATCH /im/v2/accounts/{account_id}`
    async fn set_token(&self, accid: &Accid, token: &str) -> Result<(), GatewayError> {
        let call = patch(Api::SetToken, "accounts", accid, &json!({"token": token}))?;
        self.0.succeed(&call).await.map(drop)
    }

    /// `PATCH /im/v2/users/{account_id}`
    async fn set_name(&self, accid: &Accid, name: &str) -> Result<(), GatewayError> {
        let call = patch(Api::SetName, "users", accid, &json!({"name": name}))?;
        self.0.succeed(&call).await.map(drop)
    }

    /// `POST /im/v2.1/friends`. Of a pair that is friends already NetEase says 200, or that it exists.
    async fn add_friend(&self, accid: &Accid, friend: &Accid) -> Result<(), GatewayError> {
        let body = json!({"account_id": accid.as_str(), "friend_account_id": friend.as_str()});
        let call = Call::v10(Api::AddFriend, Method::POST, "/im/v2.1/friends?type=1", &body);
        match self.0.call(&call).await? {
            answer if matches!(answer.code, 200 | ALREADY_FRIENDS) => Ok(()),
            other => Err(refused(&call, &other)),
        }
    }

    /// `POST /im/v2/custom_notification`
    async fn send_notice(&self, sent: &Notice, before: &dyn BeforeSend) -> Result<(), GatewayError> {
        let (kind, to) = match &sent.to {
            Addressee::Person(accid) => (1, accid),
            Addressee::Team(id) => (2, id),
        };
        let addressed = json!({"sender_id": sent.from.as_str(), "type": kind, "receiver_id": to.as_str()});
        let body = notice(addressed, &sent.content);
        let call = Call::v10(Api::SendNotice, Method::POST, "/im/v2/custom_notification", &body);
        self.0.succeed_once(&call, before).await.map(drop)
    }

    /// `POST /im/v2/custom_notification/batch`
    async fn send_batch(
        &self,
        from: &Accid,
        to: &[Accid],
        content: &NoticeContent,
        before: &dyn BeforeSend,
    ) -> Result<Vec<LeftOut>, GatewayError> {
        let to: Vec<&str> = to.iter().map(Accid::as_str).collect();
        let body = notice(json!({"sender_id": from.as_str(), "receiver_ids": to}), content);
        let call = Call::v10(Api::SendBatch, Method::POST, "/im/v2/custom_notification/batch", &body);
        Ok(left_out(&self.0.succeed_once(&call, before).await?))
    }

    fn most_recipients(&self) -> usize {
        MOST_RECIPIENTS
    }

    /// `POST /im/v2/messages/actions/p2p_read_receipt`, which names the message by NetEase's number.
    async fn tell_read(&self, reader: &Accid, peer: &Accid, newest: &MessageRef) -> Result<(), GatewayError> {
        let body = json!({
            "from_account_id": reader.as_str(),
            "to_account_id": peer.as_str(),
            "message_server_id": newest.id.get(),
        });
        let path = "/im/v2/messages/actions/p2p_read_receipt";
        self.0.succeed(&Call::v10(Api::TellRead, Method::POST, path, &body)).await.map(drop)
    }

    /// `GET /im/v2/users`
    async fn names(&self, accids: &[Accid]) -> Result<BTreeMap<Accid, String>, GatewayError> {
        let mut known = BTreeMap::new();
        for part in accids.chunks(MOST_NAMES) {
            let call = names(part);
            known.extend(names_in(&call, &self.0.succeed(&call).await?)?);
        }
        Ok(known)
    }

    fn circuit_open_for(&self) -> Option<Duration> {
        self.0.circuit_open_for()
    }
}
