//! Conversations of two, and what was said in them: `/im/v2.1/conversations`.

use serde_json::{Value, json};

use super::answer::{Answer, UNKNOWN_CONVERSATION};
use super::fields::Query;
use crate::lock::lock;
use crate::state::Shared;
use crate::world::World;
use crate::world::history::{Session, Span, client_number, kind_number};
use crate::world::messages::Message;

/// The two of `owner|1|other`; conversations with teams are not served.
pub fn pair(id: &str) -> Result<(&str, &str), Answer> {
    let mut parts = id.split('|');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(owner), Some("1"), Some(other), None) if !owner.is_empty() && !other.is_empty() => {
            Ok((owner, other))
        }
        _ => Err(Answer::bad("conversation_id", "must be account|1|account")),
    }
}

/// Where a page begins: how many come before it.
fn skipped(query: &Query) -> Result<usize, Answer> {
    match query.text("page_token") {
        "" => Ok(0),
        token => {
            let skipped = token.strip_prefix("after/").and_then(|skipped| skipped.parse().ok());
            skipped.ok_or_else(|| Answer::bad("page_token", "is not one of this API"))
        }
    }
}

/// A page of all there is.
fn page(all: Vec<Value>, skipped: usize, limit: usize) -> Answer {
    let total = all.len();
    let items: Vec<Value> = all.into_iter().skip(skipped).take(limit).collect();
    let end = skipped + items.len();
    let next_token = if end < total { format!("after/{end}") } else { String::new() };
    Answer::done(json!({ "has_more": end < total, "next_token": next_token, "items": items }))
}

fn limit(query: &Query, missing: Option<i64>) -> Result<usize, Answer> {
    Ok(usize::try_from(query.number("limit", 1..=100, missing)?).unwrap_or(100))
}

/// Whether the app has its conversations in the cloud: a switch in NetEase's console.
fn are_kept(shared: &Shared) -> Result<(), Answer> {
    match shared.switchboard.read(|faults| faults.conversations) {
        200 => Ok(()),
        code => Err(Answer::refused(code, "conversations are not switched on")),
    }
}

fn item(world: &World, owner: &str, session: &Session<'_>) -> Value {
    let peer = session.peer;
    json!({
        "conversation_id": format!("{owner}|1|{peer}"),
        "sender_id": owner,
        "receiver_id": peer,
        "type": 1,
        "unread_count": world.chat.unread(owner, peer),
        "update_time": session.updated_at,
        "last_read_time": world.chat.read_mark(owner, peer).unwrap_or(0),
        "last_message": session.last.map(|last| message(owner, last)),
    })
}

/// `GET /im/v2.1/conversations?account_id=`: with whom an account wrote, the newest first.
pub fn list(shared: &Shared, query: &Query) -> Result<Answer, Answer> {
    are_kept(shared)?;
    let (limit, skipped) = (limit(query, Some(100))?, skipped(query)?);
    let owner = query.text("account_id").to_lowercase();
    let withheld = shared.switchboard.read(|faults| faults.history_has_withheld);
    let world = lock(&shared.world);
    world.accounts.get(&owner).ok_or_else(|| Answer::unknown("account_id"))?;
    let (sessions, _) = world.chat.sessions(&owner, (0, i64::MAX), usize::MAX, withheld);
    let all = sessions.iter().map(|session| item(&world, &owner, session)).collect();
    Ok(page(all, skipped, limit))
}

/// `GET /im/v2.1/conversations/{conversation_id}`
pub fn get(shared: &Shared, id: &str) -> Result<Answer, Answer> {
    are_kept(shared)?;
    let (owner, peer) = pair(id)?;
    let withheld = shared.switchboard.read(|faults| faults.history_has_withheld);
    let world = lock(&shared.world);
    let (sessions, _) = world.chat.sessions(owner, (0, i64::MAX), usize::MAX, withheld);
    let session = sessions.iter().find(|session| session.peer == peer);
    let session = session.ok_or_else(|| Answer::refused(UNKNOWN_CONVERSATION, "conversation not exist"))?;
    Ok(Answer::done(item(&world, owner, session)))
}

/// `GET /im/v2.1/conversations/{conversation_id}/messages`: of the two, either way, in a span of time.
pub fn messages(shared: &Shared, id: &str, query: &Query) -> Result<Answer, Answer> {
    let (owner, other) = pair(id)?;
    let (begin_ms, end_ms) =
        (query.number("begin_time", 0..=i64::MAX, None)?, query.number("end_time", 0..=i64::MAX, None)?);
    if begin_ms >= end_ms {
        return Err(Answer::bad("begin_time", "must be before end_time"));
    }
    let (limit, skipped) = (limit(query, None)?, skipped(query)?);
    let kinds = match query.text("message_type") {
        "" => None,
        list => {
            let kinds: Result<Vec<u16>, _> = list.split(',').map(str::parse).collect();
            Some(kinds.map_err(|_| Answer::bad("message_type", "must hold numbers, parted by commas"))?)
        }
    };
    let descending = match query.text("descending") {
        "" | "false" => false,
        "true" => true,
        _ => return Err(Answer::bad("descending", "must be true or false")),
    };
    let (withheld, as_documented) =
        shared.switchboard.read(|faults| (faults.history_has_withheld, faults.descending_is_oldest_first));
    let span = Span {
        begin_ms,
        end_ms,
        limit: usize::MAX,
        newest_first: descending != as_documented,
        kinds,
        behind: None,
        withheld,
        no_sense: query.text("include_no_sense_msg") == "true",
    };
    let world = lock(&shared.world);
    for account in [owner, other] {
        world.accounts.get(account).ok_or_else(|| Answer::unknown("conversation_id"))?;
    }
    let found = world.chat.history(owner, other, &span);
    Ok(page(found.into_iter().map(|found| message(owner, found)).collect(), skipped, limit))
}

fn message(owner: &str, message: &Message) -> Value {
    let other = if message.from == owner { &message.to } else { &message.from };
    let attachment = message
        .said
        .attach
        .as_deref()
        .map(|attach| serde_json::from_str(attach).unwrap_or_else(|_| Value::String(attach.to_owned())));
    json!({
        "message_server_id": message.msgid_server,
        "message_client_id": message.msgid_client,
        "conversation_id": format!("{owner}|1|{other}"),
        "sender_id": message.from,
        "receiver_id": message.to,
        "message_type": kind_number(&message.msg_type),
        "create_time": message.msg_timestamp,
        "sender_client_type": client_number(&message.said.client),
        "text": message.said.body,
        "attachment": attachment,
    })
}
