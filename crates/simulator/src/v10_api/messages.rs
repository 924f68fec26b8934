//! Messages that the application sends, and marks as read: `/im/v2/conversations/…/messages`, `/im/v2/messages`.

use std::sync::Arc;

use serde_json::json;

use super::answer::{Answer, MESSAGE_EXISTS, UNKNOWN_MESSAGE};
use super::conversations::pair;
use super::fields::Fields;
use crate::acts::{self, QueueFull, Speech};
use crate::lock::lock;
use crate::state::Shared;
use crate::world::history::kind_number;
use crate::world::messages::{ConvType, Draft, Keeping, Said};

/// What copies call the kinds that can be sent.
const KINDS: [&str; 9] =
    ["TEXT", "PICTURE", "AUDIO", "VIDEO", "LOCATION", "FILE", "TIPS", "NRTC_NETCALL", "CUSTOM"];

/// `POST /im/v2/conversations/{sender|1|receiver}/messages`, a `message` with `message_type`, `text`, `attachment`.
pub fn send(shared: &Shared, id: &str, fields: &Fields) -> Result<Answer, Answer> {
    let (sender, receiver) = pair(id)?;
    let message = fields.object("message")?;
    let number = message.number("message_type")?.ok_or_else(|| Answer::bad("message_type", "is missing"))?;
    let kind = KINDS.into_iter().find(|kind| u64::from(kind_number(kind)) == number);
    let kind = kind.ok_or_else(|| Answer::bad("message_type", "is not known"))?;
    let body = message.optional("text", 5_000)?.unwrap_or_default().to_owned();
    let given = fields.optional("message_client_id", 128)?;
    let world = lock(&shared.world);
    for account in [sender, receiver] {
        world.accounts.get(account).ok_or_else(|| Answer::unknown("conversation_id"))?;
    }
    let is_used = |id: &str| world.chat.between(receiver, sender).any(|message| message.msgid_client == id);
    if given.is_some_and(is_used) {
        return Err(Answer::refused(MESSAGE_EXISTS, "message_client_id is used"));
    }
    drop(world);
    let draft = Draft {
        msgid_client: given.map_or_else(|| shared.switchboard.hex_id(), str::to_owned),
        from: sender.to_owned(),
        to: receiver.to_owned(),
        conv_type: ConvType::Person,
        msg_type: kind.to_owned(),
        blocked: false,
        keeping: Keeping::History,
        said: Arc::new(Said { body, attach: message.any_text("attachment"), client: "REST".to_owned() }),
    };
    let speech = Speech { draft, ext: None, routed: true };
    let written = acts::speak(shared, vec![speech]).map_err(|QueueFull| Answer::queue_full())?;
    let Some(written) = written.first() else { return Err(Answer::queue_full()) };
    Ok(Answer::done(json!({
        "message_server_id": written.msgid_server,
        "message_client_id": written.msgid_client,
        "conversation_id": id,
        "sender_id": written.from,
        "receiver_id": written.to,
        "create_time": written.msg_timestamp,
    })))
}

/// `POST /im/v2/messages/actions/p2p_read_receipt`: `from_account_id` has read this message of `to_account_id`, and all
/// before it.
pub fn read_receipt(shared: &Shared, fields: &Fields) -> Result<Answer, Answer> {
    let (reader, peer) = (fields.account("from_account_id")?, fields.account("to_account_id")?);
    let number = fields.number("message_server_id")?;
    let number = number.ok_or_else(|| Answer::bad("message_server_id", "is missing"))?;
    let world = lock(&shared.world);
    for (account, field) in [(&reader, "from_account_id"), (&peer, "to_account_id")] {
        world.accounts.get(account).ok_or_else(|| Answer::unknown(field))?;
    }
    let read = world.chat.between(&reader, &peer).find(|message| message.msgid_server == number);
    let read = read.map(|message| (message.msg_timestamp, message.msgid_client.clone()));
    drop(world);
    let (timestamp, client_id) = read.ok_or_else(|| Answer::refused(UNKNOWN_MESSAGE, "message not exist"))?;
    acts::mark_read(shared, (&reader, &peer), timestamp, &client_id)
        .map_err(|QueueFull| Answer::queue_full())?;
    Ok(Answer::done(json!({})))
}
