//! All routes, and what every one of them has in common.

use std::any::Any;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Uri, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use axum_server::ConnectionShutdown;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::bind::BindState;
use super::connection::close_if_untaken;
use super::health::OperationState;
use super::metrics::{Metrics, Timing};
use super::notifications::NoticeState;
use super::problem::{Code, Problem, quoted};
use super::read::ReadState;
use super::request::one_host;
use super::unread::PollState;
use super::unread_stream::StreamState;
use super::webhook::WebhookState;
use super::{bind, cors, docs, health, notifications, read, unread, unread_stream, webhook};

/// What the handlers of each surface need.
pub struct Surfaces {
    /// `POST /v1/accounts/bind`
    pub bind: BindState,
    /// `/v1/notifications`
    pub notices: NoticeState,
    /// `/v1/unread`, `GET /v1/unread/total`
    pub polls: PollState,
    /// `POST /v1/read`
    pub reads: ReadState,
    /// `GET /v1/unread/stream`
    pub streams: StreamState,
    /// `POST /receiveMsg.action`
    pub webhook: WebhookState,
    /// `/healthz`, `/readyz`, `/metrics`
    pub operation: OperationState,
}

/// The whole HTTP surface; pages of `cors_origins` may call it, the webhook apart.
pub fn router(surfaces: Surfaces, cors_origins: &[String]) -> Router {
    let Surfaces { bind, notices, polls, reads, streams, webhook, operation } = surfaces;
    let metrics = Arc::clone(&operation.metrics);
    let (site, mut document) = OpenApiRouter::with_openapi(docs::document())
        .merge(OpenApiRouter::new().routes(routes!(bind::bind)).with_state(Arc::new(bind)))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(notifications::notify))
                .routes(routes!(notifications::status))
                .with_state(Arc::new(notices)),
        )
        .merge(
            OpenApiRouter::new()
                .routes(routes!(unread::post_unread, unread::get_unread))
                .routes(routes!(unread::get_total))
                .with_state(Arc::new(polls)),
        )
        .merge(OpenApiRouter::new().routes(routes!(read::mark_read)).with_state(Arc::new(reads)))
        .merge(
            OpenApiRouter::new().routes(routes!(unread_stream::stream_unread)).with_state(Arc::new(streams)),
        )
        .merge(
            OpenApiRouter::new()
                .routes(routes!(health::healthz))
                .routes(routes!(health::readyz))
                .routes(routes!(health::metrics))
                .with_state(Arc::new(operation)),
        )
        .split_for_parts();
    let (webhook, webhook_document) = OpenApiRouter::new()
        .routes(routes!(webhook::receive))
        .with_state(Arc::new(webhook))
        .split_for_parts();
    document.merge(webhook_document);

    let webhook = webhook.method_not_allowed_fallback(method_not_allowed).layer(CatchPanicLayer::custom(
        |_: Box<dyn Any + Send>| webhook::never_500(panicked()).into_response(),
    ));
    let site = site
        .merge(docs::routes(&document))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(|_: Box<dyn Any + Send>| panicked().into_response()));
    let site = match cors::layer(cors_origins) {
        Some(cors) => site.layer(cors),
        None => site,
    };
    site.merge(webhook).layer(middleware::from_fn_with_state(metrics, every_request))
}

/// What is done for every request, whatever its path.
async fn every_request(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let timing = Timing::begin(&metrics, &request);
    let is_http2 = request.version() == Version::HTTP_2;
    let connection = request.extensions().get::<ConnectionShutdown>().filter(|_| is_http2).cloned();
    let response = match one_host(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    timing.answered(response.status());
    match connection {
        Some(connection) => close_if_untaken(response, connection),
        None => response,
    }
}

async fn not_found(uri: Uri) -> Problem {
    Problem::new(
        Code::NotFound,
        format!("there is nothing at {}; /docs lists what there is", quoted(uri.path())),
    )
}

async fn method_not_allowed(uri: Uri) -> Response {
    let detail = format!("{} does not take this method; /docs lists what it takes", quoted(uri.path()));
    Problem::new(Code::MethodNotAllowed, detail).into_response()
}

/// The panic is in the log already.
fn panicked() -> Problem {
    Problem::new(Code::Internal, "this service failed; see its log")
}
