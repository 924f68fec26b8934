//! `POST /v1/notifications`

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::api::Api;
use super::problem::Problem;
use super::request::{Authenticated, read_body, read_json, user_id};
use crate::commands::send_notification::Notification;
use crate::ports::gateway::NoticeContent;

// Limits of msg/sendAttachMsg (NIM server API), in characters.
const MAX_ATTACH_CHARS: usize = 4096;
const MAX_PUSH_CONTENT_CHARS: usize = 500;
const MAX_PAYLOAD_CHARS: usize = 2048;
const MAX_SOUND_CHARS: usize = 30;
/// The scope that a token needs.
const SCOPE: &str = "notify";

/// A custom system notice. Lengths are in characters, as NetEase counts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NotificationRequest {
    /// The recipient. 1 to 128 characters.
    #[schema(example = "alice", min_length = 1, max_length = 128)]
    to: String,
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

/// A notification that was taken on.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotificationAnswer {
    /// What it goes by here.
    id: String,
    /// `sent`: NetEase has it.
    #[schema(example = "sent")]
    state: &'static str,
}

/// Send a custom system notice to a user
#[utoipa::path(post, path = "/v1/notifications", tag = "chat", request_body = NotificationRequest,
    security(("jwt" = [])),
    responses(
        (status = 202, description = "NetEase has it", body = NotificationAnswer),
        (status = 400, description = "`unreadable`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`: `scope` lacks `notify`", body = Problem),
        (status = 408, description = "`body_timeout`", body = Problem),
        (status = 409, description = "`account_taken`", body = Problem),
        (status = 413, description = "`too_large`", body = Problem),
        (status = 422, description = "`invalid`", body = Problem),
        (status = 429, description = "`netease_busy`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 502, description = "`netease_rejected`; `netease_outcome_unknown`: the user may have been notified, \
            and sending again may notify twice", body = Problem),
        (status = 503, description = "`store_unavailable`, `netease_unavailable`, `keys_unavailable`: it was not sent; \
            `overloaded`: it may still be", body = Problem)))]
pub async fn notify(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    body: Body,
) -> Result<(StatusCode, Json<NotificationAnswer>), Problem> {
    caller.must_have(SCOPE)?;
    let body = read_body(body, api.limits.body, api.limits.body_timeout).await?;
    let notification = read(read_json(&body)?)?;
    let notifier = Arc::clone(&api.notifier);
    let send = async move { Ok(notifier.send(notification).await?) };
    let id = api.detached(api.limits.netease_timeout, send).await?;
    Ok((StatusCode::ACCEPTED, Json(NotificationAnswer { id, state: "sent" })))
}

fn read(request: NotificationRequest) -> Result<Notification, Problem> {
    let option = request.option.unwrap_or_default();
    let save = request.save.unwrap_or(2);
    if !(1..=2).contains(&save) {
        return Err(Problem::invalid(
            "save",
            "must be 1 (only to those online) or 2 (kept for those who are not)",
        ));
    }
    Ok(Notification {
        to: user_id("to", &request.to)?,
        from: request.from.map(|from| user_id("from", &from)).transpose()?,
        content: NoticeContent {
            attach: at_most("attach", MAX_ATTACH_CHARS, text_of("attach", request.attach)?)?,
            push_content: optional("pushContent", MAX_PUSH_CONTENT_CHARS, request.push_content)?,
            payload: payload(request.payload)?,
            sound: optional("sound", MAX_SOUND_CHARS, request.sound)?,
            save,
            badge: option.badge.unwrap_or(true),
            need_push_nick: option.need_push_nick.unwrap_or(false),
            route: option.route.unwrap_or(false),
        },
    })
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
