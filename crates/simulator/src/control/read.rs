//! Control calls on what was written before: `read`, `read-batch` and `recall`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::posting::{Reply, check_registered, post, yes};
use super::refusal::{Refusal, parse};
use crate::delivery::copies::{self, Receipt};
use crate::faults::ListForm;
use crate::lock::lock;
use crate::state::Shared;

/// The most receipts of one copy.
const MOST_RECEIPTS: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    reader: String,
    peer: String,
    timestamp: Option<i64>,
    event: Option<u16>,
    objects: Option<ListForm>,
    #[serde(default)]
    force: bool,
    #[serde(default = "yes")]
    wait: bool,
}

/// `POST /simulator/read`: the reader has read what the peer wrote; posts one receipt, `eventType` 30 or 85.
pub async fn read(State(shared): State<Arc<Shared>>, body: Bytes) -> Reply {
    let Read { reader, peer, timestamp, event, objects, force, wait } = parse(&body)?;
    if !matches!(event, None | Some(30 | 85)) {
        return Err(Refusal::bad("`event` must be 30 or 85"));
    }
    if !shared.delivery.has_room_for(1) {
        return Err(Refusal::full());
    }
    let receipt = note_read(&shared, force, &OneRead { reader, peer, timestamp })?;
    let (form, numbers) = receipt_style(&shared, objects);
    let copy = if event == Some(85) {
        copies::session_read(&receipt, numbers)
    } else {
        copies::receipts(std::slice::from_ref(&receipt), form, numbers)
    };
    let mut reply = post(&shared, vec![copy], wait).await;
    reply.insert("timestamp".to_owned(), json!(receipt.timestamp));
    Ok(Json(Value::Object(reply)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneRead {
    reader: String,
    peer: String,
    timestamp: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadBatch {
    receipts: Vec<OneRead>,
    objects: Option<ListForm>,
    #[serde(default)]
    force: bool,
    #[serde(default = "yes")]
    wait: bool,
}

/// `POST /simulator/read-batch`: many receipts in one copy of `eventType` 30.
pub async fn read_batch(State(shared): State<Arc<Shared>>, body: Bytes) -> Reply {
    let asked: ReadBatch = parse(&body)?;
    if !(1..=MOST_RECEIPTS).contains(&asked.receipts.len()) {
        return Err(Refusal::bad(format!("`receipts` must hold 1 to {MOST_RECEIPTS}")));
    }
    if !shared.delivery.has_room_for(1) {
        return Err(Refusal::full());
    }
    let pairs = asked.receipts.iter().flat_map(|one| [one.reader.as_str(), one.peer.as_str()]);
    check_registered(&lock(&shared.world), asked.force, pairs)?;
    let noted: Result<Vec<Receipt>, Refusal> =
        asked.receipts.iter().map(|one| note_read(&shared, true, one)).collect();
    let noted = noted?;
    let (form, numbers) = receipt_style(&shared, asked.objects);
    let mut reply = post(&shared, vec![copies::receipts(&noted, form, numbers)], asked.wait).await;
    let timestamps: Vec<i64> = noted.iter().map(|receipt| receipt.timestamp).collect();
    reply.insert("timestamps".to_owned(), json!(timestamps));
    Ok(Json(Value::Object(reply)))
}

/// Keeps a read mark. Without a time it is that of the newest message, or now if there is none.
fn note_read(shared: &Shared, force: bool, asked: &OneRead) -> Result<Receipt, Refusal> {
    let (reader, peer) = (asked.reader.to_lowercase(), asked.peer.to_lowercase());
    let mut world = lock(&shared.world);
    check_registered(&world, force, [reader.as_str(), peer.as_str()])?;
    let now_ms = shared.clock.now_ms();
    let timestamp = world.chat.mark_read(&reader, &peer, asked.timestamp, now_ms);
    Ok(Receipt { reader, peer, timestamp, msgid_client: shared.switchboard.hex_id() })
}

fn receipt_style(shared: &Shared, asked: Option<ListForm>) -> (ListForm, bool) {
    let (form, numbers) = shared.switchboard.read(|faults| (faults.objects_as, faults.numbers_as_numbers));
    (asked.unwrap_or(form), numbers)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Recall {
    msgid_server: Value,
    #[serde(default = "yes")]
    wait: bool,
}

/// `POST /simulator/recall`: the sender takes a message back; posts `eventType` 7, 8 or 25.
pub async fn recall(State(shared): State<Arc<Shared>>, body: Bytes) -> Reply {
    let asked: Recall = parse(&body)?;
    let id = asked.msgid_server.as_u64().or_else(|| asked.msgid_server.as_str()?.parse().ok());
    let id = id.ok_or_else(|| Refusal::bad("`msgidServer` must be an id, as a string or a number"))?;
    if !shared.delivery.has_room_for(1) {
        return Err(Refusal::full());
    }
    let recalled = lock(&shared.world).chat.recall(id);
    let event = recalled.and_then(|message| Some((message.conv_type.recall_event()?, message)));
    let (event, message) = event.ok_or_else(|| Refusal::missing(format!("no message has the id {id}")))?;
    let numbers = shared.switchboard.read(|faults| faults.numbers_as_numbers);
    let copy = copies::recall(&message, event, shared.clock.now_ms(), (None, None), numbers);
    let mut reply = post(&shared, vec![copy], asked.wait).await;
    reply.insert("event".to_owned(), json!(event));
    Ok(Json(Value::Object(reply)))
}
