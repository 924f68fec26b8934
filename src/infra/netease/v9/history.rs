//! NetEase's history by V9: history/querySessionList and history/querySessionMsg.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde_json::Value;

use super::V9;
use crate::domain::ids::{Accid, Millis, ServerId};
use crate::domain::message::{ConvType, Details, Message, MessageKey, Origin};
use crate::infra::netease::answer::Answer;
use crate::infra::netease::call::{Api, Call, Form};
use crate::infra::netease::history::{client_name, number, text, type_name};
use crate::ports::gateway::GatewayError;
use crate::ports::history::{History, Page, PageStart};

/// Messages and sessions that one call answers at most.
const PAGE: usize = 100;

#[async_trait]
impl History for V9 {
    /// Asks up to now, whatever the window is: a session is listed under the time of its newest message alone.
    async fn peers(&self, of: &Accid, since: Millis) -> Result<Vec<Accid>, GatewayError> {
        let (mut peers, mut until) = (BTreeSet::new(), None);
        loop {
            let form = Form::default()
                .with("accid", of.as_str())
                .with("minTimestamp", since.0.to_string())
                .with_some("maxTimestamp", until.map(|Millis(ms)| ms.to_string()).as_deref())
                .with("limit", PAGE.to_string())
                .with("needLastMsg", "0");
            let answer = self.0.succeed(&Call::v9(Api::Sessions, form)).await?;
            let sessions = list(&answer, "sessions");
            peers.extend(sessions.iter().filter_map(person));
            let oldest = sessions.iter().filter_map(|session| number(session.get("updateTime")?)).min();
            // Where all sessions of a page are of one millisecond, the next page begins before it.
            let next = oldest.map(|ms| Millis(if until == Some(Millis(ms)) { ms - 1 } else { ms }));
            match next.filter(|next| sessions.len() >= PAGE && *next >= since) {
                Some(next) => until = Some(next),
                None => return Ok(peers.into_iter().collect()),
            }
        }
    }

    async fn page(&self, of: &Accid, peer: &Accid, start: &PageStart) -> Result<Page, GatewayError> {
        // NetEase refuses a window without length, and does not say whether its end belongs to it.
        let end = start.to.plus(1);
        let form = Form::default()
            .with("from", of.as_str())
            .with("to", peer.as_str())
            .with("begintime", start.from.0.to_string())
            .with("endtime", end.0.to_string())
            .with("limit", PAGE.to_string())
            .with("reverse", "1")
            .with_some("excludeMsgid", start.after.map(|id| id.to_string()).as_deref());
        let answer = self.0.succeed(&Call::v9(Api::History, form)).await?;
        let listed = list(&answer, "msgs");
        let messages: Vec<Message> = listed.iter().filter_map(|listed| message(listed, of, peer)).collect();
        let last = listed.iter().filter_map(sent).max();
        let next = last.filter(|_| listed.len() >= PAGE).and_then(|(at, id)| {
            // Where NetEase leaves out that one message alone, a page of one millisecond leads nowhere but beyond it.
            let from = if (at, Some(id)) > (start.from, start.after) { at } else { at.plus(1) };
            (from < end).then_some(PageStart { from, to: start.to, after: Some(id), token: None })
        });
        Ok(Page { unreadable: listed.len() - messages.len(), messages, next })
    }
}

/// The members of an array, which may stand in `data`; none if it is missing.
fn list<'a>(answer: &'a Answer, name: &str) -> &'a [Value] {
    let array = answer.field(name).as_array().or_else(|| answer.field("data").get(name)?.as_array());
    array.map(Vec::as_slice).unwrap_or_default()
}

/// The other one of a session of two persons; sessions of teams have another `sessionType`.
fn person(session: &Value) -> Option<Accid> {
    let is_of_two = session.get("sessionType").is_none_or(|kind| matches!(number(kind), Some(0 | 1)));
    let accid = session.get("accid")?.as_str()?;
    if is_of_two { Accid::from_nim(accid).ok() } else { None }
}

/// When it was sent, and its number.
fn sent(listed: &Value) -> Option<(Millis, ServerId)> {
    Some((Millis(number(listed.get("sendtime")?)?), ServerId::new(number(listed.get("msgid")?)?)?))
}

/// What a copy of this message would say, as far as history knows.
fn message(listed: &Value, of: &Accid, peer: &Accid) -> Option<Message> {
    let (timestamp, server_id) = sent(listed)?;
    let from = Accid::from_nim(listed.get("from")?.as_str()?).ok()?;
    let to = [of, peer].into_iter().find(|one| **one != from)?.clone();
    let kind = number(listed.get("type")?)?;
    let (body, attach) = content(kind, listed.get("body"));
    Some(Message {
        key: MessageKey { conv_type: ConvType::Person, server_id },
        to,
        from,
        timestamp,
        msg_type: type_name(kind),
        withheld: false,
        ignored: None,
        details: Details {
            origin: Origin::History,
            from_client_type: listed.get("fromclienttype").and_then(number).and_then(client_name),
            body,
            attach,
            msgid_client: listed.get("msgidclient").and_then(text),
            ..Details::default()
        },
    })
}

/// `body` and `attach` as a copy has them: the text of a text, and the JSON of everything else.
fn content(kind: i64, body: Option<&Value>) -> (Option<String>, Option<String>) {
    let Some(body) = body.filter(|body| !body.is_null()) else { return (None, None) };
    let object = match body {
        Value::String(json) => serde_json::from_str(json).ok(),
        other => Some(other.clone()),
    };
    let words = object.as_ref().and_then(|object: &Value| object.get("msg")).and_then(text);
    let whole = match body {
        Value::String(json) => json.clone(),
        other => other.to_string(),
    };
    match kind {
        0 | 10 => (Some(words.unwrap_or(whole)), None),
        _ => (None, Some(whole)),
    }
}
