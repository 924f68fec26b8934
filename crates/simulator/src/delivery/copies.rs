//! Bodies of message copies, field by field as NetEase's message-copy documents describe them.

use serde_json::{Map, Value, json};

use crate::faults::ListForm;
use crate::world::messages::{ConvType, Message};
use crate::world::notices::Notice;

/// What a conversation copy says beyond the recorded facts.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// The sender's nickname; left out if `None`.
    pub from_nick: Option<String>,
    /// Adds `"antispam":"true"`.
    pub antispam: bool,
    /// Adds `blacklist`.
    pub blacklist: bool,
    /// Laid over everything else.
    pub extra: Map<String, Value>,
}

/// `reader` has read everything `peer` sent up to and including `timestamp` (Unix time, milliseconds).
#[derive(Clone, Debug)]
pub struct Receipt {
    /// Accid of the one who read.
    pub reader: String,
    /// Accid of the one who wrote.
    pub peer: String,
    /// Of the newest message read.
    pub timestamp: i64,
    /// Need not match any message.
    pub msgid_client: String,
}

/// `eventType` 1, a message that somebody wrote.
pub fn conversation(message: &Message, extras: &Extras, numbers: bool) -> String {
    let mut fields = common(message, numbers);
    fields.insert("body".to_owned(), json!(message.said.body));
    if let Some(attach) = &message.said.attach {
        fields.insert("attach".to_owned(), json!(attach));
    }
    fields.insert("fromClientType".to_owned(), json!(message.said.client));
    fields.insert("msgidClient".to_owned(), json!(message.msgid_client));
    fields.insert("resendFlag".to_owned(), json!("0"));
    if let Some(nick) = &extras.from_nick {
        fields.insert("fromNick".to_owned(), json!(nick));
    }
    if extras.antispam {
        fields.insert("antispam".to_owned(), json!("true"));
    }
    if extras.blacklist {
        fields.insert("blacklist".to_owned(), json!("1"));
    }
    fields.extend(extras.extra.clone());
    Value::Object(fields).to_string()
}

/// `eventType` 1, the copy of a notice sent over the server API (`CUSTOM_PERSON`, `CUSTOM_TEAM`).
pub fn notice(message: &Message, notice: &Notice, numbers: bool) -> String {
    let mut fields = common(message, numbers);
    fields.insert("attach".to_owned(), json!(notice.attach));
    fields.insert("fromClientType".to_owned(), json!("REST"));
    fields.insert("customSafeFlag".to_owned(), json!(if notice.save == 2 { "1" } else { "0" }));
    if let Some(text) = &notice.pushcontent {
        fields.insert("customApnsText".to_owned(), json!(text));
    }
    Value::Object(fields).to_string()
}

fn common(message: &Message, numbers: bool) -> Map<String, Value> {
    let mut fields = event(1, numbers);
    fields.insert("convType".to_owned(), json!(message.conv_type));
    fields.insert("fromAccount".to_owned(), json!(message.from));
    fields.insert("to".to_owned(), json!(message.to));
    fields.insert("msgType".to_owned(), json!(message.msg_type));
    fields.insert("msgTimestamp".to_owned(), count(message.msg_timestamp, numbers));
    fields.insert("msgidServer".to_owned(), count(message.msgid_server, numbers));
    fields
}

/// `eventType` 30: read receipts. Times inside `objects` are numbers even in NetEase's own sample.
pub fn receipts(receipts: &[Receipt], form: ListForm, numbers: bool) -> String {
    let object = |receipt: &Receipt| {
        json!({
            "fromAccount": receipt.reader,
            "toAccount": receipt.peer,
            "timestamp": receipt.timestamp,
            "msgidClient": receipt.msgid_client,
            "clientType": "AOS",
        })
    };
    let objects = Value::Array(receipts.iter().map(object).collect());
    let objects = match form {
        ListForm::Array => objects,
        ListForm::String => Value::String(objects.to_string()),
    };
    let mut fields = event(30, numbers);
    fields.insert("objects".to_owned(), objects);
    Value::Object(fields).to_string()
}

