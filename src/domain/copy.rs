//! Reads a message copy (消息抄送): what NetEase posts to the webhook, once its signature has been verified.
//!
//! Fields are documented as strings, yet numbers occur: every scalar is read as either. Only a field that a rule looks at
//! can make a copy unintelligible; all others are kept as they came.

mod fields;
mod receipts;
mod reviews;

use std::borrow::Cow;

use super::ids::Accid;
use super::message::{ConvType, Details, Edit, Extra, Message, MessageKey, Recall, Receipt, TakenBack};
use fields::{Fields, Scalar};
pub use receipts::{KEPT_APART, Receipts};

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
    /// eventTypes 89, 90 and 91
    Edit(Box<Edit>),
    /// eventType 20: messages that a review has found bad after they were delivered; one at least.
    Withdrawn(Vec<Recall>),
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
    let fields =
        Fields::of(text).map_err(|e| keep(UNKNOWN, format!("the body is not a copy: {}", fault(&e))))?;
    let event = match fields.scalar("eventType") {
        Ok(Some(event)) => event,
        Ok(None) if fields.is_empty() => {
            return Ok(ParsedCopy { event_type: "probe", copy: CopyEvent::Probe });
        }
        Ok(None) => return Err(keep(UNKNOWN, "eventType is missing".into())),
        Err(reason) => return Err(keep(UNKNOWN, reason)),
    };
    let event_type = EVENT_TYPES.into_iter().find(|known| *known == event.text).unwrap_or(UNKNOWN);
    let copy = read(fields, &event).map_err(|reason| keep(event_type, reason))?;
    Ok(ParsedCopy { event_type, copy })
}

/// What is wrong with JSON and where, without quoting any of it.
fn fault(error: &serde_json::Error) -> String {
    let what = if error.is_data() { "this is not an object" } else { "this is not JSON" };
    format!("{what}, at line {} column {}", error.line(), error.column())
}

/// What a copy of this event type says.
fn read(fields: Fields<'_>, event: &Scalar<'_>) -> Result<CopyEvent, String> {
    if is_callback(&fields, event)? {
        return Ok(CopyEvent::Callback);
    }
    match &*event.text {
        "1" if is_zero(&fields, "msgidServer")? => Ok(CopyEvent::Numberless),
        "7" | "8" | "25" | "89" | "90" | "91" if is_zero(&fields, "msgId")? => Ok(CopyEvent::Numberless),
        "1" if is_of_a_team(&fields)? && is_strange(&fields, "fromAccount")? => Ok(CopyEvent::Foreign),
        "8" | "25" | "90" | "91" if is_strange(&fields, "from")? => Ok(CopyEvent::Foreign),
        "1" => message(fields).map(|message| CopyEvent::Message(Box::new(message))),
        "20" => Ok(match reviews::read(fields.json("objects")?.as_deref()) {
            withdrawn if withdrawn.is_empty() => CopyEvent::Other,
            withdrawn => CopyEvent::Withdrawn(withdrawn),
        }),
        "30" => receipts::read(fields.json("objects")?.as_deref()).map(CopyEvent::Receipts),
        "85" => session_read(&fields),
        "7" => recall(&fields, ConvType::Person),
        "8" => recall(&fields, ConvType::Team),
        "25" => recall(&fields, ConvType::SuperTeam),
        "89" => edit(&fields, ConvType::Person),
        "90" => edit(&fields, ConvType::Team),
        "91" => edit(&fields, ConvType::SuperTeam),
        _ => Ok(CopyEvent::Other),
    }
}

/// A callback's eventType is an integer and it has no msgidServer yet; a copy of a message always has one.
fn is_callback(fields: &Fields<'_>, event: &Scalar<'_>) -> Result<bool, String> {
    Ok(event.is_number && event.text == "1" && fields.scalar("msgidServer")?.is_none())
}

