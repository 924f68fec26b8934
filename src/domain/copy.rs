//! Reads a message copy (消息抄送): what NetEase posts to the webhook, once its signature has been verified.
//!
//! Fields are documented as strings, yet numbers occur: every scalar is read as either.

mod receipts;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, Visitor};
use serde_json::value::RawValue;

use super::ids::{Accid, Millis, ServerId};
use super::message::{ConvType, Details, Message, MessageKey, Recall, Receipt};
pub use receipts::{KEPT_APART, Receipts};

/// 9999-12-31: beyond it a number is no time of a message, and every time stays exact in a double.
const LAST_MILLIS: i64 = 253_402_300_799_999;

/// What a signed body says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyEvent {
    /// `{}`, or nothing at all: the console checks the address.
    Probe,
    /// eventType 1
    Message(Box<Message>),
    /// A message or a recall whose msgidServer is 0: NetEase does not keep such a message, and nothing can tell it from
    /// another.
    Numberless,
    /// A team's message, or its recall, by a sender whose id is no accid: of another application, say. It would count for
    /// nobody.
    Foreign,
    /// eventTypes 30 and 85
    Receipts(Receipts),
    /// eventTypes 7, 8 and 25
    Recall(Recall),
    /// Known or not, it is acknowledged and nothing is kept.
    Other,
    /// A third-party callback (回调): it waits for a verdict that this service does not give.
    Callback,
}

/// A copy, or one object of it, that cannot be understood. It is kept whole for a person to look at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unintelligible {
    /// What is wrong with it; names fields, never their contents.
    pub reason: String,
    /// Its event type, as in [`ParsedCopy`].
    pub event_type: &'static str,
    /// The text in question.
    pub raw: String,
}

/// The event types that NetEase documents (NIM message copy); any other is `unknown` in metrics.
const EVENT_TYPES: [&str; 26] = [
    "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "20", "25", "30", "31", "36",
    "42", "83", "84", "85", "89", "90", "91",
];

/// What is in no such list.
const UNKNOWN: &str = "unknown";

/// A copy together with the name its kind has in metrics: of a closed list, whatever is posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedCopy {
    /// The event type, `probe` or `unknown`.
    pub event_type: &'static str,
    /// What it says.
    pub copy: CopyEvent,
}

/// Reads a verified body.
pub fn parse(body: &[u8]) -> Result<ParsedCopy, Unintelligible> {
    let text = std::str::from_utf8(body).map_err(|e| Unintelligible {
        reason: format!("the body is not UTF-8: {e}"),
        event_type: UNKNOWN,
        raw: String::from_utf8_lossy(body).into_owned(),
    })?;
    if text.trim_ascii().is_empty() {
        return Ok(ParsedCopy { event_type: "probe", copy: CopyEvent::Probe });
    }
    let keep = |event_type, reason| Unintelligible { reason, event_type, raw: text.to_owned() };
    let mut fields: Fields = serde_json::from_str(text)
        .map_err(|e| keep(UNKNOWN, format!("the body is not a copy: {}", fault(&e))))?;
    let Some(event) = fields.event_type.take() else {
        return match text.trim_matches([' ', '\t', '\r', '\n', '{', '}']) {
            "" => Ok(ParsedCopy { event_type: "probe", copy: CopyEvent::Probe }),
            _ => Err(keep(UNKNOWN, "eventType is missing".into())),
        };
    };
    let event_type = EVENT_TYPES.into_iter().find(|known| *known == event.text).unwrap_or(UNKNOWN);
    fields.read(&event).map(|copy| ParsedCopy { event_type, copy }).map_err(|reason| keep(event_type, reason))
}

/// What is wrong with JSON and where, without quoting any of it.
fn fault(error: &serde_json::Error) -> String {
    let what =
        if error.is_data() { "a field is of the wrong type or there twice" } else { "this is not JSON" };
    format!("{what}, at line {} column {}", error.line(), error.column())
}

/// A string, a number or a boolean, as text.
#[derive(Debug, Clone)]
struct Scalar {
    text: String,
    is_number: bool,
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        match raw.as_bytes().first() {
            Some(b'"') => {
                let text = serde_json::from_str(raw).map_err(D::Error::custom)?;
                Ok(Self { text, is_number: false })
            }
            Some(b'{' | b'[') => Err(D::Error::custom("expected a string or a number")),
            _ => Ok(Self { text: raw.to_owned(), is_number: !matches!(raw, "true" | "false") }),
        }
    }
}

/// Text, or JSON that stands where JSON text is documented: kept as its text.
fn json_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let Some(raw) = <Option<&RawValue>>::deserialize(deserializer)? else { return Ok(None) };
    match serde_json::from_str::<String>(raw.get()) {
        Ok(text) => Ok(Some(text)),
        Err(_) if raw.get().starts_with('"') => Err(D::Error::custom("a string that cannot be read")),
        Err(_) => Ok(Some(raw.get().to_owned())),
    }
}

/// Present, whatever it holds; an explicit null is absence.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct Present;
    impl<'de> Visitor<'de> for Present {
        type Value = bool;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("anything")
        }
        fn visit_none<E>(self) -> Result<bool, E> {
            Ok(false)
        }
        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
            IgnoredAny::deserialize(deserializer).map(|_| true)
        }
    }
    deserializer.deserialize_option(Present)
}