/// `eventType` 85: a session read, of a person's chat.
pub fn session_read(receipt: &Receipt, numbers: bool) -> String {
    let mut fields = event(85, numbers);
    fields.insert("accid".to_owned(), json!(receipt.reader));
    fields.insert("ackAccid".to_owned(), json!(receipt.peer));
    fields.insert("msgType".to_owned(), count(0, numbers));
    fields.insert("ackMsgTime".to_owned(), count(receipt.timestamp, numbers));
    Value::Object(fields).to_string()
}

/// What a recall says if nothing else is given (msg/recall).
const RECALLED: &str = "撤回了一条信息";

/// `eventType` 7, 8 or 25: a recall, with its words and its `attach`. Its field names differ from those of `eventType` 1.
pub fn recall(
    message: &Message,
    event_type: u64,
    now_ms: i64,
    (text, attach): (Option<&str>, Option<&str>),
    numbers: bool,
) -> String {
    let mut fields = event(event_type, numbers);
    fields.insert("from".to_owned(), json!(message.from));
    fields.insert("to".to_owned(), json!(message.to));
    fields.insert("msgId".to_owned(), count(message.msgid_server, numbers));
    fields.insert("clientId".to_owned(), json!(message.msgid_client));
    fields.insert("sendTime".to_owned(), count(message.msg_timestamp, numbers));
    fields.insert("deleteTime".to_owned(), count(now_ms, numbers));
    fields.insert("selfMsg".to_owned(), json!(text.unwrap_or(RECALLED)));
    if let Some(attach) = attach {
        fields.insert("attach".to_owned(), json!(attach));
    }
    Value::Object(fields).to_string()
}

/// `eventType` 89, 90 or 91: an edit, with what is new under the names `text`, `attachment` and `extension`.
pub fn edit(
    message: &Message,
    event_type: u64,
    at_ms: i64,
    changes: Map<String, Value>,
    numbers: bool,
) -> String {
    let mut fields = event(event_type, numbers);
    fields.insert("from".to_owned(), json!(message.from));
    fields.insert("to".to_owned(), json!(message.to));
    fields.insert("msgId".to_owned(), count(message.msgid_server, numbers));
    fields.insert("clientId".to_owned(), json!(message.msgid_client));
    fields.insert("modifyAccountId".to_owned(), json!(message.from));
    fields.insert("modifyTime".to_owned(), count(at_ms, numbers));
    fields.extend(changes);
    Value::Object(fields).to_string()
}

/// `eventType` 20: a review after delivery that has found the message bad.
pub fn review(message: &Message, form: ListForm, numbers: bool) -> String {
    let kind = match message.conv_type {
        ConvType::Team => "TEAM_MSG_AUDIO",
        ConvType::SuperTeam => "SUPERTEAM_MSG_AUDIO",
        _ => "P2P_MSG_AUDIO",
    };
    let objects = json!([{
        "type": kind,
        "from": message.from,
        "to": message.to,
        "serverMsgId": message.msgid_server.to_string(),
        "clientMsgId": message.msgid_client,
        "antispam": true,
        "yidunRes": { "action": 2.0 },
    }]);
    let objects = match form {
        ListForm::Array => objects,
        ListForm::String => Value::String(objects.to_string()),
    };
    let mut fields = event(20, numbers);
    fields.insert("objects".to_owned(), objects);
    Value::Object(fields).to_string()
}

fn event(event_type: u64, numbers: bool) -> Map<String, Value> {
    Map::from_iter([("eventType".to_owned(), count(event_type, numbers))])
}

/// Documented as strings; numbers occur.
fn count<N: ToString + Into<Value>>(value: N, numbers: bool) -> Value {
    if numbers { value.into() } else { Value::String(value.to_string()) }
}
