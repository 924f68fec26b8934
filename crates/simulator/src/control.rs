//! The control API's frame: its routes, its listing, its refusals, and the switches.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::faults::Faults;
use super::state::Shared;
use super::{control_copy, control_facts, control_read, control_send, lock};

/// How long a control call waits for copies.
pub const PATIENCE: Duration = Duration::from_secs(30);

const LISTING: [&str; 16] = [
    "POST   /simulator/send {from,to,body?,count?,msgType?,convType?,fromNick?,antispam?,blacklist?,timestamp?,force?,wait?,extra?}",
    "POST   /simulator/read {reader,peer,timestamp?,event?:30|85,objects?:string|array,force?,wait?}",
    "POST   /simulator/read-batch {receipts:[{reader,peer,timestamp?}],objects?,force?,wait?}",
    "POST   /simulator/recall {msgidServer,wait?}",
    "POST   /simulator/copy {body|raw,signature?:good|bad-md5|bad-checksum|seconds,headers?,wait?}",
    "POST   /simulator/login {accid,token}",
    "POST   /simulator/webhook {url}",
    "POST   /simulator/drain",
    "GET    /simulator/accounts/{accid}",
    "GET    /simulator/notices?to=",
    "GET    /simulator/messages?reader=&peer=",
    "GET    /simulator/unread?reader=&peer=",
    "GET    /simulator/stats",
    "GET    /simulator/calls?api=",
    "GET    /simulator/faults",
    "PUT    /simulator/faults {any fields of GET}; DELETE puts all back",
];

/// All routes below `/simulator`.
pub fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/simulator", get(|| async { Json(LISTING) }))
        .route("/simulator/send", post(control_send::send))
        .route("/simulator/read", post(control_read::read))
        .route("/simulator/read-batch", post(control_read::read_batch))
        .route("/simulator/recall", post(control_read::recall))
        .route("/simulator/copy", post(control_copy::copy))
        .route("/simulator/login", post(login))
        .route("/simulator/webhook", post(set_webhook))
        .route("/simulator/drain", post(drain))
        .route("/simulator/faults", get(faults).put(set_faults).delete(reset_faults))
        .route("/simulator/accounts/{accid}", get(control_facts::account))
        .route("/simulator/notices", get(control_facts::notices))
        .route("/simulator/messages", get(control_facts::messages))
        .route("/simulator/unread", get(control_facts::unread))
        .route("/simulator/stats", get(control_facts::stats))
        .route("/simulator/calls", get(control_facts::calls))
        .layer(middleware::from_fn(guard))
}

/// No page of another site may act here: a browser lets it post what looks like a form to any address of this machine.
async fn guard(request: Request, next: Next) -> Result<Response, Refusal> {
    match from_elsewhere(request.headers()) {
        true => Err(Refusal::foreign()),
        false => Ok(next.run(request).await),
    }
}

/// Whether a browser says that a page asks which is not of this machine. Who is no browser says nothing.
fn from_elsewhere(headers: &HeaderMap) -> bool {
    let local = |host: &str| ["127.0.0.1", "localhost", "[::1]"].contains(&host);
    headers.get_all(header::ORIGIN).iter().any(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        !origin.as_ref().and_then(Uri::authority).map(Authority::host).is_some_and(local)
    })
}

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
    fn foreign() -> Self {
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    accid: String,
    token: String,
}

async fn login(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let Login { accid, token } = parse(&body)?;
    let code = lock(&shared.world).accounts.login_code(&accid, &token);
    Ok(Json(json!({ "code": code })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Webhook {
    url: String,
}

async fn set_webhook(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let Webhook { url } = parse(&body)?;
    shared.delivery.set_url(url.clone());
    Ok(Json(json!({ "url": url })))
}

async fn drain(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let drained = shared.delivery.drain(PATIENCE).await;
    Json(json!({ "drained": drained }))
}

async fn faults(State(shared): State<Arc<Shared>>) -> Json<Faults> {
    Json(shared.switchboard.faults())
}

async fn set_faults(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Json<Faults>, Refusal> {
    let given: Map<String, Value> = parse(&body)?;
    let faults = shared.switchboard.merge(given).map_err(Refusal::bad)?;
    shared.delivery.nudge();
    Ok(Json(faults))
}

async fn reset_faults(State(shared): State<Arc<Shared>>) -> Json<Faults> {
    let faults = shared.switchboard.reset();
    shared.delivery.nudge();
    Json(faults)
}
