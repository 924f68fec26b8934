//! What `POST /v1/notifications` takes.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::edge::Edge;
use super::json::{half_an_escape, optional_object};
use super::problem::Problem;
use super::schemas::{self, MAX_PAYLOAD_CHARS};
use crate::commands::send_notification::{Notification, Recipients};
use crate::domain::ids::UserId;
use crate::domain::outbox::MAX_ATTACH_CHARS;
use crate::ports::gateway::NoticeContent;
use crate::ports::outbox::BATCH;

// Limits of msg/sendAttachMsg (NIM server API), in characters.
const MAX_PUSH_CONTENT_CHARS: usize = 500;
const MAX_SOUND_CHARS: usize = 30;
/// NetEase gives ids of some ten digits.
const MAX_TEAM_DIGITS: usize = 20;

/// A custom system notice. Lengths are in characters, as NetEase counts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NotificationRequest {
    #[serde(default, deserialize_with = "users")]
    #[schema(schema_with = schemas::to, required = false)]
    to: Option<Users>,
    /// In place of `to`: a team, by its id at NetEase, which is digits. It gets one notice, for all its members.
    #[schema(pattern = "^[0-9]{1,20}$", example = "6812345678")]
    team: Option<String>,
    #[schema(schema_with = schemas::attach)]
    attach: Box<RawValue>,
    /// The sender; left out, it is the site's system account.
    #[schema(value_type = Option<schemas::UserId>)]
    from: Option<String>,
    /// Text of the push, at most 500 characters.
    #[schema(max_length = 500)]
    push_content: Option<String>,
    #[schema(schema_with = schemas::payload, required = false)]
    payload: Option<Box<RawValue>>,
    /// Name of a sound file in the app, at most 30 characters.
    #[schema(max_length = 30)]
    sound: Option<String>,
    /// 1: only to those online. 2, if left out: kept for those who are not.
    #[schema(value_type = Option<u8>, minimum = 1, maximum = 2)]
    save: Option<Box<RawValue>>,
    /// How it is shown and passed on.
    #[serde(default, deserialize_with = "optional_object")]
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
#[derive(Debug)]
enum Users {
    One(String),
    Many(Vec<String>),
}

/// A field that may be left out, but is not `null`.
fn users<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Users>, D::Error> {
    Users::deserialize(deserializer).map(Some)
}

impl<'de> Deserialize<'de> for Users {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Users;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a user id or a list of them")
            }

            fn visit_str<E>(self, one: &str) -> Result<Users, E> {
                Ok(Users::One(one.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, many: A) -> Result<Users, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(many)).map(Users::Many)
            }
        }

        deserializer.deserialize_any(OneOrMany)
    }
}

impl NotificationRequest {
    /// The order, within NetEase's limits.
    pub fn read(self, edge: &Edge) -> Result<Notification, Problem> {
        let option = self.option.unwrap_or_default();
        // JSON knows one kind of number: 1.0 is 1.
        let save = match self.save.as_deref().map(|save| save.get().parse::<f64>()) {
            Some(Ok(1.0)) => 1,
            None | Some(Ok(2.0)) => 2,
            Some(_) => {
                let rule = "must be 1 (only to those online) or 2 (kept for those who are not)";
                return Err(Problem::invalid("save", rule));
            }
        };
        Ok(Notification {
            to: recipients(edge, self.to, self.team)?,
            from: self.from.map(|from| edge.user_id("from", &from)).transpose()?,
            content: NoticeContent {
                attach: at_most("attach", MAX_ATTACH_CHARS, text_of("attach", &self.attach)?)?,
                push_content: optional("pushContent", MAX_PUSH_CONTENT_CHARS, self.push_content)?,
                payload: payload(self.payload.as_deref())?,
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

fn recipients(edge: &Edge, to: Option<Users>, team: Option<String>) -> Result<Recipients, Problem> {
    match (to, team) {
        (Some(to), None) => users_of(edge, to).map(Recipients::Users),
        (None, Some(id)) => {
            if !(1..=MAX_TEAM_DIGITS).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_digit()) {
                let rule =
                    format!("must be the team's id at NetEase: 1 to {MAX_TEAM_DIGITS} digits, as text");
                return Err(Problem::invalid("team", rule));
            }
            edge.user_id("team", &id).map(Recipients::Team)
        }
        (Some(_), Some(_)) => {
            Err(Problem::invalid("team", "must not stand beside `to`: leave one of the two out"))
        }
        (None, None) => {
            Err(Problem::invalid("to", "is missing, and `team` too: one of the two says who gets it"))
        }
    }
}

/// Each once, in the order of the request.
fn users_of(edge: &Edge, to: Users) -> Result<Vec<UserId>, Problem> {
    let many = match to {
        Users::One(one) => return Ok(vec![edge.user_id("to", &one)?]),
        Users::Many(many) => many,
    };
    if !(1..=BATCH as usize).contains(&many.len()) {
        return Err(Problem::invalid("to", format!("must name 1 to {BATCH} users")));
    }
    let mut seen = HashSet::new();
    let parsed = many.iter().enumerate().map(|(at, user)| edge.user_id(&format!("to[{at}]"), user));
    parsed.filter(|user| user.as_ref().map_or(true, |user| seen.insert(user.clone()))).collect()
}

/// What a text says; an object or an array as it was written, to the last blank between its tokens.
fn text_of(field: &'static str, json: &RawValue) -> Result<String, Problem> {
    let written = json.get();
    match written.as_bytes().first() {
        Some(b'{' | b'[') => Ok(written.to_owned()),
        Some(b'"') => match serde_json::from_str::<String>(written) {
            Ok(text) if text.is_empty() => Err(Problem::invalid(field, "must not be empty")),
            Ok(text) => Ok(text),
            Err(_) => Err(half_an_escape(field)),
        },
        _ => Err(Problem::invalid(field, "must be text or a JSON object")),
    }
}

fn payload(json: Option<&RawValue>) -> Result<Option<String>, Problem> {
    let Some(json) = json else { return Ok(None) };
    let text = text_of("payload", json)?;
    match serde_json::from_str::<&RawValue>(&text) {
        Ok(json) if json.get().starts_with('{') => at_most("payload", MAX_PAYLOAD_CHARS, text).map(Some),
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
