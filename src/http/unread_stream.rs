//! `GET /v1/unread/stream`: the order page is told of what changes, by server-sent events.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::pending;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep};

use super::api::Api;
use super::connection::HangUp;
use super::problem::{Code, Problem};
use super::request::Authenticated;
use super::unread_page::{Page, Users, read_query, validator};
use crate::domain::ids::Accid;
use crate::log_gate::LogGates;
use crate::ports::unread_changes::{ReaderWatch, UnreadChanges};

/// A comment is sent when nothing else was for so long, so that all on the way see that the stream lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// At most one event in this time: what changes meanwhile is told as one.
const PAUSE: Duration = Duration::from_millis(200);
/// How often a stream looks by itself: while the view tells of changes, and while it does not.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_secs(30), Duration::from_millis(500));
/// Streams that look at the same time. When all are told of a change at once, they look in turn: as many as Redis takes
/// on without anybody's waiting.
const LOOKS_AT_ONCE: usize = 64;
/// For so long a stream goes on asking for counts that cannot be had, before it ends.
const FORBEARANCE: Duration = Duration::from_secs(5);
/// Between two such attempts.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// A reader that takes no event for so long is dropped; it will come back.
const SLOWEST: Duration = Duration::from_secs(10);

/// Unread counts as a stream: first the whole map, then what changes
///
/// Each event's `data` is a JSON map. An event's `id` is a hash of all counts; the first event after a reconnect is the
/// whole map again, whatever the `Last-Event-ID`, so nothing is missed. The stream ends when the token expires, when the
/// service stops, or when a store has been out of reach for five seconds: connect again.
#[utoipa::path(get, path = "/v1/unread/stream", tag = "chat", security(("jwt" = [])),
    params(
        ("self" = String, Query, description = "The reader, percent-encoded", example = "alice",
            min_length = 1, max_length = 128),
        ("users" = inline(Users), Query, style = Form, explode,
            description = "1 to 500 users. Repeated, each value is one id; in one parameter, commas part the ids, encoded or not",
            example = json!(["bob", "carol"])),
        ("Last-Event-ID" = Option<String>, Header, description = "Taken, and not needed")),
    responses(
        (status = 200, description = "Server-sent events. An event's `data` is a bare JSON map, not a quoted string", content_type = "text/event-stream", body = String,
            example = "id: 5f0c…\ndata: {\"bob\":3,\"carol\":0}\n\n"),
        (status = 400, description = "`unreadable`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`: `sub` is not `self`", body = Problem),
        (status = 422, description = "`invalid`", body = Problem),
        (status = 429, description = "`too_many_streams`: this reader has as many as one may have", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`store_unavailable`, `overloaded`, `keys_unavailable`", body = Problem)))]
pub async fn stream_unread(
    State(api): State<Arc<Api>>,
    caller: Authenticated,
    Extension(hang_up): Extension<HangUp>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    let page = Page::of(read_query(&query)?, &api, &caller)?.into_owned();
    let place = api.streams.enter(&page.reader)?;
    let (watch, counts) = watched(&api.changes, &page.reader, page.counts(&api)).await?;
    let (events, out) = channel(1);
    hang_up.set(true);
    let expires = caller.0.expires_at().map(|at| at.since(api.clock.now()).max(0).unsigned_abs());
    let feed = Feed { api: Arc::clone(&api), page, events, ends: expires.map(Duration::from_millis) };
    api.tasks.spawn(async move {
        let _place = place;
        if let Err(problem) = feed.run(counts, watch).await {
            tell_ended(&problem);
        }
    });
    let events = stream::unfold(out, |mut out: Receiver<Event>| async move {
        out.recv().await.map(|event| (Ok::<_, Infallible>(event), out))
    });
    let stream = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    // Proxies that gather an answer before they pass it on would gather for ever.
    Ok(([("cache-control", "no-store"), ("x-accel-buffering", "no")], stream).into_response())
}

fn tell_ended(problem: &Problem) {
    static ENDED: LogGates<Code> = LogGates::new();
    if let Some(count) = ENDED.pass(problem.code()) {
        tracing::warn!(count, problem = problem.detail(), "a stream of counts ends");
    }
}

/// What `read` brings, and a watch of the reader from before that was asked for: no change falls between the two.
async fn watched<T>(
    changes: &Arc<UnreadChanges>,
    reader: &Accid,
    read: impl Future<Output = Result<T, Problem>>,
) -> Result<(ReaderWatch, T), Problem> {
    let watch = changes.watch(reader);
    Ok((watch, read.await?))
}

/// What one stream is made of.
struct Feed {
    api: Arc<Api>,
    page: Page<'static>,
    events: Sender<Event>,
    /// How long its token holds.
    ends: Option<Duration>,
}

impl Feed {
    /// Ends with the stream: nobody takes events any more, the token is over, the service stops, or counts cannot be
    /// had. Nothing is gathered for a slow reader: it gets, late, what holds then.
    async fn run(self, mut counts: Vec<u64>, mut watch: ReaderWatch) -> Result<(), Problem> {
        let mut event = Some(self.page.map(&counts)?);
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
            let every = spread(if self.api.changes.are_live() { LOOK_EVERY.0 } else { LOOK_EVERY.1 });
            tokio::select! {
                () = &mut end => return Ok(()),
                () = async { sleep(PAUSE).await; watch.changed().await } => {}
                () = sleep(every) => {}
            }
            let now = tokio::select! {
                () = &mut end => return Ok(()),
                counts = self.look() => counts?,
            };
            event = self.page.map_of_changed(&now, &counts)?;
            counts = now;
        }
    }

    /// The counts now, in turn with other streams. A store that is away for a moment ends nobody's stream.
    async fn look(&self) -> Result<Vec<u64>, Problem> {
        let began = Instant::now();
        loop {
            // Closed by nobody.
            let turn = self.api.streams.looks.acquire().await;
            let outcome = self.page.counts(&self.api).await;
            drop(turn);
            match outcome {
                Err(problem)
                    if matches!(problem.code(), Code::StoreUnavailable | Code::Overloaded)
                        && began.elapsed() < FORBEARANCE =>
                {
                    sleep(spread(ASK_AGAIN)).await;
                }
                outcome => return outcome,
            }
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
            () = self.api.winding_down.cancelled() => {}
            () = expiry => {}
        }
    }
}

/// Between three and five quarters of a time, so that streams which began together do not look together for ever.
fn spread(time: Duration) -> Duration {
    let share = RandomState::default().hash_one(()) % 512;
    time.mul_f64(0.75 + f64::from(u32::try_from(share).unwrap_or(0)) / 1024.0)
}

/// How many streams there are, in all and by reader.
#[derive(Debug)]
pub struct Streams {
    most: usize,
    most_of_one: usize,
    by_reader: Mutex<HashMap<Accid, usize>>,
    open: Gauge,
    looks: Semaphore,
}

impl Streams {
    /// At most so many in all, and so many of one reader.
    pub fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        let (by_reader, open, looks) = (Mutex::default(), Gauge::default(), Semaphore::new(LOOKS_AT_ONCE));
        Arc::new(Self { most, most_of_one, by_reader, open, looks })
    }

    /// How many there are.
    pub fn open(&self) -> Gauge {
        self.open.clone()
    }

    fn enter(self: &Arc<Self>, reader: &Accid) -> Result<Place, Problem> {
        let mut by_reader = self.by_reader.lock().unwrap_or_else(PoisonError::into_inner);
        if usize::try_from(self.open.get()).unwrap_or_default() >= self.most {
            return Err(Problem::new(Code::Overloaded, "there are as many streams as this service takes on"));
        }
        let own = by_reader.entry(reader.clone()).or_default();
        if *own >= self.most_of_one {
            let detail = format!("this reader has {own} streams, and may not have more: close one");
            return Err(Problem::new(Code::TooManyStreams, detail));
        }
        *own += 1;
        self.open.inc();
        Ok(Place { streams: Arc::clone(self), reader: reader.clone() })
    }
}

/// One stream's place among the others, until it is dropped.
struct Place {
    streams: Arc<Streams>,
    reader: Accid,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_reader = self.streams.by_reader.lock().unwrap_or_else(PoisonError::into_inner);
        self.streams.open.dec();
        if let Some(own) = by_reader.get_mut(&self.reader) {
            *own -= 1;
            if *own == 0 {
                by_reader.remove(&self.reader);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_change_that_comes_while_the_counts_are_read_is_told() {
        let (changes, reader) = (Arc::<UnreadChanges>::default(), Accid::of_user("alice"));
        let read = async {
            changes.of(reader.as_str());
            Ok(())
        };
        let Ok((mut watch, ())) = watched(&changes, &reader, read).await else { panic!("it was read") };
        assert!(watch.changed().now_or_never().is_some());
        assert!(watch.changed().now_or_never().is_none());
    }
}