/// Every field that any event of ours uses.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    event_type: Option<Scalar>,
    // eventType 1
    conv_type: Option<Scalar>,
    to: Option<Scalar>,
    from_account: Option<Scalar>,
    msg_timestamp: Option<Scalar>,
    msg_type: Option<Scalar>,
    msgid_server: Option<Scalar>,
    msgid_client: Option<Scalar>,
    resend_flag: Option<Scalar>,
    from_client_type: Option<Scalar>,
    from_device_id: Option<Scalar>,
    from_nick: Option<Scalar>,
    #[serde(default, deserialize_with = "json_text")]
    body: Option<String>,
    #[serde(default, deserialize_with = "json_text")]
    attach: Option<String>,
    antispam: Option<Scalar>,
    #[serde(default, deserialize_with = "present")]
    blacklist: bool,
    // eventType 30
    #[serde(default, deserialize_with = "json_text")]
    objects: Option<String>,
    // eventType 85
    accid: Option<Scalar>,
    ack_accid: Option<Scalar>,
    ack_msg_time: Option<Scalar>,
    // eventTypes 7, 8, 25
    from: Option<Scalar>,
    msg_id: Option<Scalar>,
}

impl Fields {
    /// A callback's eventType is an integer and it has no msgidServer yet; a copy of a message always has one.
    fn is_callback(&self, event: &Scalar) -> bool {
        event.is_number && event.text == "1" && self.msgid_server.is_none()
    }

    fn read(self, event: &Scalar) -> Result<CopyEvent, String> {
        if self.is_callback(event) {
            return Ok(CopyEvent::Callback);
        }
        match event.text.as_str() {
            "1" if is_zero(self.msgid_server.as_ref()) => Ok(CopyEvent::Numberless),
            "7" | "8" | "25" if is_zero(self.msg_id.as_ref()) => Ok(CopyEvent::Numberless),
            "1" if self.is_foreign() => Ok(CopyEvent::Foreign),
            "8" | "25" if is_strange(self.from.as_ref()) => Ok(CopyEvent::Foreign),
            "1" => self.message().map(|message| CopyEvent::Message(Box::new(message))),
            "30" => receipts::read(self.objects.as_deref()).map(CopyEvent::Receipts),
            "85" => self.session_read(),
            "7" => self.recall(ConvType::Person),
            "8" => self.recall(ConvType::Team),
            "25" => self.recall(ConvType::SuperTeam),
            _ => Ok(CopyEvent::Other),
        }
    }

    fn is_foreign(&self) -> bool {
        let conv_type = self.conv_type.as_ref().and_then(|scalar| ConvType::from_nim(&scalar.text));
        conv_type.is_some_and(ConvType::is_of_a_team) && is_strange(self.from_account.as_ref())
    }

    fn message(self) -> Result<Message, String> {
        let conv_type = need("convType", self.conv_type.as_ref())?;
        let conv_type = ConvType::from_nim(conv_type).ok_or("convType is not one that is known")?;
        let text = |scalar: Option<Scalar>| scalar.map(|s| s.text);
        Ok(Message {
            key: MessageKey { conv_type, server_id: server_id("msgidServer", self.msgid_server.as_ref())? },
            to: accid("to", self.to.as_ref())?,
            from: accid("fromAccount", self.from_account.as_ref())?,
            timestamp: millis("msgTimestamp", self.msg_timestamp.as_ref())?,
            msg_type: need("msgType", self.msg_type.as_ref())?.to_owned(),
            withheld: self.blacklist || self.antispam.is_some_and(|flag| flag.text == "true"),
            details: Details {
                from_client_type: text(self.from_client_type),
                from_device_id: text(self.from_device_id),
                from_nick: text(self.from_nick),
                body: self.body,
                attach: self.attach,
                msgid_client: text(self.msgid_client),
                resend_flag: text(self.resend_flag),
            },
        })
    }

    /// msgType 1 is a team's session, which counts for nobody.
    fn session_read(self) -> Result<CopyEvent, String> {
        if self.msg_type.is_some_and(|kind| kind.text != "0") {
            return Ok(CopyEvent::Other);
        }
        let receipt = Receipt {
            reader: accid("accid", self.accid.as_ref())?,
            peer: accid("ackAccid", self.ack_accid.as_ref())?,
            up_to: millis("ackMsgTime", self.ack_msg_time.as_ref())?,
        };
        Ok(CopyEvent::Receipts(Receipts { good: vec![receipt], ..Receipts::default() }))
    }

    fn recall(self, conv_type: ConvType) -> Result<CopyEvent, String> {
        Ok(CopyEvent::Recall(Recall {
            key: MessageKey { conv_type, server_id: server_id("msgId", self.msg_id.as_ref())? },
            from: accid("from", self.from.as_ref())?,
            to: accid("to", self.to.as_ref())?,
        }))
    }
}

fn is_zero(number: Option<&Scalar>) -> bool {
    number.is_some_and(|number| number.text.parse() == Ok(0_u64))
}

/// Whether it is there, and no accid.
fn is_strange(account: Option<&Scalar>) -> bool {
    account.is_some_and(|account| Accid::from_nim(&account.text).is_err())
}

fn need<'a>(name: &str, field: Option<&'a Scalar>) -> Result<&'a str, String> {
    field.map(|scalar| scalar.text.as_str()).ok_or_else(|| format!("{name} is missing"))
}

fn accid(name: &str, field: Option<&Scalar>) -> Result<Accid, String> {
    Accid::from_nim(need(name, field)?).map_err(|e| format!("{name} {e}"))
}

fn server_id(name: &str, field: Option<&Scalar>) -> Result<ServerId, String> {
    let id = need(name, field)?.parse().ok().and_then(ServerId::new);
    id.ok_or_else(|| format!("{name} is not a number from 1 to 2^63-1"))
}

fn millis(name: &str, field: Option<&Scalar>) -> Result<Millis, String> {
    match need(name, field)?.parse() {
        Ok(ms @ 0..=LAST_MILLIS) => Ok(Millis(ms)),
        _ => Err(format!("{name} is not a time in milliseconds")),
    }
}

#[cfg(test)]
mod tests;
