//! `POST /simulator/send`: somebody writes.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::posting::{Reply, check_registered, post, yes};
use super::refusal::{Refusal, parse};
use crate::delivery::copies::{self, Extras};
use crate::lock::lock;
use crate::state::Shared;
use crate::world::World;
use crate::world::messages::{ConvType, Draft, Keeping, Message, Said};

/// The most messages of one send.
const MOST_AT_ONCE: usize = 10_000;
/// The longest text of a message, in characters (`eventType` 1, `body`).
const LONGEST_BODY: usize = 5_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the fields of a JSON body, each documented in the listing"
)]
struct SendRequest {
    from: String,
    to: String,
    #[serde(default = "hello")]
    body: String,
    #[serde(default = "one")]
    count: usize,
    #[serde(default = "text")]
    msg_type: String,
    #[serde(default = "person")]
    conv_type: ConvType,
    from_nick: Option<String>,
    #[serde(default)]
    antispam: bool,
    #[serde(default)]
    blacklist: bool,
    /// Unix milliseconds that all messages of this call then share; without it each has its own.
    timestamp: Option<i64>,
    #[serde(default)]
    force: bool,
    #[serde(default = "yes")]
    wait: bool,
    #[serde(default)]
    extra: Map<String, Value>,
}

fn hello() -> String {
    "hello".to_owned()
}
fn text() -> String {
    "TEXT".to_owned()
}
fn one() -> usize {
    1
}
fn person() -> ConvType {
    ConvType::Person
}

/// `POST /simulator/send`: somebody writes; the facts are kept and a copy of each message is posted.
pub async fn send(State(shared): State<Arc<Shared>>, body: Bytes) -> Reply {
    let mut asked: SendRequest = parse(&body)?;
    if !(1..=MOST_AT_ONCE).contains(&asked.count) {
        return Err(Refusal::bad(format!("`count` must lie within 1 and {MOST_AT_ONCE}")));
    }
    if asked.body.chars().count() > LONGEST_BODY {
        return Err(Refusal::bad(format!("`body` is longer than {LONGEST_BODY} characters")));
    }
    asked.from = asked.from.to_lowercase();
    if asked.conv_type.is_to_account() {
        asked.to = asked.to.to_lowercase();
    }
    if !shared.delivery.has_room_for(asked.count) {
        return Err(Refusal::full());
    }
    let wait = asked.wait;
    let (messages, bodies) = write_down(&shared, asked)?;
    let mut reply = post(&shared, bodies, wait).await;
    let listed: Vec<Value> = messages.iter().map(identity).collect();
    reply.insert("messages".to_owned(), json!(listed));
    Ok(Json(Value::Object(reply)))
}

/// Keeps the messages and builds their copies.
fn write_down(shared: &Shared, asked: SendRequest) -> Result<(Vec<Message>, Vec<String>), Refusal> {
    let (numbers, one_range) =
        shared.switchboard.read(|faults| (faults.numbers_as_numbers, faults.same_ids_across_kinds));
    let mut world = lock(&shared.world);
    let to_account = asked.conv_type.is_to_account().then_some(asked.to.as_str());
    check_registered(&world, asked.force, std::iter::once(asked.from.as_str()).chain(to_account))?;

    check_may_speak(&world, &asked)?;
    let blacklist = asked.blacklist
        || (asked.conv_type == ConvType::Person && world.accounts.is_blacklisted(&asked.to, &asked.from));
    let own_name = world.accounts.get(&asked.from).map(|account| account.profile.name.clone());
    let said = Arc::new(said(asked.body, &asked.extra));
    let extras = Extras {
        from_nick: asked.from_nick.or(own_name).filter(|nick| !nick.is_empty()),
        antispam: asked.antispam,
        blacklist,
        extra: asked.extra,
    };
    let mut at = match asked.timestamp {
        Some(timestamp) => timestamp,
        None => world.chat.take_timestamps(shared.clock.now_ms(), asked.count),
    };
    let step = i64::from(asked.timestamp.is_none());
    let (mut messages, mut bodies) = (Vec::new(), Vec::new());
    for _ in 0..asked.count {
        let draft = Draft {
            msgid_client: shared.switchboard.hex_id(),
            from: asked.from.clone(),
            to: asked.to.clone(),
            conv_type: asked.conv_type,
            msg_type: asked.msg_type.clone(),
            blocked: asked.antispam || blacklist,
            keeping: Keeping::History,
            said: Arc::clone(&said),
        };
        let message = world.chat.write(draft, at, one_range);
        at += step;
        bodies.push(copies::conversation(&message, &extras, numbers));
        messages.push(message);
    }
    Ok((messages, bodies))
}

/// NIM takes nothing from an account that is blocked or muted, unless `force` says that it does not matter.
fn check_may_speak(world: &World, asked: &SendRequest) -> Result<(), Refusal> {
    let Some(sender) = world.accounts.get(&asked.from).filter(|_| !asked.force) else { return Ok(()) };
    let muted_here = match asked.conv_type {
        ConvType::Person => sender.mute.persons,
        ConvType::Team | ConvType::SuperTeam => sender.mute.teams,
        ConvType::CustomPerson | ConvType::CustomTeam => false,
    };
    if sender.blocked || sender.mute.everywhere || muted_here {
        let sender = &sender.accid;
        return Err(Refusal::bad(format!("`{sender}` is blocked or muted: undo it, or add \"force\": true")));
    }
    Ok(())
}

/// What the message says, with what `extra` lays over it.
fn said(body: String, extra: &Map<String, Value>) -> Said {
    let text = |name: &str| match extra.get(name)? {
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    Said {
        body: text("body").unwrap_or(body),
        attach: text("attach"),
        client: text("fromClientType").unwrap_or_else(|| "WEB".to_owned()),
    }
}

fn identity(message: &Message) -> Value {
    json!({
        "msgidServer": message.msgid_server.to_string(),
        "msgTimestamp": message.msg_timestamp,
        "msgidClient": message.msgid_client,
    })
}
