//! Counters and histograms, for Prometheus at `/metrics`.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::commands::receive_copy::{Outcome, Received};
use crate::ports::message_log::InsertOutcome;

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

/// Stands for the status of a request whose client left before it was answered.
const CLIENT_LEFT: u16 = 499;

/// What the routes count. Other parts register counters of their own: see `register_metrics` and `register`.
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
const EXPECTED_ANSWERS: [(&str, &[u16]); 9] = [
    ("/v1/unread", &[200, 304, 401, 422, 500, 503]),
    ("/v1/unread/total", &[200, 304, 401, 422, 500, 503]),
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
    /// Metrics that start at zero, beside those that `registry` has already.
    pub fn new(mut registry: Registry) -> Arc<Self> {
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
        Arc::new(Self { registry, requests, copies, clamped, dead_letters, bad_signatures })
    }

    /// Counts a copy that was taken in.
    pub fn count_copy(&self, received: &Received) {
        let outcome = match received.outcome {
            Outcome::Recorded(InsertOutcome::First) => "first",
            Outcome::Recorded(InsertOutcome::Repeated) => "repeated",
            Outcome::Recorded(InsertOutcome::Completed) => "completed",
            Outcome::Recorded(InsertOutcome::Conflicting) => "conflicting",
            Outcome::Read { clamped, dead_letters } => {
                self.clamped.inc_by(clamped as u64);
                self.dead_letters.inc_by(dead_letters as u64);
                "read"
            }
            Outcome::Recalled => "recalled",
            Outcome::Edited => "edited",
            Outcome::Withdrawn => "withdrawn",
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

    /// All of them, in the OpenMetrics text format.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Counts a webhook call with a signature that is not NetEase's.
    pub fn count_bad_signature(&self) {
        self.bad_signatures.inc();
    }
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
