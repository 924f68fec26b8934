//! What `POST /v1/notifications` takes.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::problem::Problem;
use super::request::user_id;
use crate::commands::send_notification::Notification;
use crate::domain::ids::UserId;
use crate::domain::outbox::MAX_ATTACH_CHARS;
use crate::ports::gateway::NoticeContent;
use crate::ports::outbox::BATCH;

// Limits of msg/sendAttachMsg (NIM server API), in characters.
const MAX_PUSH_CONTENT_CHARS: usize = 500;
const MAX_PAYLOAD_CHARS: usize = 2048;
const MAX_SOUND_CHARS: usize = 30;

/// A custom system notice. Lengths are in characters, as NetEase counts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NotificationRequest {
    /// The recipient, or a list of 1 to 5000. Each has 1 to 128 characters.
    #[schema(value_type = String, example = "alice", min_length = 1, max_length = 128)]
    to: Recipients,
    /// What the client gets: text, or JSON that is passed on as its text. At most 4096 characters.
    #[schema(value_type = Object, example = json!({"type": "shipped", "order": 42}))]
    attach: Value,
    /// The sender; left out, it is the site's system account.
    from: Option<String>,
    /// Text of the push, at most 500 characters.
    #[schema(example = "Your goods have shipped", max_length = 500)]
    push_content: Option<String>,
    /// A JSON object for the push, or its text; at most 2048 characters.
    #[schema(value_type = Option<Object>)]
    payload: Option<Value>,
    /// Name of a sound file in the app, at most 30 characters.
    #[schema(max_length = 30)]
    sound: Option<String>,
    /// 1: only to those online. 2, if left out: kept for those who are not.
    #[schema(minimum = 1, maximum = 2)]
    save: Option<u8>,
    /// How it is shown and passed on.
    option: Option<NotificationOption>,
}

/// How a notice is shown and passed on.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NotificationOption {
    /// Whether it counts in the app's badge; true if left out.
    badge: Option<bool>,
    /// Whether the push shows the sender's nickname; false if left out.
    need_push_nick: Option<bool>,
    /// Whether NetEase copies it to this service's webhook; false if left out.
    route: Option<bool>,
}

/// One recipient, or many.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a user id or a list of them")]
enum Recipients {
    One(String),
    Many(Vec<String>),
}

impl NotificationRequest {
    /// The order, within NetEase's limits.
    pub fn read(self) -> Result<Notification, Problem> {
        let option = self.option.unwrap_or_default();
        let save = self.save.unwrap_or(2);
        if !(1..=2).contains(&save) {
            let rule = "must be 1 (only to those online) or 2 (kept for those who are not)";
            return Err(Problem::invalid("save", rule));
        }
        Ok(Notification {
            to: recipients(self.to)?,
            from: self.from.map(|from| user_id("from", &from)).transpose()?,
            content: NoticeContent {
                attach: at_most("attach", MAX_ATTACH_CHARS, text_of("attach", self.attach)?)?,
                push_content: optional("pushContent", MAX_PUSH_CONTENT_CHARS, self.push_content)?,
                payload: payload(self.payload)?,
                sound: optional("sound", MAX_SOUND_CHARS, self.sound)?,
                save,
                badge: option.badge.unwrap_or(true),
                need_push_nick: option.need_push_nick.unwrap_or(false),
                route: option.route.unwrap_or(false),
            },
            key: None,
        })
    }
}

/// Each once, in the order of the request.
fn recipients(to: Recipients) -> Result<Vec<UserId>, Problem> {
    let many = match to {
        Recipients::One(one) => return Ok(vec![user_id("to", &one)?]),
        Recipients::Many(many) => many,
    };
    if !(1..=BATCH as usize).contains(&many.len()) {
        return Err(Problem::invalid("to", format!("must name 1 to {BATCH} users")));
    }
    let mut seen = HashSet::new();
    let parsed = many.iter().enumerate().map(|(at, user)| user_id(&format!("to[{at}]"), user));
    parsed.filter(|user| user.as_ref().map_or(true, |user| seen.insert(user.clone()))).collect()
}

/// Text stays as it is; an object or an array is passed on as its JSON text.
fn text_of(field: &'static str, value: Value) -> Result<String, Problem> {
    match value {
        Value::String(text) if text.is_empty() => Err(Problem::invalid(field, "must not be empty")),
        Value::String(text) => Ok(text),
        Value::Object(_) | Value::Array(_) => Ok(value.to_string()),
        _ => Err(Problem::invalid(field, "must be text or a JSON object")),
    }
}

fn payload(value: Option<Value>) -> Result<Option<String>, Problem> {
    let Some(value) = value else { return Ok(None) };
    let text = text_of("payload", value)?;
    match serde_json::from_str(&text) {
        Ok(Value::Object(_)) => at_most("payload", MAX_PAYLOAD_CHARS, text).map(Some),
        _ => Err(Problem::invalid("payload", "must be a JSON object")),
    }
}

fn optional(field: &'static str, limit: usize, text: Option<String>) -> Result<Option<String>, Problem> {
    text.map(|text| at_most(field, limit, text)).transpose()
}

fn at_most(field: &'static str, limit: usize, text: String) -> Result<String, Problem> {
    match text.chars().count() {
        count if count > limit => {
            Err(Problem::invalid(field, format!("must have at most {limit} characters; it has {count}")))
        }
        _ => Ok(text),
    }
}
