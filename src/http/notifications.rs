//! `POST /v1/notifications` and `GET /v1/notifications/{id}`

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::edge::Edge;
use super::idempotency::order_key;
use super::json::read_json;
use super::notification_order::NotificationRequest;
use super::problem::{Code, Problem};
use super::request::{Authenticated, read_body};
use crate::commands::send_notification::{Notifier, OrderError};
use crate::domain::outbox;
use crate::ports::outbox::{Delivery, NotificationStatus, Notifications};

/// The scope that a token needs.
const SCOPE: &str = "notify";

/// What these calls need.
pub struct NoticeState {
    /// What all calls need.
    pub edge: Arc<Edge>,
    /// Accepts notices and sees to their delivery.
    pub notifier: Arc<Notifier>,
    /// Notices and what became of them.
    pub notifications: Arc<dyn Notifications>,
}

impl AsRef<Edge> for NoticeState {
    fn as_ref(&self) -> &Edge {
        &self.edge
    }
}

/// A notification, and how far it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationAnswer {
    /// What it goes by here.
    #[schema(format = "uuid")]
    id: String,
    /// How far it is; of a notification to many, `queued` while one is, then the worst.
    state: DeliveryState,
    /// Attempts that NetEase may have seen.
    attempts: u32,
    /// Why it is not sent, or not known to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_error: Option<String>,
    /// Each recipient, in the order of the request; left out if there is only one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    recipients: Vec<RecipientAnswer>,
}

/// How far a notification is for one of its recipients.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecipientAnswer {
    /// Who.
    to: String,
    /// How far it is.
    state: DeliveryState,
    /// Attempts that NetEase may have seen.
    attempts: u32,
    /// Why it is not sent, or not known to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_error: Option<String>,
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Durable here; NetEase gets it as soon as it can.
    Queued,
    /// NetEase has it.
    Sent,
    /// Given up.
    Failed,
    /// Sent, but NetEase did not answer: the user may have been notified.
    Unknown,
}

/// Send a custom system notice to a user, to many, or to a team
///
/// Answered once the notice is durable here. It is sent at once if NetEase is well; the answer waits a moment for that.
#[utoipa::path(post, path = "/v1/notifications", operation_id = "sendNotification", tag = "chat", security(("jwt" = [])),
    request_body(content = NotificationRequest, example = json!({"to": "alice",
        "attach": {"type": "shipped", "order": 42}, "pushContent": "Your goods have shipped"})),
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "1 to 255 visible ASCII characters. For 24 h the same key with the same body answers the same \
            notification and sends nothing twice. White space between tokens and the order of the body's fields make no \
            difference; everything else does")),
    responses(
        (status = 202, description = "It is durable here", body = NotificationAnswer,
            links(("status" = (operation_id = "getNotification", parameters(("id" = "$response.body#/id")))))),
        (status = 400, description = "`unreadable`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`: `scope` lacks `notify`", body = Problem),
        (status = 408, description = "`body_timeout`", body = Problem),
        (status = 413, description = "`too_large`", body = Problem),
        (status = 422, description = "`invalid`; also a key that came with another body", body = Problem),
        (status = 429, description = "`netease_busy`: too many notices wait already", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`store_unavailable`, `overloaded`: it may have been accepted, so repeat it with \
            its key; `keys_unavailable`", body = Problem)))]
pub async fn notify(
    State(state): State<Arc<NoticeState>>,
    caller: Authenticated,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<NotificationAnswer>), Problem> {
    caller.must_have(SCOPE)?;
    let (edge, limits) = (&state.edge, &state.edge.limits);
    let body = read_body(body, limits.body, limits.body_timeout).await?;
    let mut order = read_json::<NotificationRequest>(&body)?.read(edge)?;
    order.key = order_key(&headers, &caller, &body)?;
    let notifier = Arc::clone(&state.notifier);
    let status =
        edge.detached(limits.netease_timeout, async move { Ok(notifier.send(order).await?) }).await?;
    Ok((StatusCode::ACCEPTED, Json(status.into())))
}

/// How far a notification is
#[utoipa::path(get, path = "/v1/notifications/{id}", operation_id = "getNotification", tag = "chat", security(("jwt" = [])),
    params(("id" = String, Path, format = "uuid", description = "The `id` of its 202: a UUID",
        example = "c765e3f3-8d38-43a0-997e-236575529b18")),
    responses(
        (status = 200, description = "How far it is", body = NotificationAnswer),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`: `scope` lacks `notify`", body = Problem),
        (status = 404, description = "`not_found`: there never was one, it is forgotten, or this is no id", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`store_unavailable`, `overloaded`, `keys_unavailable`", body = Problem)))]
pub async fn status(
    State(state): State<Arc<NoticeState>>,
    caller: Authenticated,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<NotificationAnswer>, Problem> {
    caller.must_have(SCOPE)?;
    let unknown = || Problem::new(Code::NotFound, "there is no notification of this id, or it is forgotten");
    // Every id is a UUID: what is none, or no text at all, needs no store to be unknown.
    let id = path.ok().and_then(|Path(id)| Uuid::try_parse(&id).ok()).ok_or_else(unknown)?;
    let notifications = Arc::clone(&state.notifications);
    let look = async move { notifications.status(&id.to_string()).await?.ok_or_else(unknown) };
    let status = state.edge.detached(state.edge.limits.netease_timeout, look).await?;
    Ok(Json(status.into()))
}

impl From<NotificationStatus> for NotificationAnswer {
    fn from(status: NotificationStatus) -> Self {
        let state = status.state().into();
        let attempts = status.deliveries.iter().map(|delivery| delivery.attempts).max().unwrap_or_default();
        let last_error = status.deliveries.iter().find_map(|delivery| delivery.last_error.clone());
        let recipients = match status.deliveries.len() {
            1 => Vec::new(),
            _ => status.deliveries.into_iter().map(Into::into).collect(),
        };
        Self { id: status.id, state, attempts, last_error, recipients }
    }
}

impl From<Delivery> for RecipientAnswer {
    fn from(delivery: Delivery) -> Self {
        let Delivery { to, state, attempts, last_error } = delivery;
        Self { to: to.as_str().to_owned(), state: state.into(), attempts, last_error }
    }
}

impl From<outbox::State> for DeliveryState {
    fn from(state: outbox::State) -> Self {
        match state {
            outbox::State::Queued => Self::Queued,
            outbox::State::Sent => Self::Sent,
            outbox::State::Failed => Self::Failed,
            outbox::State::Unknown => Self::Unknown,
        }
    }
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Full(_) => Self::new(Code::NeteaseBusy, format!("{error}; try again later")),
            OrderError::KeyTaken => {
                Self::invalid(super::idempotency::HEADER, "was used for another request; take a fresh one")
            }
            OrderError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_have_the_words_of_the_answers() {
        use outbox::State::{Failed, Queued, Sent, Unknown};
        for state in [Queued, Sent, Failed, Unknown] {
            let word = serde_json::to_value(DeliveryState::from(state)).unwrap();
            assert_eq!(word, state.to_string());
        }
    }
}
