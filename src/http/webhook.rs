//! `POST /receiveMsg.action`: NetEase's signed message copies (消息抄送).
//!
//! NetEase takes 200 **and 500** for "delivered" and sends again on anything else, so what is not durable yet is
//! answered 503, and nothing here ever answers 500.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::edge::Edge;
use super::metrics::Metrics;
use super::problem::{Code, Problem};
use super::request::read_body;
use super::schemas::MessageCopy;
use crate::commands::copy_flow::CopyFlow;
use crate::commands::receive_copy::{CopyReceiver, Outcome, Received};
use crate::domain::ids::Millis;
use crate::domain::signature::{SignatureError, Signed, SignedHeaders};
use crate::log_gate::LogGate;
use crate::ports::clock::Clock;

/// Between two machines that keep time, with room for a copy's way.
const CLOCKS_MAY_DIFFER_MS: i64 = 30_000;

/// What this call needs.
pub struct WebhookState {
    /// What all calls need.
    pub edge: Arc<Edge>,
    /// Takes in message copies.
    pub receiver: Arc<CopyReceiver>,
    /// NetEase's present app secret and those it had before.
    pub app_secrets: Vec<SecretString>,
    /// Copies signed longer ago, or further ahead, than this are refused; `None` takes any.
    pub max_age: Option<Duration>,
    /// One permit per copy under way.
    pub slots: Arc<Semaphore>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Counts copies.
    pub metrics: Arc<Metrics>,
    /// Notes when copies come, and when they cannot be taken.
    pub flow: Arc<CopyFlow>,
}

/// What NetEase gets when a copy is durable. It reads the status alone.
#[derive(Debug, Serialize, ToSchema)]
pub struct Acknowledged {
    /// Always 200.
    #[schema(example = 200)]
    code: u16,
}

/// For NetEase alone: take in a message copy
///
/// NetEase posts to this address what happens in chats, each copy signed with the app secret. Clients have no use for it.
#[utoipa::path(post, path = "/receiveMsg.action", operation_id = "receiveCopy", tag = "netease",
    request_body(content = inline(MessageCopy), description = "A message copy, signed over its raw bytes"),
    params(
        ("CurTime" = String, Header, pattern = "^[0-9]+$", description = "When it was signed, in milliseconds"),
        ("MD5" = String, Header, pattern = "^[0-9a-fA-F]{32}$", description = "Hex MD5 of the body"),
        ("CheckSum" = String, Header, pattern = "^[0-9a-f]{40}$", description = "Lower-hex SHA1(appSecret + md5 + curTime)")),
    responses(
        (status = 200, description = "Durable", body = Acknowledged),
        (status = 400, description = "`unreadable`: the body broke off", body = Problem),
        (status = 401, description = "`bad_signature`", body = Problem),
        (status = 408, description = "`body_timeout`", body = Problem),
        (status = 413, description = "`too_large`", body = Problem),
        (status = 422, description = "`invalid`: a third-party callback, not a copy", body = Problem),
        (status = 503, description = "`store_unavailable`, `overloaded`: send it again", body = Problem)))]
pub async fn receive(
    State(state): State<Arc<WebhookState>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Acknowledged>, Problem> {
    let taken = take(&state, &headers, body).await;
    match &taken {
        Ok(_) => state.flow.taken(state.clock.now()),
        Err(problem) if matches!(problem.code(), Code::StoreUnavailable | Code::Overloaded) => {
            state.flow.refused(state.clock.now());
        }
        Err(_) => {}
    }
    taken
}

async fn take(state: &WebhookState, headers: &HeaderMap, body: Body) -> Result<Json<Acknowledged>, Problem> {
    let limits = &state.edge.limits;
    let deadline = Instant::now() + limits.webhook_timeout;
    let signed = verify(state, headers).map_err(|error| refused(state, error))?;
    // After the signature, so that strangers cannot take NetEase's places; before the body, so that places bound memory.
    let slot = Arc::clone(&state.slots)
        .try_acquire_owned()
        .map_err(|_| Problem::new(Code::Overloaded, "too many copies are under way; send it again"))?;
    let body = read_body(body, limits.webhook_body, limits.webhook_timeout).await?;
    signed.covers(&body).map_err(|error| refused(state, error))?;
    // A header `type` marks a real-time-call copy, whose event types mean other things.
    if headers.contains_key("type") {
        state.metrics.count_copy(&Received { event_type: "real_time_call", outcome: Outcome::Acknowledged });
        return Ok(Json(Acknowledged { code: 200 }));
    }
    let (receiver, metrics) = (Arc::clone(&state.receiver), Arc::clone(&state.metrics));
    // Counted within, so that a copy counts whose sender waited no longer.
    let work = async move {
        let _slot = slot;
        let received = receiver.receive(&body, signed.at).await?;
        metrics.count_copy(&received);
        Ok(received)
    };
    let left = deadline.saturating_duration_since(Instant::now());
    let received = state.edge.detached(left, work).await.map_err(never_500)?;
    accept(&received)
}

fn accept(received: &Received) -> Result<Json<Acknowledged>, Problem> {
    match received.outcome {
        Outcome::Callback => Err(Problem::new(
            Code::Invalid,
            "this is a third-party callback; this service takes message copies only: correct the address at NetEase",
        )),
        _ => Ok(Json(Acknowledged { code: 200 })),
    }
}

fn refused(state: &WebhookState, error: SignatureError) -> Problem {
    static REFUSED: LogGate = LogGate::new();
    state.metrics.count_bad_signature();
    if let Some(count) = REFUSED.pass() {
        tracing::warn!(count, %error, "a webhook call was not NetEase's");
    }
    Problem::new(Code::BadSignature, error.to_string())
}

fn verify(state: &WebhookState, headers: &HeaderMap) -> Result<Signed, SignatureError> {
    let one = |name: &'static str| {
        let mut values = headers.get_all(name).iter();
        match (values.next().map(|value| value.to_str()), values.next()) {
            (Some(Ok(value)), None) => Ok(value),
            _ => Err(SignatureError::Header(name)),
        }
    };
    let headers = SignedHeaders { cur_time: one("CurTime")?, md5: one("MD5")?, check_sum: one("CheckSum")? };
    let signed = headers.verify(state.app_secrets.iter().map(ExposeSecret::expose_secret))?;
    let now = state.clock.now();
    tell_if_behind(now, signed.at);
    match state.max_age {
        Some(age) if u128::from(now.0.abs_diff(signed.at.0)) > age.as_millis() => Err(SignatureError::Age),
        _ => Ok(signed),
    }
}

/// A copy that was signed long ago may be a repeated one; none is signed in the future.
fn tell_if_behind(now: Millis, signed_at: Millis) {
    static BEHIND: LogGate = LogGate::new();
    let behind_ms = signed_at.0.saturating_sub(now.0);
    if behind_ms > CLOCKS_MAY_DIFFER_MS
        && let Some(count) = BEHIND.pass()
    {
        tracing::warn!(count, seconds = behind_ms / 1000, "the clock of this machine is behind NetEase's");
    }
}

/// What is our fault is "send it again" to NetEase.
pub fn never_500(problem: Problem) -> Problem {
    match problem.code() {
        Code::Internal => Problem::new(Code::Overloaded, "the copy could not be taken in; send it again"),
        _ => problem,
    }
}
