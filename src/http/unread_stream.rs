//! `GET /v1/unread/stream`: the order page is told of what changes, by server-sent events.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::connection::HangUp;
use super::edge::Edge;
use super::problem::{Code, Problem};
use super::request::Authenticated;
use super::schemas::{UserId, Users};
use super::shared_looks::{Joined, SharedLooks};
use super::streams::StreamLimiter;
use super::unread_query::{UnreadQuery, read_query, validator};
use crate::log_gate::LogGates;
use crate::ports::clock::Clock;
use crate::queries::unread_counts::UnreadCounts;

/// What this call needs.
pub struct StreamState {
    /// What all calls need.
    pub edge: Arc<Edge>,
    /// Answers the first look.
    pub counts: Arc<UnreadCounts>,
    /// Tells of what changes.
    pub looks: Arc<SharedLooks>,
    /// Streams that are open.
    pub streams: Arc<StreamLimiter>,
    /// Cancelled when the service stops: streams end then, or nothing else would.
    pub winding_down: CancellationToken,
    /// The present.
    pub clock: Arc<dyn Clock>,
}

impl AsRef<Edge> for StreamState {
    fn as_ref(&self) -> &Edge {
        &self.edge
    }
}

/// A comment is sent when nothing else was for so long, so that all on the way see that the stream lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A reader that takes no event for so long is dropped; it will come back.
const SLOWEST: Duration = Duration::from_secs(10);

/// Unread counts as a stream: first the whole map, then what changes
///
/// This answer does not end, so a generated client waits for it for ever, and so does "Try it out": read it with
/// `clients/js`, or with any reader of server-sent events that sends an `Authorization` header.
///
/// Each event's `data` is a JSON map. An event's `id` is a hash of all counts; the first event after a reconnect is the
/// whole map again, whatever the `Last-Event-ID`, so nothing is missed. The stream ends when the token expires, when the
/// service stops, or when counts could not be had for five seconds: connect again.
#[utoipa::path(get, path = "/v1/unread/stream", operation_id = "streamUnread", tag = "chat", security(("jwt" = [])),
    params(
        ("self" = UserId, Query, description = "The reader", example = "alice"),
        ("users" = inline(Users), Query, style = Form, explode,
            description = "Repeated, each value is one id; in one parameter, commas part the ids, encoded or not",
            example = json!(["bob", "carol"])),
        ("Last-Event-ID" = Option<String>, Header, nullable = false, description = "Taken, and not needed")),
    responses(
        (status = 200, description = "Server-sent events. An event's `data` is a bare JSON map, not a quoted string",
            content_type = "text/event-stream", body = String,
            example = "id: 5f0c…\ndata: {\"bob\":3,\"carol\":0}\n\n"),
        (status = 400, description = "`unreadable`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`: `sub` is not `self`", body = Problem),
        (status = 414, description = "The URL has more than 64,000 bytes; without a body"),
        (status = 431, description = "URL and headers have more than 64,000 bytes; without a body"),
        (status = 422, description = "`invalid`", body = Problem),
        (status = 429, description = "`too_many_streams`: this reader has as many as one may have", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`store_unavailable`, `overloaded`, `keys_unavailable`", body = Problem)))]
pub async fn stream_unread(
    State(state): State<Arc<StreamState>>,
    caller: Authenticated,
    Extension(hang_up): Extension<HangUp>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    let question = UnreadQuery::of(read_query(&query)?, &state.edge, &caller)?.into_owned();
    let place = state.streams.enter(&question.reader)?;
    // First, so that no change falls between the two.
    let mut joined = state.looks.join(&question.reader, question.peers());
    let counts = question.counts(&state.counts, state.edge.limits.poll_timeout).await?;
    joined.has_read();
    let (events, out) = channel(1);
    hang_up.set(true);
    let expires = caller.0.expires_at().map(|at| at.since(state.clock.now()).max(0).unsigned_abs());
    let feed = Feed { state: Arc::clone(&state), question, events, ends: expires.map(Duration::from_millis) };
    state.edge.tasks.spawn(async move {
        let _place = place;
        if let Err(problem) = feed.run(counts, joined).await {
            tell_ended(&problem);
        }
    });
    let events = stream::unfold(out, |mut out: Receiver<Event>| async move {
        out.recv().await.map(|event| (Ok::<_, Infallible>(event), out))
    });
    let stream = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    // Proxies that gather an answer before they pass it on would gather for ever.
    Ok(([("cache-control", "no-store, no-transform"), ("x-accel-buffering", "no")], stream).into_response())
}

fn tell_ended(problem: &Problem) {
    static ENDED: LogGates<Code> = LogGates::new();
    if let Some(count) = ENDED.pass(problem.code()) {
        tracing::warn!(count, problem = problem.detail(), "a stream of counts ends");
    }
}

/// What one stream is made of.
struct Feed {
    state: Arc<StreamState>,
    question: UnreadQuery<'static>,
    events: Sender<Event>,
    /// How long its token holds.
    ends: Option<Duration>,
}

impl Feed {
    /// Ends with the stream: nobody takes events any more, the token is over, the service stops, or counts cannot be
    /// had. Nothing is gathered for a slow reader: it gets, late, what holds then.
    async fn run(self, mut counts: Vec<u64>, mut joined: Joined) -> Result<(), Problem> {
        let mut event = Some(self.question.map(&counts)?);
        let end = self.end();
        tokio::pin!(end);
        loop {
            if let Some(map) = event {
                let told = Event::default().id(validator(&counts)).data(String::from_utf8_lossy(&map));
                tokio::select! {
                    () = &mut end => return Ok(()),
                    sent = self.events.send_timeout(told, SLOWEST) => if sent.is_err() { return Ok(()) },
                }
            }
            let now = tokio::select! {
                () = &mut end => return Ok(()),
                counts = joined.next() => self.question.own_is_zero(counts?),
            };
            event = self.question.map_of_changed(&now, &counts)?;
            counts = now;
        }
    }

    async fn end(&self) {
        let expiry = async {
            match self.ends {
                Some(left) => sleep(left).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = self.events.closed() => {}
            () = self.state.winding_down.cancelled() => {}
            () = expiry => {}
        }
    }
}
