//! The control API (`/simulator/…`): its routes, its listing, and who may ask.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};

use self::refusal::Refusal;
use crate::state::Shared;

mod afterwards;
mod copy;
mod facts;
mod posting;
mod read;
mod refusal;
mod send;
mod switches;

const LISTING: [&str; 19] = [
    "POST   /simulator/send {from,to,body?,count?,msgType?,convType?,fromNick?,antispam?,blacklist?,timestamp?,force?,wait?,extra?}",
    "POST   /simulator/read {reader,peer,timestamp?,event?:30|85,objects?:string|array,force?,wait?}",
    "POST   /simulator/read-batch {receipts:[{reader,peer,timestamp?}],objects?,force?,wait?}",
    "POST   /simulator/recall {msgidServer,wait?}",
    "POST   /simulator/edit {msgidServer,text?,attachment?,extension?,modifyTime?,wait?}",
    "POST   /simulator/review {msgidServer,wait?}",
    "POST   /simulator/copy {body|raw,signature?:good|bad-md5|bad-checksum|seconds,headers?,wait?}",
    "POST   /simulator/login {accid,token,client?:AOS|IOS|PC|WEB|MAC|…}",
    "POST   /simulator/logout {accid,client?}",
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
        .route("/simulator/send", post(send::send))
        .route("/simulator/read", post(read::read))
        .route("/simulator/read-batch", post(read::read_batch))
        .route("/simulator/recall", post(read::recall))
        .route("/simulator/edit", post(afterwards::edit))
        .route("/simulator/review", post(afterwards::review))
        .route("/simulator/copy", post(copy::copy))
        .route("/simulator/login", post(switches::login))
        .route("/simulator/logout", post(switches::logout))
        .route("/simulator/webhook", post(switches::set_webhook))
        .route("/simulator/drain", post(switches::drain))
        .route(
            "/simulator/faults",
            get(switches::faults).put(switches::set_faults).delete(switches::reset_faults),
        )
        .route("/simulator/accounts/{accid}", get(facts::account))
        .route("/simulator/notices", get(facts::notices))
        .route("/simulator/messages", get(facts::messages))
        .route("/simulator/unread", get(facts::unread))
        .route("/simulator/stats", get(facts::stats))
        .route("/simulator/calls", get(facts::calls))
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
