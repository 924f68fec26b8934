//! `/healthz` and `/readyz`

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::api::Api;
use super::problem::{Code, Problem};
use crate::ports::StoreError;

/// How long one store may take to answer.
const PATIENCE: Duration = Duration::from_millis(1500);

/// All is well.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `alive` or `ready`.
    #[schema(example = "ready")]
    state: &'static str,
}

/// Whether the process is alive; asks no store
#[utoipa::path(get, path = "/healthz", tag = "operation",
    responses((status = 200, description = "Alive", body = Health)))]
pub async fn healthz() -> Json<Health> {
    Json(Health { state: "alive" })
}

/// Whether every store of this service answers; NetEase is not asked
#[utoipa::path(get, path = "/readyz", tag = "operation",
    responses((status = 200, description = "Ready", body = Health),
        (status = 503, description = "`store_unavailable`, naming the stores", body = Problem)))]
pub async fn readyz(State(api): State<Arc<Api>>) -> Result<Json<Health>, Problem> {
    let (accounts, messages, unread) = tokio::join!(
        answers("accounts", api.accounts.ping()),
        answers("messages", api.inbox.ports.log.ping()),
        answers("unread", api.inbox.ports.view.ping()),
    );
    let silent: Vec<_> = [accounts, messages, unread].into_iter().flatten().collect();
    if silent.is_empty() {
        return Ok(Json(Health { state: "ready" }));
    }
    let detail = format!(
        "out of reach: {}; see the log, and the section of that name in the configuration",
        silent.join(", ")
    );
    Err(Problem::new(Code::StoreUnavailable, detail))
}

/// The store's name if it does not answer.
async fn answers(
    store: &'static str,
    ping: impl Future<Output = Result<(), StoreError>>,
) -> Option<&'static str> {
    match tokio::time::timeout(PATIENCE, ping).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(store, %error, source, "not ready");
            Some(store)
        }
        Err(_) => {
            tracing::warn!(store, "not ready: no answer in time");
            Some(store)
        }
    }
}
