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
use super::schemas::{Switch, UserId, Users};
use super::shared_looks::{Answer, Joined, SharedLooks};
use super::streams::StreamLimiter;
use super::unread_query::{Call, UnreadQuery, read_query, total_json, validator};
use crate::domain::unread::Total;
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
/// Each event's `data` is a JSON map; of events named `total`, which are sent with `total=1`, the object that
/// `GET /v1/unread/total` answers. An event's `id` is a hash of all counts, or of the total; the first events after a
/// reconnect are the whole map and the total again, whatever the `Last-Event-ID`, so nothing is missed. The stream ends when the token expires, when the
/// service stops, or when counts could not be had for five seconds: connect again.
#[utoipa::path(get, path = "/v1/unread/stream", operation_id = "streamUnread", tag = "chat", security(("jwt" = [])),
    params(
        ("self" = UserId, Query, description = "The reader", example = "alice"),
        ("users" = inline(Users), Query, style = Form, explode,
            description = "Repeated, each value is one id; in one parameter, commas part the ids, encoded or not",
            example = json!(["bob", "carol"])),
        ("total" = inline(Option<Switch>), Query, nullable = false,
            description = "1: the total as well, and alone if there are no `users`"),
        ("Last-Event-ID" = Option<String>, Header, nullable = false, description = "Taken, and not needed")),
    responses(
        (status = 200, description = "Server-sent events. An event's `data` is bare JSON, not a quoted string",
            content_type = "text/event-stream", body = String,
            example = "id: 5f0c…\ndata: {\"bob\":3,\"carol\":0}\n\n\
                event: total\nid: 81d2…\ndata: {\"messages\":12,\"users\":3}\n\n"),
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
    let question = UnreadQuery::of(read_query(Call::Stream, &query)?, &state.edge, &caller)?.into_owned();
    let place = state.streams.enter(&question.reader)?;
    // First, so that no change falls between the two.
    let mut joined = state.looks.join(&question.reader, question.peers(), question.total);
    let first = question.answer(&state.counts, state.edge.limits.poll_timeout).await?;
    joined.has_read();
    let (events, out) = channel(1);
    hang_up.set(true);
    let expires = caller.0.expires_at().map(|at| at.since(state.clock.now()).max(0).unsigned_abs());
    let feed = Feed { state: Arc::clone(&state), question, events, ends: expires.map(Duration::from_millis) };
    state.edge.tasks.spawn(async move {
        let _place = place;
        if let Err(problem) = feed.run(first, joined).await {
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
    async fn run(self, mut known: Answer, mut joined: Joined) -> Result<(), Problem> {
        let map = (!known.counts.is_empty()).then(|| self.question.map(&known.counts)).transpose()?;
        let mut events = events(map, &known, known.total)?;
        let end = self.end();
        tokio::pin!(end);
        loop {
            for event in events {
                tokio::select! {
                    () = &mut end => return Ok(()),
                    sent = self.events.send_timeout(event, SLOWEST) => if sent.is_err() { return Ok(()) },
                }
            }
            let mut now = tokio::select! {
                () = &mut end => return Ok(()),
                seen = joined.next() => seen?,
            };
            now.counts = self.question.own_is_zero(now.counts);
            let map = self.question.map_of_changed(&now.counts, &known.counts)?;
            events = self::events(map, &now, now.total.filter(|_| now.total != known.total))?;
            known = now;
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

/// An event of a map, and one of the total, where there is one.
fn events(map: Option<Vec<u8>>, now: &Answer, total: Option<Total>) -> Result<Vec<Event>, Problem> {
    let data = |json: Vec<u8>| Event::default().data(String::from_utf8_lossy(&json));
    let map = map.map(|map| data(map).id(validator(&now.counts)));
    let total = total.map(total_json).transpose()?;
    let total = total.map(|(json, validator)| data(json).event("total").id(validator));
    Ok(map.into_iter().chain(total).collect())
}
