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

use super::api::Api;
use super::connection::close_if_untaken;
use super::metrics::Timing;
use super::problem::{Code, Problem, quoted};
use super::request::one_host;
use super::{bind, cors, docs, health, notifications, unread, unread_stream, webhook};

/// The whole HTTP surface; pages of `cors_origins` may call it, the webhook apart.
pub fn router(api: Arc<Api>, cors_origins: &[String]) -> Router {
    let (site, mut document) = OpenApiRouter::with_openapi(docs::document())
        .routes(routes!(bind::bind))
        .routes(routes!(notifications::notify))
        .routes(routes!(notifications::status))
        .routes(routes!(unread::post_unread, unread::get_unread))
        .routes(routes!(unread_stream::stream_unread))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .split_for_parts();
    let (webhook, webhook_document) =
        OpenApiRouter::new().routes(routes!(webhook::receive)).split_for_parts();
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
    site.merge(webhook).layer(middleware::from_fn_with_state(Arc::clone(&api), every_request)).with_state(api)
}

/// What is done for every request, whatever its path.
async fn every_request(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let timing = Timing::begin(&api.metrics, &request);
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
