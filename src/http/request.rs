//! Reading a request: its body within bounds of size and time, and who sent it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequestParts, Request};
use axum::http::Version;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;
use http_body_util::BodyExt;

use super::edge::Edge;
use super::problem::{Code, Problem};
use crate::domain::ids::LetterCase;
use crate::ports::authenticator::Caller;

/// The scope that asks for anybody's counts.
const UNREAD: &str = "unread";

/// Refuses a request of HTTP/1.1 without a `Host`, or with two: whoever stands in front may have read another one.
pub fn one_host(request: &Request) -> Result<(), Problem> {
    match request.headers().get_all(HOST).iter().count() {
        0 if request.version() == Version::HTTP_11 => {
            Err(Problem::new(Code::Unreadable, "the request has no Host header; HTTP/1.1 wants one"))
        }
        0 | 1 => Ok(()),
        _ => Err(Problem::new(Code::Unreadable, "the request has more than one Host header")),
    }
}

/// A body gets as much room as it says, up to this; then twice what it has filled, never more than the limit.
const FIRST_ROOM: usize = 16 * 1024;

/// Reads a body of at most `limit` bytes that arrives within `patience`. Whoever calls has made sure before that the
/// sender may cost that much.
pub async fn read_body(body: Body, limit: usize, patience: Duration) -> Result<Vec<u8>, Problem> {
    let read = tokio::time::timeout(patience, gather(body, limit)).await;
    read.unwrap_or_else(|_| Err(Problem::new(Code::BodyTimeout, "the body did not arrive in time")))
}

/// Into one buffer: to keep the pieces would cost many times their size if they are small.
async fn gather(mut body: Body, limit: usize) -> Result<Vec<u8>, Problem> {
    let too_large = || Problem::new(Code::TooLarge, format!("the body must have at most {limit} bytes"));
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_large());
    }
    let mut all = Vec::with_capacity(announced.min(FIRST_ROOM));
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|e| Problem::new(Code::Unreadable, format!("the body could not be read: {e}")))?;
        // Anything else is trailers, which say nothing here.
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > limit - all.len() {
            return Err(too_large());
        }
        if data.len() > all.capacity() - all.len() {
            all.reserve_exact(data.len().max(all.len()).min(limit - all.len()));
        }
        all.extend_from_slice(&data);
    }
    Ok(all)
}

/// The authenticated caller; `sub` is case-folded where ids ignore letter case. A handler takes it before the body, so
/// no byte of a stranger's body is read.
pub struct Authenticated(pub Caller);

impl<S: AsRef<Edge> + Send + Sync> FromRequestParts<Arc<S>> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<S>) -> Result<Self, Problem> {
        let edge = (**state).as_ref();
        // Bytes that are not text are no token; an empty one says so without quoting them.
        let value = parts.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
        let mut caller = edge.authenticator.authenticate(value).await?;
        if let Caller::Token { subject, .. } = &mut caller {
            edge.case.fold(subject);
        }
        Ok(Self(caller))
    }
}

impl Authenticated {
    /// Refuses a caller who speaks for someone else than `user`, who is named by `field`.
    pub fn must_be(&self, case: LetterCase, field: &str, user: &str) -> Result<(), Problem> {
        match self.0.is(user, case) {
            true => Ok(()),
            false => Err(Problem::new(
                Code::Forbidden,
                format!("the token's `sub` is not the request's `{field}`"),
            )),
        }
    }

    /// Refuses a caller who may not ask for the counts of `user`: somebody else without the scope `unread`, which is for a
    /// site's own servers.
    pub fn may_read(&self, case: LetterCase, user: &str) -> Result<(), Problem> {
        if self.0.may(UNREAD) {
            return Ok(());
        }
        self.must_be(case, "self", user)
    }

    /// Refuses a caller without `scope`.
    pub fn must_have(&self, scope: &str) -> Result<(), Problem> {
        match self.0.may(scope) {
            true => Ok(()),
            false => Err(Problem::new(Code::Forbidden, format!("the token's `scope` lacks `{scope}`"))),
        }
    }
}
