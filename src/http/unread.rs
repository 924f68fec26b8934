//! `POST /v1/unread` and `GET /v1/unread`: the order page's poll. `GET /v1/unread/total`: all that is unread.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::edge::Edge;
use super::json::read_json;
use super::problem::Problem;
use super::request::{Authenticated, read_body};
use super::schemas::{UnreadMap, UserId, Users};
use super::unread_query::{Call, UnreadQuery, UnreadRequest, UnreadTotal, read_query, total_json, validator};
use crate::queries::unread_counts::UnreadCounts;

/// What these calls need.
pub struct PollState {
    /// What all calls need.
    pub edge: Arc<Edge>,
    /// Answers polls.
    pub counts: Arc<UnreadCounts>,
}

impl AsRef<Edge> for PollState {
    fn as_ref(&self) -> &Edge {
        &self.edge
    }
}

/// How many messages from each user the reader has not read
#[utoipa::path(post, path = "/v1/unread", operation_id = "postUnread", tag = "chat", security(("jwt" = [])),
    request_body(content = UnreadRequest, example = json!({"self": "alice", "users": ["bob", "carol"]})),
    responses(
        (status = 200, description = "Every user asked for, once, with the number of unread messages",
            body = UnreadMap),
        (status = 400, description = "`unreadable`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`: `sub` is not `self`", body = Problem),
        (status = 408, description = "`body_timeout`", body = Problem),
        (status = 413, description = "`too_large`", body = Problem),
        (status = 422, description = "`invalid`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`store_unavailable`, `overloaded`, `keys_unavailable`", body = Problem)))]
pub async fn post_unread(
    State(state): State<Arc<PollState>>,
    caller: Authenticated,
    body: Body,
) -> Result<Response, Problem> {
    let body = read_body(body, state.edge.limits.body, state.edge.limits.body_timeout).await?;
    let request: UnreadRequest<'_> = read_json(&body)?;
    let question = UnreadQuery::of(request, &state.edge, &caller)?;
    let map = question.map(&question.counts(&state.counts, state.edge.limits.poll_timeout).await?)?;
    let json = HeaderValue::from_static("application/json");
    let private = HeaderValue::from_static("no-store");
    Ok(([(header::CONTENT_TYPE, json), (header::CACHE_CONTROL, private)], map).into_response())
}

/// The same as a GET, for conditional requests
#[utoipa::path(get, path = "/v1/unread", operation_id = "getUnread", tag = "chat", security(("jwt" = [])),
    params(
        ("self" = UserId, Query, description = "The reader", example = "alice"),
        ("users" = inline(Users), Query, style = Form, explode,
            description = "Repeated, each value is one id; in one parameter, commas part the ids, encoded or not",
            example = json!(["bob", "carol"])),
        ("If-None-Match" = Option<String>, Header, nullable = false, description = "The `ETag` of the last answer")),
    responses(
        (status = 200, description = "Every user asked for, once, with the number of unread messages",
            body = UnreadMap, headers(("ETag" = String, description = "For `If-None-Match`"))),
        (status = 304, description = "Nothing has changed since the answer with that `ETag`",
            headers(("ETag" = String, description = "The same"))),
        (status = 400, description = "`unreadable`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`: `sub` is not `self`", body = Problem),
        (status = 414, description = "The URL has more than 64,000 bytes; without a body"),
        (status = 431, description = "URL and headers have more than 64,000 bytes; without a body"),
        (status = 422, description = "`invalid`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`store_unavailable`, `overloaded`, `keys_unavailable`", body = Problem)))]
pub async fn get_unread(
    State(state): State<Arc<PollState>>,
    caller: Authenticated,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    let question = UnreadQuery::of(read_query(Call::Poll, &query)?, &state.edge, &caller)?;
    let counts = question.counts(&state.counts, state.edge.limits.poll_timeout).await?;
    conditional(&headers, &validator(&counts), || question.map(&counts))
}

/// All unread messages of the reader, and from how many people they are
///
/// It asks about nobody in particular: whoever has written counts.
#[utoipa::path(get, path = "/v1/unread/total", operation_id = "getUnreadTotal", tag = "chat", security(("jwt" = [])),
    params(
        ("self" = UserId, Query, description = "The reader", example = "alice"),
        ("If-None-Match" = Option<String>, Header, nullable = false, description = "The `ETag` of the last answer")),
    responses(
        (status = 200, description = "The total", body = UnreadTotal,
            headers(("ETag" = String, description = "For `If-None-Match`"))),
        (status = 304, description = "Nothing has changed since the answer with that `ETag`",
            headers(("ETag" = String, description = "The same"))),
        (status = 400, description = "`unreadable`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`: `sub` is not `self`", body = Problem),
        (status = 414, description = "The URL has more than 64,000 bytes; without a body"),
        (status = 431, description = "URL and headers have more than 64,000 bytes; without a body"),
        (status = 422, description = "`invalid`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`store_unavailable`, `overloaded`, `keys_unavailable`", body = Problem)))]
pub async fn get_total(
    State(state): State<Arc<PollState>>,
    caller: Authenticated,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    let question = UnreadQuery::of(read_query(Call::Total, &query)?, &state.edge, &caller)?;
    let total = question.all(&state.counts, state.edge.limits.poll_timeout).await?;
    let (json, validator) = total_json(total)?;
    conditional(&headers, &validator, || Ok(json))
}

/// 200 with the JSON, or 304 to whoever has it.
fn conditional(
    headers: &HeaderMap,
    validator: &str,
    json: impl FnOnce() -> Result<Vec<u8>, Problem>,
) -> Result<Response, Problem> {
    let etag = format!("\"{validator}\"");
    // The answer is one person's; a browser may keep it, if it asks each time whether it still holds.
    let mut response = if none_match(headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let of_json = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, of_json)], json()?).into_response()
    };
    let answered = response.headers_mut();
    answered.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    answered.insert(header::VARY, HeaderValue::from_static("Authorization"));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        answered.insert(header::ETAG, etag);
    }
    Ok(response)
}

fn none_match(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
    })
}
