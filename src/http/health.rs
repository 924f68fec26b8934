//! `/healthz`, `/readyz` and `/metrics`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::metrics::Metrics;
use super::problem::{Code, Problem};
use crate::queries::store_health::StoreHealth;

/// What these calls need.
pub struct OperationState {
    /// Which stores answer.
    pub health: Arc<StoreHealth>,
    /// Cancelled when the service is about to stop: it is not ready any more, and serves on.
    pub draining: CancellationToken,
    /// Counters and histograms.
    pub metrics: Arc<Metrics>,
}

/// The process is alive.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Always `alive`.
    #[schema(example = "alive")]
    state: &'static str,
}

/// This instance takes requests.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Always `ready`.
    #[schema(example = "ready")]
    state: &'static str,
    /// Stores that do not answer, of `accounts`, `messages` and `unread`; left out if all do. What needs them is 503.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, example = json!(["accounts"]))]
    degraded: Vec<&'static str>,
}

/// Whether the process is alive; asks no store
#[utoipa::path(get, path = "/healthz", operation_id = "getHealth", tag = "operation",
    responses((status = 200, description = "Alive", body = Health)))]
pub async fn healthz() -> Json<Health> {
    Json(Health { state: "alive" })
}

/// Whether this instance should get requests
///
/// Not while it is about to stop, nor while neither the unread view nor the message log answers. A single store away is
/// told in `degraded`: every instance has the same stores, and taking all of them out helps nobody. NetEase is not asked.
#[utoipa::path(get, path = "/readyz", operation_id = "getReadiness", tag = "operation",
    responses((status = 200, description = "Ready, perhaps degraded", body = Readiness),
        (status = 503, description = "`stopping`; `store_unavailable`, naming the stores", body = Problem)))]
pub async fn readyz(State(state): State<Arc<OperationState>>) -> Result<Json<Readiness>, Problem> {
    if state.draining.is_cancelled() {
        return Err(Problem::new(Code::Stopping, "this instance is about to stop; ask another one"));
    }
    let answering = state.health.look().await;
    let degraded = answering.silent();
    if answering.messages || answering.unread {
        return Ok(Json(Readiness { state: "ready", degraded }));
    }
    let detail = format!(
        "out of reach: {}; see the log, and the section of that name in the configuration",
        degraded.join(", ")
    );
    Err(Problem::new(Code::StoreUnavailable, detail))
}

/// Metrics in the OpenMetrics text format
#[utoipa::path(get, path = "/metrics", operation_id = "getMetrics", tag = "operation",
    responses((status = 200, description = "OpenMetrics text", content_type = "application/openmetrics-text", body = String),
        (status = 500, description = "`internal`", body = Problem)))]
pub async fn metrics(State(state): State<Arc<OperationState>>) -> Result<Response, Problem> {
    let text = state.metrics.text();
    let text =
        text.map_err(|e| Problem::new(Code::Internal, format!("metrics could not be written: {e}")))?;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}
