//! Messages as documents: NetEase's fields under NetEase's names, whatever they are, `state` (0 unread, 1 read), and some
//! of our own.
//!
//! Ours: `withheld` (copied, not delivered), `counted` (an unread count waits for its reader) and `recalled`. A
//! document without `msgType` is a tombstone that came before its message.

use mongodb::bson::{Bson, Document, doc};

use crate::domain::ids::{Accid, Millis, ServerId};
use crate::domain::message::{ConvType, Details, Extra, Ignored, Message, MessageKey, MessageRef, Origin};
use crate::ports::StoreError;
use crate::ports::log_upkeep::StoredMessage;

/// The store's name in errors.
pub(super) const STORE: &str = "messages";

/// Names that no field of a copy may take in a document: they mean something to this service.
const OURS: [&str; 11] = [
    "_id",
    "learntFrom",
    "state",
    "counted",
    "withheld",
    "ignored",
    "recalled",
    "recalledAt",
    "edited",
    "editedAt",
    "extra",
];

/// `learntFrom` of a message that is known from NetEase's history alone.
pub(super) const HISTORY: &str = "history";

/// The fields that a copy may leave out, by NetEase's names.
pub(super) const DETAILS: [&str; 7] =
    ["fromClientType", "fromDeviceId", "fromNick", "body", "attach", "msgidClient", "resendFlag"];

/// The document of a new, unread message.
pub(super) fn to_document(message: &Message) -> Document {
    let details = &message.details;
    let mut document = doc! {
        "_id": message.key.to_string(),
        "eventType": "1",
        "convType": message.key.conv_type.as_str(),
        "to": message.to.as_str(),
        "fromAccount": message.from.as_str(),
        "msgTimestamp": message.timestamp.0,
        "msgType": &message.msg_type,
        "msgidServer": message.key.server_id.to_string(),
        "state": 0,
        "counted": message.counts(),
    };
    if message.withheld {
        document.insert("withheld", true);
    }
    if details.origin == Origin::History {
        document.insert("learntFrom", HISTORY);
    }
    if let Some(why) = message.ignored {
        document.insert("ignored", why.as_str());
    }
    let mut optional = |name: &str, value: &Option<String>| {
        if let Some(text) = value {
            document.insert(name, text);
        }
    };
    optional("fromClientType", &details.from_client_type);
    optional("fromDeviceId", &details.from_device_id);
    optional("fromNick", &details.from_nick);
    optional("body", &details.body);
    optional("attach", &details.attach);
    optional("msgidClient", &details.msgid_client);
    optional("resendFlag", &details.resend_flag);
    optional("ext", &details.ext);
    add_extra(&mut document, &details.extra);
    document
}

/// Each further field under its own name. Those that cannot be a field of the document, for their name is taken, or is
/// one that MongoDB gives a meaning to or does not take, stand in the list `extra`.
fn add_extra(document: &mut Document, extra: &[Extra]) {
    let mut others = Vec::new();
    for Extra { name, value } in extra {
        let meant = name.is_empty() || name.starts_with('$') || name.contains(['.', '\0']);
        if meant || OURS.contains(&name.as_str()) || document.contains_key(name) {
            others.push(doc! { "name": name, "value": value });
        } else {
            document.insert(name, value);
        }
    }
    if !others.is_empty() {
        document.insert("extra", others);
    }
}

/// Reads a document of `messages`.
pub(super) fn from_document(document: &Document) -> Result<StoredMessage, StoreError> {
    let flag = |name| document.get_bool(name).unwrap_or(false);
    let text = |name| document.get_str(name).ok().map(ToOwned::to_owned);
    let (recalled, read) = (flag("recalled"), document.get_i32("state").is_ok_and(|state| state == 1));
    let edited = document.contains_key("editedAt");
    let Some(msg_type) = text("msgType") else {
        return Ok(StoredMessage { message: None, recalled, edited, read });
    };
    let conv_type = document.get_str("convType").ok().and_then(ConvType::from_nim);
    let message = Message {
        key: MessageKey {
            conv_type: conv_type.ok_or_else(|| unexpected("a convType that was never written"))?,
            server_id: server_id(document)?,
        },
        to: accid(document, "to")?,
        from: accid(document, "fromAccount")?,
        timestamp: millis(document, "msgTimestamp")?,
        msg_type,
        withheld: flag("withheld"),
        ignored: document.get_str("ignored").ok().and_then(Ignored::from_word),
        details: Details {
            origin: if text("learntFrom").is_some() { Origin::History } else { Origin::Copy },
            from_client_type: text("fromClientType"),
            from_device_id: text("fromDeviceId"),
            from_nick: text("fromNick"),
            body: text("body"),
            attach: text("attach"),
            msgid_client: text("msgidClient"),
            resend_flag: text("resendFlag"),
            ext: None,
            extra: Vec::new(),
        },
    };
    Ok(StoredMessage { message: Some(message), recalled, edited, read })
}

/// Which message a document of `messages` is about.
pub(super) fn message_ref(document: &Document) -> Result<MessageRef, StoreError> {
    Ok(MessageRef {
        at: millis(document, "msgTimestamp")?,
        id: server_id(document)?,
        client_id: document.get_str("msgidClient").ok().map(ToOwned::to_owned),
    })
}

pub(super) fn accid(document: &Document, name: &str) -> Result<Accid, StoreError> {
    as_accid(document.get_str(name).ok(), name)
}

pub(super) fn as_accid(text: Option<&str>, name: &str) -> Result<Accid, StoreError> {
    text.and_then(|text| Accid::from_nim(text).ok()).ok_or_else(|| unexpected(&format!("no accid in {name}")))
}

pub(super) fn server_id(document: &Document) -> Result<ServerId, StoreError> {
    as_server_id(document.get_str("msgidServer").ok())
}

pub(super) fn as_server_id(text: Option<&str>) -> Result<ServerId, StoreError> {
    let id = text.and_then(|text| text.parse().ok()).and_then(ServerId::new);
    id.ok_or_else(|| unexpected("no number in msgidServer"))
}

pub(super) fn millis(document: &Document, name: &str) -> Result<Millis, StoreError> {
    match document.get(name) {
        Some(Bson::Int64(ms)) => Ok(Millis(*ms)),
        _ => Err(unexpected(&format!("no time in {name}"))),
    }
}

pub(super) fn unexpected(what: &str) -> StoreError {
    StoreError::Corrupt { store: STORE, what: what.to_owned() }
}
