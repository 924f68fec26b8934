//! Counters and histograms, for Prometheus at `/metrics`.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric, LabelValueEncoder,
};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::api::Api;
use super::connection::ConnectionCounters;
use super::problem::{Code, Problem};
use crate::commands::deliver::DeliveryCounters;
use crate::commands::projector::LoadCounters;
use crate::commands::receive_copy::{Outcome, Received};
use crate::ports::message_log::CopyNo;
use crate::ports::near_counters::NearCounters;
use crate::queries::store_health::StoreGauges;

/// Labels of one kind of answered request. Both are of closed lists.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteLabels {
    route: Route,
    status: u16,
}

/// The pattern that a path matched.
#[derive(Debug, Clone)]
enum Route {
    /// Shared with the router that has it.
    Matched(MatchedPath),
    /// The same text before any request came; `none` for a path without a route.
    Named(&'static str),
}

impl Route {
    fn as_str(&self) -> &str {
        match self {
            Self::Matched(path) => path.as_str(),
            Self::Named(path) => path,
        }
    }
}

impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Route {}

impl Hash for Route {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl EncodeLabelValue for Route {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.as_str().encode(encoder)
    }
}

/// Labels of one kind of copy. Both are of closed lists.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CopyLabels {
    event_type: &'static str,
    outcome: &'static str,
}

type Durations = Family<RouteLabels, Histogram, fn() -> Histogram>;

/// What is counted elsewhere and shown here.
pub struct Shown {
    /// Loads of readers.
    pub loads: LoadCounters,
    /// What is owed to NetEase.
    pub deliveries: DeliveryCounters,
    /// The near cache, if there is one.
    pub near: Option<NearCounters>,
    /// How often the unread view was another one than before.
    pub view_replaced: Counter,
    /// Streams that are open.
    pub streams: Gauge,
    /// Connections.
    pub connections: ConnectionCounters,
    /// Which stores answer.
    pub stores: StoreGauges,
    /// Log lines that were lost.
    pub lost_log_lines: fn() -> u64,
}

/// Stands for the status of a request whose client left before it was answered.
const CLIENT_LEFT: u16 = 499;

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    requests: Durations,
    copies: Family<CopyLabels, Counter>,
    clamped: Counter,
    dead_letters: Counter,
    bad_signatures: Counter,
}

/// Answers that alerts ask for: their series are there before the first of them is given, since `rate` sees no
/// increase in a series that begins with 1.
const EXPECTED_ANSWERS: [(&str, &[u16]); 8] = [
    ("/v1/unread", &[200, 304, 401, 422, 500, 503]),
    ("/v1/unread/stream", &[200, 401, 422, 429, 500, 503]),
    ("/v1/accounts/bind", &[200, 401, 422, 429, 500, 502, 503]),
    ("/v1/notifications", &[202, 401, 422, 429, 500, 503]),
    ("/v1/notifications/{id}", &[200, 401, 404, 500, 503]),
    ("/receiveMsg.action", &[200, 401, 408, 413, 503]),
    ("/readyz", &[200, 503]),
    ("none", &[404]),
];

/// Outcomes that a copy of each of these event types may have; whatever else a copy is, it is acknowledged.
const EXPECTED_COPIES: [(&str, &[&str]); 9] = [
    ("1", &["first", "repeated", "conflicting", "not_kept", "foreign", "dead_letter"]),
    ("30", &["read", "dead_letter"]),
    ("85", &["read", "acknowledged", "dead_letter"]),
    ("7", &["recalled", "dead_letter"]),
    ("8", &["recalled", "foreign", "dead_letter"]),
    ("25", &["recalled", "foreign", "dead_letter"]),
    ("probe", &["acknowledged"]),
    ("real_time_call", &["acknowledged"]),
    ("unknown", &["acknowledged", "refused", "dead_letter"]),
];

/// 100 µs, doubling up to about 6.5 s.
fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 17))
}

impl Metrics {
    /// Metrics that start at zero, beside those that `registry` has already and those that are counted elsewhere.
    pub fn new(mut registry: Registry, shown: &Shown) -> Arc<Self> {
        let Shown { loads, deliveries, near, view_replaced, streams, connections, stores, lost_log_lines } =
            shown;
        let requests = Durations::new_with_constructor(buckets);
        for (route, statuses) in EXPECTED_ANSWERS {
            for &status in statuses {
                drop(requests.get_or_create(&RouteLabels { route: Route::Named(route), status }));
            }
        }
        let copies = Family::<CopyLabels, Counter>::default();
        for (event_type, outcomes) in EXPECTED_COPIES {
            for &outcome in outcomes {
                drop(copies.get_or_create(&CopyLabels { event_type, outcome }));
            }
        }
        let (clamped, dead_letters, bad_signatures) = <(Counter, Counter, Counter)>::default();
        registry.register("http_request_duration_seconds", "Answered requests", requests.clone());
        registry.register("copies", "Message copies taken in", copies.clone());
        registry.register("receipts_clamped", "Read receipts pulled back from the future", clamped.clone());
        registry.register(
            "webhook_bad_signatures",
            "Webhook calls that NetEase did not sign",
            bad_signatures.clone(),
        );
        registry.register(
            "dead_letters",
            "Copies, and receipts of a copy, kept as dead letters",
            dead_letters.clone(),
        );
        registry.register("view_loads", "Readers loaded into the unread view", loads.loads.clone());
        registry.register("view_rechecks", "Known readers compared with the log", loads.rechecks.clone());
        registry.register(
            "view_kept_unknown",
            "Messages that the view counts and the log knows nothing of, each time they were kept",
            loads.kept_unknown.clone(),
        );
        registry.register(
            "view_replaced",
            "Times that Redis was another one than before",
            view_replaced.clone(),
        );
        registry.register(
            "view_healed_missing",
            "Messages that a recheck added to the unread view",
            loads.healed_missing.clone(),
        );
        registry.register(
            "view_healed_surplus",
            "Messages that a recheck removed from the unread view",
            loads.healed_surplus.clone(),
        );
        registry.register_collector(Box::new(LostLogLines(*lost_log_lines)));
        registry.register("streams_open", "Streams of counts that are open", streams.clone());
        register_connections(&mut registry, connections);
        registry.register("store_up", "1 if the store answered when it was last asked", stores.clone());
        register_deliveries(&mut registry, deliveries);
        if let Some(near) = near {
            register_near(&mut registry, near);
        }
        Arc::new(Self { registry, requests, copies, clamped, dead_letters, bad_signatures })
    }

