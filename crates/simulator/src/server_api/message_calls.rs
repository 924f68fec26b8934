//! The server API's calls on messages: msg/markReadMsg.

use serde_json::json;

use super::params::{Answer, Params};
use crate::acts::{self, QueueFull};
use crate::lock::lock;
use crate::state::Shared;

/// `from` has read the message of `to` with this client id, and all before it. If there is none, all that there is.
pub fn mark_read(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let (reader, peer) = (params.accid("from")?, params.accid("to")?);
    let msgid_client = params.text("msgidClient", 128)?;
    let world = lock(&shared.world);
    world.accounts.get(&reader).ok_or_else(|| Answer::unknown("from"))?;
    world.accounts.get(&peer).ok_or_else(|| Answer::unknown("to"))?;
    let read = world.chat.between(&reader, &peer).find(|message| message.msgid_client == msgid_client);
    let timestamp = read.map_or_else(|| shared.clock.now_ms(), |message| message.msg_timestamp);
    drop(world);
    acts::mark_read(shared, (&reader, &peer), timestamp, msgid_client)
        .map_err(|QueueFull| Answer::queue_full())?;
    Ok(Answer::done_with("data", json!({ "timestamp": timestamp })))
}