fn is_zero(fields: &Fields<'_>, name: &str) -> Result<bool, String> {
    Ok(fields.scalar(name)?.is_some_and(|number| number.text.parse() == Ok(0_u64)))
}

fn is_of_a_team(fields: &Fields<'_>) -> Result<bool, String> {
    let conv_type = fields.scalar("convType")?.and_then(|scalar| ConvType::from_nim(&scalar.text));
    Ok(conv_type.is_some_and(ConvType::is_of_a_team))
}

/// Whether it is there, and no accid.
fn is_strange(fields: &Fields<'_>, name: &str) -> Result<bool, String> {
    Ok(fields.scalar(name)?.is_some_and(|account| Accid::from_nim(&account.text).is_err()))
}

fn message(fields: Fields<'_>) -> Result<Message, String> {
    let conv_type = ConvType::from_nim(&fields.need("convType")?);
    let conv_type = conv_type.ok_or("convType is not one that is known")?;
    let blocked = fields.scalar("antispam")?.is_some_and(|flag| flag.text == "true");
    Ok(Message {
        key: MessageKey { conv_type, server_id: fields.server_id("msgidServer")? },
        to: fields.accid("to")?,
        from: fields.accid("fromAccount")?,
        timestamp: fields.millis("msgTimestamp")?,
        msg_type: fields.need("msgType")?.into_owned(),
        withheld: blocked || fields.has("blacklist"),
        ignored: None,
        details: details(fields),
    })
}

/// All that no rule looks at, and what said that the message is withheld.
fn details(fields: Fields<'_>) -> Details {
    let mut details = Details::default();
    for (name, text) in fields.into_texts() {
        let detail = match &*name {
            "eventType" | "convType" | "to" | "fromAccount" | "msgTimestamp" | "msgType" | "msgidServer" => {
                continue;
            }
            "fromClientType" => Some(&mut details.from_client_type),
            "fromDeviceId" => Some(&mut details.from_device_id),
            "fromNick" => Some(&mut details.from_nick),
            "body" => Some(&mut details.body),
            "attach" => Some(&mut details.attach),
            "ext" => Some(&mut details.ext),
            "msgidClient" => Some(&mut details.msgid_client),
            "resendFlag" => Some(&mut details.resend_flag),
            _ => None,
        };
        match detail {
            Some(vacant @ None) => *vacant = Some(text.into_owned()),
            // Unknown, or there twice.
            _ => details.extra.push(Extra { name: name.into_owned(), value: text.into_owned() }),
        }
    }
    details
}

/// msgType 1 is a team's session, which counts for nobody.
fn session_read(fields: &Fields<'_>) -> Result<CopyEvent, String> {
    if fields.scalar("msgType")?.is_some_and(|kind| kind.text != "0") {
        return Ok(CopyEvent::Other);
    }
    let receipt = Receipt {
        reader: fields.accid("accid")?,
        peer: fields.accid("ackAccid")?,
        up_to: fields.millis("ackMsgTime")?,
    };
    Ok(CopyEvent::Receipts(Receipts { good: vec![receipt], ..Receipts::default() }))
}

fn recall(fields: &Fields<'_>, conv_type: ConvType) -> Result<CopyEvent, String> {
    Ok(CopyEvent::Recall(Recall {
        key: MessageKey { conv_type, server_id: fields.server_id("msgId")? },
        from: fields.accid("from")?,
        to: fields.accid("to")?,
        taken_back: TakenBack::BySender,
    }))
}

fn edit(fields: &Fields<'_>, conv_type: ConvType) -> Result<CopyEvent, String> {
    let text = |name| fields.first(name).map(Cow::into_owned);
    Ok(CopyEvent::Edit(Box::new(Edit {
        key: MessageKey { conv_type, server_id: fields.server_id("msgId")? },
        from: fields.accid("from")?,
        to: fields.accid("to")?,
        at: fields.millis("modifyTime")?,
        body: text("text"),
        attach: text("attachment"),
        ext: text("extension"),
    })))
}

#[cfg(test)]
mod tests;