    /// Counts a copy that was taken in.
    pub fn count_copy(&self, received: &Received) {
        let outcome = match received.outcome {
            Outcome::Recorded(CopyNo::First) => "first",
            Outcome::Recorded(CopyNo::Repeated) => "repeated",
            Outcome::Recorded(CopyNo::Conflicting) => "conflicting",
            Outcome::Read { clamped, dead_letters } => {
                self.clamped.inc_by(clamped as u64);
                self.dead_letters.inc_by(dead_letters as u64);
                "read"
            }
            Outcome::Recalled => "recalled",
            Outcome::Acknowledged => "acknowledged",
            Outcome::NotKept => "not_kept",
            Outcome::Foreign => "foreign",
            Outcome::DeadLetter => {
                self.dead_letters.inc();
                "dead_letter"
            }
            Outcome::Callback => "refused",
        };
        self.copies.get_or_create(&CopyLabels { event_type: received.event_type, outcome }).inc();
    }

    /// Counts a webhook call with a signature that is not NetEase's.
    pub fn count_bad_signature(&self) {
        self.bad_signatures.inc();
    }
}

/// Counted where log lines are written.
#[derive(Debug)]
struct LostLogLines(fn() -> u64);

impl Collector for LostLogLines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let lost = ConstCounter::new((self.0)());
        let help = "Log lines that standard error did not take";
        lost.encode(encoder.encode_descriptor("log_lines_lost", help, None, lost.metric_type())?)
    }
}

fn register_deliveries(registry: &mut Registry, deliveries: &DeliveryCounters) {
    let DeliveryCounters { sent, failed, unknown, postponed, queued, oldest_seconds } = deliveries;
    registry.register("deliveries_sent", "Notices and owed friendships that NetEase has", sent.clone());
    registry.register("deliveries_failed", "Those that were given up", failed.clone());
    registry.register("deliveries_unknown", "Notices sent that NetEase did not answer", unknown.clone());
    registry.register("deliveries_postponed", "Attempts that are to be made again", postponed.clone());
    registry.register("outbox_queued", "Deliveries that wait, of all instances", queued.clone());
    registry.register("outbox_oldest_seconds", "Age of the oldest of them", oldest_seconds.clone());
}

fn register_near(registry: &mut Registry, near: &NearCounters) {
    let NearCounters { hits, misses, bypassed, invalidations, active } = near.clone();
    registry.register("near_cache_hits", "Reads of the unread view answered from memory", hits);
    registry.register("near_cache_misses", "Reads of readers who were not in memory", misses);
    registry.register("near_cache_bypassed", "Reads while changes could not be heard of", bypassed);
    registry.register("near_cache_invalidations", "Changes of readers heard of", invalidations);
    registry.register("near_cache_active", "1 while changes are heard of", active);
}

fn register_connections(registry: &mut Registry, connections: &ConnectionCounters) {
    let ConnectionCounters { open, refused, accept_errors } = connections.clone();
    registry.register("connections_open", "Connections that are open", open);
    registry.register("connections_refused", "Connections closed at once: there were too many", refused);
    registry.register("accept_errors", "Times that no connection could be accepted", accept_errors);
}

/// The time that a request takes, observed when this is dropped.
pub struct Timing {
    metrics: Arc<Metrics>,
    labels: RouteLabels,
    began: Instant,
}

impl Timing {
    /// Begins now. The status is 499 until there is another one: the client left before.
    pub fn begin(metrics: &Arc<Metrics>, request: &Request) -> Self {
        let route = request.extensions().get().cloned().map_or(Route::Named("none"), Route::Matched);
        let labels = RouteLabels { route, status: CLIENT_LEFT };
        Self { metrics: Arc::clone(metrics), labels, began: Instant::now() }
    }

    /// Ends with this status.
    pub fn answered(mut self, status: StatusCode) {
        self.labels.status = status.as_u16();
    }
}

impl Drop for Timing {
    fn drop(&mut self) {
        self.metrics.requests.get_or_create(&self.labels).observe(self.began.elapsed().as_secs_f64());
    }
}

/// Metrics in the OpenMetrics text format
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "OpenMetrics text", content_type = "application/openmetrics-text")))]
pub async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    let mut text = String::new();
    encode(&mut text, &api.metrics.registry)
        .map_err(|e| Problem::new(Code::Internal, format!("metrics could not be written: {e}")))?;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}
