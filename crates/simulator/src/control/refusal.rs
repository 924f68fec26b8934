//! A control call's body, and the refusal of one that does not fit.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::json;

/// A control call that is not carried out: an HTTP status and `{"error": sentence}`.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    error: String,
}

impl Refusal {
    /// The call makes no sense as it is.
    pub fn bad(error: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error: error.into() }
    }

    /// It names something that is not there.
    pub fn missing(error: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, error: error.into() }
    }

    /// A page of another site asks.
    pub fn foreign() -> Self {
        let error = "the control API is for this machine, not for pages of other sites".to_owned();
        Self { status: StatusCode::FORBIDDEN, error }
    }

    /// There is no room for its copies.
    pub fn full() -> Self {
        let error = "the queue of copies is full: drain first".to_owned();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, error }
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad(rejection.body_text())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.error }))).into_response()
    }
}

/// Reads a JSON body; an empty one stands for `{}`. The content type does not matter, for the sake of curl.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Refusal::bad(format!("the body does not fit: {error}")))
}
