//! Control calls on what was delivered before: `edit` and `review`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::posting::{Reply, post, yes};
use super::refusal::{Refusal, parse};
use crate::delivery::copies;
use crate::lock::lock;
use crate::state::Shared;
use crate::world::messages::{ConvType, Message};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Edit {
    msgid_server: Value,
    text: Option<String>,
    attachment: Option<String>,
    extension: Option<String>,
    modify_time: Option<i64>,
    #[serde(default = "yes")]
    wait: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Review {
    msgid_server: Value,
    #[serde(default = "yes")]
    wait: bool,
}

fn id(msgid_server: &Value) -> Result<u64, Refusal> {
    let id = msgid_server.as_u64().or_else(|| msgid_server.as_str()?.parse().ok());
    id.ok_or_else(|| Refusal::bad("`msgidServer` must be an id, as a string or a number"))
}

fn there(shared: &Shared, found: Option<Message>, id: u64) -> Result<Message, Refusal> {
    if !shared.delivery.has_room_for(1) {
        return Err(Refusal::full());
    }
    found.ok_or_else(|| Refusal::missing(format!("no message has the id {id}")))
}

/// `POST /simulator/edit`: the sender changes a message; posts `eventType` 89, 90 or 91. The simulator itself keeps the
/// first text.
pub async fn edit(State(shared): State<Arc<Shared>>, body: Bytes) -> Reply {
    let asked: Edit = parse(&body)?;
    let id = id(&asked.msgid_server)?;
    let found = lock(&shared.world).chat.recallable(id).cloned();
    let message = there(&shared, found, id)?;
    let event = match message.conv_type {
        ConvType::Team => 90,
        ConvType::SuperTeam => 91,
        _ => 89,
    };
    let changes = [("text", asked.text), ("attachment", asked.attachment), ("extension", asked.extension)];
    let changes: Map<String, Value> =
        changes.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text?)))).collect();
    let at = asked.modify_time.unwrap_or_else(|| shared.clock.now_ms());
    let numbers = shared.switchboard.read(|faults| faults.numbers_as_numbers);
    let mut reply =
        post(&shared, vec![copies::edit(&message, event, at, changes, numbers)], asked.wait).await;
    reply.insert("event".to_owned(), json!(event));
    Ok(Json(Value::Object(reply)))
}

/// `POST /simulator/review`: a review finds a delivered message bad, and NetEase deletes it; posts `eventType` 20.
pub async fn review(State(shared): State<Arc<Shared>>, body: Bytes) -> Reply {
    let asked: Review = parse(&body)?;
    let id = id(&asked.msgid_server)?;
    let found = lock(&shared.world).chat.recall(id);
    let message = there(&shared, found, id)?;
    let (list, numbers) = shared.switchboard.read(|faults| (faults.objects_as, faults.numbers_as_numbers));
    Ok(Json(Value::Object(post(&shared, vec![copies::review(&message, list, numbers)], asked.wait).await)))
}
