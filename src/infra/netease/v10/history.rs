//! NetEase's history by V10: `/im/v2.1/conversations`. Which conversations there are, and up to when they were read, NetEase
//! tells of apps for which conversations are switched on in its console.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde_json::Value;
use url::form_urlencoded::byte_serialize;

use super::V10;
use crate::domain::ids::{Accid, Millis, ServerId};
use crate::domain::message::{ConvType, Details, Message, MessageKey, Origin};
use crate::infra::netease::answer::{Answer, refused};
use crate::infra::netease::call::{Api, Call};
use crate::infra::netease::history::{client_name, number, text, type_name};
use crate::ports::gateway::GatewayError;
use crate::ports::history::{History, Page, PageStart};

/// Messages and conversations that one call answers at most.
const PAGE: usize = 100;
/// There is no such conversation.
const NO_CONVERSATION: i64 = 110_404;

/// The items of a page, and the token of the next one.
struct Items<'a> {
    items: &'a [Value],
    next: Option<String>,
}

impl<'a> Items<'a> {
    /// An answer without the list is no empty page.
    fn of(call: &Call, answer: &'a Answer) -> Result<Self, GatewayError> {
        let data = answer.field("data");
        let unreadable = || GatewayError::OutOfReach(format!("its answer to {} cannot be read", call.name()));
        let items = data.get("items").and_then(Value::as_array).ok_or_else(unreadable)?;
        let next = match data.get("has_more").and_then(Value::as_bool) {
            Some(true) => {
                let token = data.get("next_token").and_then(text).filter(|token| !token.is_empty());
                Some(token.ok_or_else(unreadable)?)
            }
            _ => None,
        };
        Ok(Self { items, next })
    }
}

/// The path of a conversation of two, as its first one sees it.
fn conversation(of: &Accid, peer: &Accid) -> String {
    format!("/im/v2.1/conversations/{of}%7C1%7C{peer}")
}

/// The parameter that asks for a further page.
fn page_token(token: Option<&str>) -> String {
    token.map_or_else(String::new, |token| {
        format!("&page_token={}", byte_serialize(token.as_bytes()).collect::<String>())
    })
}

#[async_trait]
impl History for V10 {
    async fn peers(&self, of: &Accid, since: Millis) -> Result<Vec<Accid>, GatewayError> {
        let (mut peers, mut token) = (BTreeSet::new(), None::<String>);
        loop {
            let page = page_token(token.as_deref());
            let path = format!("/im/v2.1/conversations?account_id={of}&limit={PAGE}{page}");
            let call = Call::v10_get(Api::Sessions, path);
            let answer = self.0.succeed(&call).await?;
            let Items { items, next } = Items::of(&call, &answer)?;
            let is_recent =
                |item: &&Value| item.get("update_time").and_then(number).is_none_or(|at| at >= since.0);
            peers.extend(items.iter().filter(is_recent).filter_map(person));
            match next {
                Some(next) => token = Some(next),
                None => return Ok(peers.into_iter().collect()),
            }
        }
    }

    /// NetEase calls the order with the oldest first `descending`. Should it mean the other one, every page is still in
    /// order, and none is missed.
    async fn page(&self, of: &Accid, peer: &Accid, start: &PageStart) -> Result<Page, GatewayError> {
        let PageStart { from, to, token, .. } = start;
        // NetEase does not say whether the end of a window belongs to it.
        let window = format!("begin_time={}&end_time={}", from.0, to.plus(1).0);
        let page = page_token(token.as_deref());
        let path = format!("{}/messages?{window}&limit={PAGE}&descending=true{page}", conversation(of, peer));
        let call = Call::v10_get(Api::History, path);
        let answer = self.0.succeed(&call).await?;
        let Items { items, next } = Items::of(&call, &answer)?;
        let mut messages: Vec<Message> = items.iter().filter_map(|item| message(item, of, peer)).collect();
        messages.sort_by_key(|message| (message.timestamp, message.key.server_id));
        let next = next.map(|token| PageStart { token: Some(token), ..start.clone() });
        Ok(Page { unreadable: items.len() - messages.len(), messages, next })
    }

    fn tells_last_read(&self) -> bool {
        true
    }

    async fn last_read(&self, reader: &Accid, peer: &Accid) -> Result<Option<Millis>, GatewayError> {
        let call = Call::v10_get(Api::Sessions, conversation(reader, peer));
        match self.0.call(&call).await? {
            answer if answer.code == 200 => {
                let at = answer.field("data").get("last_read_time").and_then(number);
                Ok(at.filter(|at| *at > 0).map(Millis))
            }
            answer if answer.code == NO_CONVERSATION => Ok(None),
            other => Err(refused(&call, &other)),
        }
    }
}

/// The other one of a conversation of two; those with teams have another `type`.
fn person(item: &Value) -> Option<Accid> {
    let is_of_two = item.get("type").and_then(number) == Some(1);
    let accid = item.get("receiver_id")?.as_str()?;
    if is_of_two { Accid::from_nim(accid).ok() } else { None }
}

/// What a copy of this message would say, as far as history knows.
fn message(item: &Value, of: &Accid, peer: &Accid) -> Option<Message> {
    let server_id = ServerId::new(number(item.get("message_server_id")?)?)?;
    let from = Accid::from_nim(item.get("sender_id")?.as_str()?).ok()?;
    let to = [of, peer].into_iter().find(|one| **one != from)?.clone();
    let client = item.get("sender_client_type").and_then(number);
    let attach = match item.get("attachment") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    Some(Message {
        key: MessageKey { conv_type: ConvType::Person, server_id },
        to,
        from,
        timestamp: Millis(number(item.get("create_time")?)?),
        msg_type: type_name(number(item.get("message_type")?)?),
        withheld: false,
        ignored: None,
        details: Details {
            origin: Origin::History,
            from_client_type: client.and_then(client_name),
            body: item.get("text").and_then(text).filter(|text| !text.is_empty()),
            attach: attach.filter(|attach| !matches!(attach.as_str(), "" | "{}")),
            msgid_client: item.get("message_client_id").and_then(text),
            ..Details::default()
        },
    })
}
