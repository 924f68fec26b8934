//! What a poll costs without a store, and what it costs if MongoDB counts each time.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::{Document, doc};
use otc_im::infra::mongo;
use serde::Deserialize;

use crate::Outcome;
use crate::serve::serve;

#[derive(Deserialize)]
struct Poll<'a> {
    #[serde(borrow, rename = "self")]
    reader: &'a str,
    #[serde(borrow)]
    users: Vec<&'a str>,
}

fn answer<'a>(counts: impl Iterator<Item = (&'a str, i64)>) -> Response {
    let mut map = Vec::with_capacity(1024);
    for (user, count) in counts {
        map.push(if map.is_empty() { b'{' } else { b',' });
        let written = serde_json::to_writer(&mut map, user);
        map.push(b':');
        if written.and_then(|()| serde_json::to_writer(&mut map, &count)).is_err() {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    }
    map.push(b'}');
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], map).into_response()
}

/// Parses a poll and answers zeros.
pub async fn bare(listen: SocketAddr) -> Outcome {
    let handler = |body: Bytes| async move {
        match serde_json::from_slice::<Poll<'_>>(&body) {
            Ok(poll) => answer(poll.users.iter().map(|user| (*user, 0))),
            Err(_) => StatusCode::BAD_REQUEST.into_response(),
        }
    };
    serve(listen, Router::new().route("/v1/unread", post(handler))).await
}

/// Counts in MongoDB, one aggregation a poll, over the service's own index.
pub async fn aggregate(listen: SocketAddr, mongo: String) -> Outcome {
    let messages = mongo::database(&mongo, 64).await?.collection::<Document>("messages");
    let router = Router::new().route("/v1/unread", post(count)).with_state(Arc::new(messages));
    serve(listen, router).await
}

async fn count(State(messages): State<Arc<Collection<Document>>>, body: Bytes) -> Response {
    let Ok(poll) = serde_json::from_slice::<Poll<'_>>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match counts(&messages, &poll).await {
        Ok(counts) => answer(poll.users.iter().map(|user| (*user, counts.get(*user).copied().unwrap_or(0)))),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn counts(
    messages: &Collection<Document>,
    poll: &Poll<'_>,
) -> mongodb::error::Result<HashMap<String, i64>> {
    let wanted = doc! {
        "to": poll.reader, "fromAccount": { "$in": &poll.users }, "state": 0, "counted": true,
    };
    let grouped = doc! { "_id": "$fromAccount", "count": { "$sum": 1_i64 } };
    let mut found = messages.aggregate([doc! { "$match": wanted }, doc! { "$group": grouped }]).await?;
    let mut counts = HashMap::new();
    while let Some(group) = found.try_next().await? {
        if let (Ok(user), Ok(count)) = (group.get_str("_id"), group.get_i64("count")) {
            counts.insert(user.to_owned(), count);
        }
    }
    Ok(counts)
}
