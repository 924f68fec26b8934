//! `POST /v1/unread` and `GET /v1/unread`: the order page's poll.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::api::{Api, too_slow};
use super::problem::{Code, Problem};
use super::request::{Authenticated, read_body, read_json};
use crate::domain::ids::{Accid, UserId};

/// Whose unread messages, and from whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnreadRequest<'a> {
    /// The reader; the token's `sub`. 1 to 128 characters.
    #[serde(borrow, rename = "self")]
    #[schema(value_type = String, example = "alice", min_length = 1, max_length = 128)]
    reader: Cow<'a, str>,
    /// The users on the page. 1 to 500 of them; one that is named twice is answered once.
    #[serde(borrow)]
    #[schema(value_type = Vec<String>, example = json!(["bob", "carol"]), min_items = 1, max_items = 500)]
    users: Vec<Cow<'a, str>>,
}

/// How many messages from each user the reader has not read
#[utoipa::path(post, path = "/v1/unread", tag = "chat", request_body = UnreadRequest, security(("jwt" = [])),
    responses(
        (status = 200, description = "Every user asked for, once, with the number of unread messages",
            body = std::collections::BTreeMap<String, u64>, example = json!({"bob": 3, "carol": 0})),
        (status = 400, description = "`unreadable`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`: `sub` is not `self`", body = Problem),
        (status = 408, description = "`body_timeout`", body = Problem),
        (status = 413, description = "`too_large`", body = Problem),
        (status = 422, description = "`invalid`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`store_unavailable`, `overloaded`, `keys_unavailable`", body = Problem)))]
pub async fn post_unread(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    body: Body,
) -> Result<Response, Problem> {
    let body = read_body(body, api.limits.body, api.limits.body_timeout).await?;
    let request: UnreadRequest<'_> = read_json(&body)?;
    let map = answer(&api, &caller, &request).await?;
    let json = HeaderValue::from_static("application/json");
    let private = HeaderValue::from_static("no-store");
    Ok(([(header::CONTENT_TYPE, json), (header::CACHE_CONTROL, private)], map).into_response())
}

/// The same as a GET, for conditional requests
#[utoipa::path(get, path = "/v1/unread", tag = "chat", security(("jwt" = [])),
    params(
        ("self" = String, Query, description = "The reader, percent-encoded", example = "alice"),
        ("users" = String, Query, description = "1 to 500 users, each percent-encoded, joined by commas",
            example = "bob,carol"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the last answer")),
    responses(
        (status = 200, description = "Every user asked for, once, with the number of unread messages; with `ETag`",
            body = std::collections::BTreeMap<String, u64>, example = json!({"bob": 3, "carol": 0})),
        (status = 304, description = "Nothing has changed since the answer with that `ETag`"),
        (status = 400, description = "`unreadable`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`: `sub` is not `self`", body = Problem),
        (status = 422, description = "`invalid`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`store_unavailable`, `overloaded`, `keys_unavailable`", body = Problem)))]
pub async fn get_unread(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    let request = read_query(&query)?;
    let map = answer(&api, &caller, &request).await?;
    let etag = etag(&map);
    // The answer is one person's; a browser may keep it, if it asks each time whether it still holds.
    let mut response = if none_match(&headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], map).into_response()
    };
    let answered = response.headers_mut();
    answered.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    answered.insert(header::VARY, HeaderValue::from_static("Authorization"));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        answered.insert(header::ETAG, etag);
    }
    Ok(response)
}

/// Reads `self=alice&users=bob,carol`: commas part the ids, so one inside an id is percent-encoded.
fn read_query(query: &str) -> Result<UnreadRequest<'_>, Problem> {
    let decode = |field: &str, text| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded.map_err(|_| Problem::new(Code::Unreadable, format!("`{field}` is not percent-encoded UTF-8")))
    };
    let (mut reader, mut users) = (None, None);
    for (name, value) in query.split('&').filter_map(|part| part.split_once('=')) {
        let repeated = match name {
            "self" => reader.replace(decode("self", value)?).is_some(),
            "users" => users.replace(value).is_some(),
            _ => {
                return Err(Problem::invalid(
                    name,
                    "is not a parameter of this call: it takes `self` and `users`",
                ));
            }
        };
        if repeated {
            return Err(Problem::invalid(name, "must be there once"));
        }
    }
    let reader = reader.ok_or_else(|| Problem::invalid("self", "is missing: write self=alice"))?;
    let users = users.ok_or_else(|| Problem::invalid("users", "is missing: write users=bob,carol"))?;
    let users = users.split(',').filter(|user| !user.is_empty()).map(|user| decode("users", user));
    Ok(UnreadRequest { reader, users: users.collect::<Result<_, _>>()? })
}

/// The JSON map: every user as the caller wrote it, in the order asked, once.
async fn answer(api: &Api, caller: &Authenticated, request: &UnreadRequest<'_>) -> Result<Vec<u8>, Problem> {
    check(api, request)?;
    caller.must_be("self", &request.reader)?;
    let mut seen = HashSet::with_capacity(request.users.len());
    let users: Vec<&str> =
        request.users.iter().map(|user| &**user).filter(|user| seen.insert(*user)).collect();
    let reader = Accid::of_user(&request.reader);
    let peers: Vec<Accid> = users.iter().map(|user| Accid::of_user(user)).collect();
    let counts = tokio::time::timeout(api.limits.poll_timeout, api.counts.of(&reader, &peers));
    let counts = counts.await.map_err(|_| too_slow())??;
    let mut map = Vec::with_capacity(users.len() * 24 + 2);
    for ((user, peer), count) in users.iter().zip(&peers).zip(counts) {
        map.push(if map.is_empty() { b'{' } else { b',' });
        // Nobody has messages to oneself; and writing to memory cannot fail.
        let count = if *peer == reader { 0 } else { count };
        let written = serde_json::to_writer(&mut map, user);
        map.push(b':');
        written
            .and_then(|()| serde_json::to_writer(&mut map, &count))
            .map_err(|e| Problem::new(Code::Internal, format!("the answer could not be written: {e}")))?;
    }
    map.push(b'}');
    Ok(map)
}

fn check(api: &Api, request: &UnreadRequest<'_>) -> Result<(), Problem> {
    UserId::check(&request.reader).map_err(|rule| Problem::invalid("self", rule))?;
    let limit = api.limits.poll_users;
    match request.users.len() {
        0 => Err(Problem::invalid("users", "must name at least one user")),
        count if count > limit => {
            Err(Problem::invalid("users", format!("must name at most {limit} users; there are {count}")))
        }
        _ => request.users.iter().enumerate().try_for_each(|(at, user)| {
            UserId::check(user).map_err(|rule| Problem::invalid(format!("users[{at}]"), rule))
        }),
    }
}

/// A strong validator: the answer's own hash.
fn etag(map: &[u8]) -> String {
    format!("\"{}\"", hex::encode(&Sha256::digest(map)[..16]))
}

fn none_match(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
    })
}
