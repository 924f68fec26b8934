//! `POST /v1/read`: the site has shown a chat by itself, and its user has read it.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::edge::Edge;
use super::json::read_json;
use super::problem::Problem;
use super::request::{Authenticated, read_body};
use super::schemas::UserId;
use crate::commands::mark_read::{ReadMark, ReadMarker};
use crate::domain::ids::Millis;
use crate::queries::unread_counts::UnreadCounts;

/// What this call needs.
pub struct ReadState {
    /// What all calls need.
    pub edge: Arc<Edge>,
    /// Makes read marks.
    pub marker: Arc<ReadMarker>,
    /// Counts what is left.
    pub counts: Arc<UnreadCounts>,
}

impl AsRef<Edge> for ReadState {
    fn as_ref(&self) -> &Edge {
        &self.edge
    }
}

/// 2^63: the first number of milliseconds that is too many.
const BEYOND: f64 = 9_223_372_036_854_775_808.0;

/// Who has read what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadRequest<'a> {
    /// The reader; the token's `sub`.
    #[serde(borrow, rename = "self")]
    #[schema(value_type = UserId)]
    reader: Cow<'a, str>,
    /// Whose messages are read.
    #[serde(borrow)]
    #[schema(value_type = UserId)]
    peer: Cow<'a, str>,
    /// The time of the newest message that is read (`msgTimestamp`), in milliseconds since 1970; it covers all before it.
    /// Left out: all that this service has from the peer.
    #[schema(value_type = Option<u64>, minimum = 0, example = 1_760_000_000_000_u64)]
    #[serde(borrow)]
    up_to: Option<&'a RawValue>,
}

/// What is left.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"unread": 0}))]
pub struct ReadAnswer {
    /// Messages from the peer that the reader has not read, as a poll answers it.
    unread: u64,
}

/// Mark what a user wrote as read
///
/// It does what a read receipt from NetEase does, for pages that show a chat without NetEase's client. A mark is only
/// ever raised; repeating the call changes nothing.
#[utoipa::path(post, path = "/v1/read", operation_id = "markRead", tag = "chat", security(("jwt" = [])),
    request_body(content = ReadRequest, example = json!({"self": "alice", "peer": "bob"})),
    responses(
        (status = 200, description = "It is read; durable", body = ReadAnswer),
        (status = 400, description = "`unreadable`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`: `sub` is not `self`", body = Problem),
        (status = 408, description = "`body_timeout`", body = Problem),
        (status = 413, description = "`too_large`", body = Problem),
        (status = 422, description = "`invalid`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`store_unavailable`, `overloaded`, `keys_unavailable`; it may be done, and can be \
            repeated", body = Problem)))]
pub async fn mark_read(
    State(state): State<Arc<ReadState>>,
    caller: Authenticated,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let (edge, limits) = (&state.edge, &state.edge.limits);
    let body = read_body(body, limits.body, limits.body_timeout).await?;
    let ReadRequest { reader, peer, up_to } = read_json(&body)?;
    let mark = ReadMark {
        reader: edge.user_id("self", &reader)?,
        peer: edge.user_id("peer", &peer)?,
        up_to: up_to.map(time).transpose()?,
    };
    caller.may_read(edge.case, &reader)?;
    let (marker, counts) = (Arc::clone(&state.marker), Arc::clone(&state.counts));
    let unread = edge.detached(limits.poll_timeout, async move {
        let (reader, peer) = (mark.reader.accid().clone(), mark.peer.accid().clone());
        marker.mark(mark).await?;
        // As a poll has it: nobody has messages to oneself.
        if reader == peer {
            return Ok(0);
        }
        Ok(counts.of(&reader, &[peer]).await?.first().copied().unwrap_or(0))
    });
    let private = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((private, Json(ReadAnswer { unread: unread.await? })))
}

/// JSON knows one kind of number: 1.0 is 1.
fn time(json: &RawValue) -> Result<Millis, Problem> {
    match (json.get().parse::<i64>(), json.get().parse::<f64>()) {
        (Ok(ms), _) if ms >= 0 => Ok(Millis(ms)),
        #[expect(clippy::cast_possible_truncation, reason = "it is whole, and within bounds")]
        (Err(_), Ok(ms)) if (0.0..BEYOND).contains(&ms) && ms.fract() == 0.0 => Ok(Millis(ms as i64)),
        _ => Err(Problem::invalid(
            "upTo",
            "must be milliseconds since 1970: a whole number from 0 to 2^63 - 1",
        )),
    }
}
