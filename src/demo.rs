//! The demo page of `otc-im dev`: an order page beside two phones. Its files are part of the program.
//!
//! The page is a caller like any other: it asks the service with a token, and the simulator, behind this same address so
//! that the browser lets it.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use futures_util::future::BoxFuture;

/// What the page needs.
pub struct Demo {
    /// Base of the simulator's control API.
    pub simulator: String,
    /// Calls it.
    pub http: reqwest::Client,
    /// Whose page it is.
    pub user: &'static str,
    /// A fresh token for that user; `None` if there is no key to sign it with.
    pub token: Box<dyn Fn() -> Option<String> + Send + Sync>,
    /// Fills that user's log from the simulator's history; answers how many messages it lacked.
    pub reconcile: Box<dyn Fn() -> BoxFuture<'static, Result<usize, String>> + Send + Sync>,
}

/// Name, type and content of each file.
const FILES: [(&str, &str, &[u8]); 18] = [
    ("index.html", HTML, include_bytes!("demo/index.html")),
    ("demo.css", CSS, include_bytes!("demo/demo.css")),
    ("orders.css", CSS, include_bytes!("demo/orders.css")),
    ("desk.css", CSS, include_bytes!("demo/desk.css")),
    ("icon.svg", "image/svg+xml", include_bytes!("demo/icon.svg")),
    ("client.js", JS, include_bytes!("../clients/js/index.js")),
    ("api.js", JS, include_bytes!("demo/api.js")),
    ("chats.js", JS, include_bytes!("demo/chats.js")),
    ("check.js", JS, include_bytes!("demo/check.js")),
    ("demo.js", JS, include_bytes!("demo/demo.js")),
    ("dom.js", JS, include_bytes!("demo/dom.js")),
    ("faults.js", JS, include_bytes!("demo/faults.js")),
    ("orders.js", JS, include_bytes!("demo/orders.js")),
    ("people.js", JS, include_bytes!("demo/people.js")),
    ("phones.js", JS, include_bytes!("demo/phones.js")),
    ("texts.js", JS, include_bytes!("demo/texts.js")),
    ("theme.js", JS, include_bytes!("demo/theme.js")),
    ("words.js", JS, include_bytes!("demo/words.js")),
];
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// Everything under `/demo`.
pub fn router(demo: Demo) -> Router {
    Router::new()
        .route("/demo", get(|| async { Redirect::permanent("/demo/") }))
        .route("/demo/", get(|| file(Path("index.html".to_owned()))))
        .route("/demo/config.json", get(config))
        .route("/demo/reconcile", post(reconcile))
        .route("/demo/{file}", get(file))
        .route("/demo/simulator/{*call}", any(simulator))
        .layer(middleware::from_fn(guard))
        .with_state(Arc::new(demo))
}

async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(file, ..)| *file == name) {
        Some((_, kind, content)) => {
            ([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, "no-cache")], *content).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Where things are, and a token: whoever can open this page may try everything.
async fn config(State(demo): State<Arc<Demo>>) -> Response {
    let config = serde_json::json!({
        "service": "", "simulator": "/demo/simulator", "user": demo.user, "token": (demo.token)(),
    });
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, config.to_string()).into_response()
}

/// Finds what was lost.
async fn reconcile(State(demo): State<Arc<Demo>>) -> Response {
    match (demo.reconcile)().await {
        Ok(added) => axum::Json(serde_json::json!({ "added": added })).into_response(),
        Err(error) => {
            (StatusCode::BAD_GATEWAY, axum::Json(serde_json::json!({ "error": error }))).into_response()
        }
    }
}

/// Passes a call on to the simulator, and its answer back.
async fn simulator(
    State(demo): State<Arc<Demo>>,
    method: Method,
    Path(call): Path<String>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let asked = demo.http.request(method, format!("{}/{call}{query}", demo.simulator)).body(body);
    let Ok(answer) = asked.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let (status, kind) = (answer.status(), answer.headers().get(header::CONTENT_TYPE).cloned());
    let Ok(text) = answer.bytes().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let kind = kind.unwrap_or(HeaderValue::from_static("application/json"));
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}

/// The page hands out a token, so it is for browsers that were sent here by their own machine's name, and not by a
/// name that somebody else points at it. Nor may a page of another site act here: a browser lets it post what looks like
/// a form to any address of this machine.
async fn guard(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = host.and_then(|host| host.parse::<Authority>().ok());
    if !authority.is_some_and(|it| is_local(it.host())) || from_elsewhere(headers) {
        return (StatusCode::FORBIDDEN, "the demo is for this machine: open it as 127.0.0.1").into_response();
    }
    let mut response = next.run(request).await;
    let policy = HeaderValue::from_static("default-src 'self'; frame-ancestors 'none'");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// Whether a browser says that a page asks which is not of this machine. Who is no browser says nothing.
fn from_elsewhere(headers: &HeaderMap) -> bool {
    headers.get_all(header::ORIGIN).iter().any(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        !origin.as_ref().and_then(Uri::authority).is_some_and(|it| is_local(it.host()))
    })
}

fn is_local(host: &str) -> bool {
    ["127.0.0.1", "localhost", "[::1]"].contains(&host)
}
