//! A webhook as it is written first: verify, parse, one durable write, one script, answer. And what is left of it
//! without stores.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use clap::Args;
use md5::Md5;
use mongodb::Collection;
use mongodb::bson::{Document, doc};
use otc_im::infra::{mongo, sql};
use redis::Script;
use redis::aio::MultiplexedConnection;
use serde_json::Value;
use sha1::{Digest, Sha1};
use sqlx::SqlitePool;

use crate::serve::serve;
use crate::{Outcome, copies};

/// `naive-webhook`
#[derive(Args)]
pub struct Naive {
    #[arg(long)]
    listen: SocketAddr,
    /// The app secret
    #[arg(long)]
    secret: String,
    /// `mongodb://…/database`; needs --redis
    #[arg(long, requires = "redis")]
    mongo: Option<String>,
    /// Where the script runs
    #[arg(long)]
    redis: Option<String>,
    /// `sqlite:path`, with counts in memory; without any store it only verifies and parses
    #[arg(long, conflicts_with = "mongo")]
    sqlite: Option<String>,
}

/// Where messages go.
enum Stores {
    None,
    Servers { messages: Collection<Document>, redis: MultiplexedConnection, script: Script },
    Embedded { pool: SqlitePool, counts: Mutex<HashMap<(String, String), u64>> },
}

struct Endpoint {
    secret: String,
    stores: Stores,
}

/// Adds an unread message and sets the count.
const SCRIPT: &str = "
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
return redis.call('HSET', KEYS[1], ARGV[1], redis.call('ZCARD', KEYS[2]))";

impl Naive {
    /// Serves until the process is ended.
    pub async fn run(self) -> Outcome {
        let stores = if let (Some(mongo), Some(redis)) = (self.mongo, self.redis) {
            let database = mongo::database(&mongo, 64).await?;
            mongo::prepare(&database, true).await?;
            let redis = redis::Client::open(redis)?.get_multiplexed_async_connection().await?;
            Stores::Servers { messages: database.collection("messages"), redis, script: Script::new(SCRIPT) }
        } else if let Some(sqlite) = self.sqlite {
            let pool = sql::sqlite(&sqlite, 16).await?;
            sqlx::query("CREATE TABLE IF NOT EXISTS messages (id TEXT PRIMARY KEY, reader TEXT, peer TEXT, at INTEGER, raw TEXT)")
                .execute(&pool)
                .await?;
            sqlx::query("CREATE INDEX IF NOT EXISTS unread ON messages (reader, peer, at)")
                .execute(&pool)
                .await?;
            Stores::Embedded { pool, counts: Mutex::default() }
        } else {
            Stores::None
        };
        let endpoint = Arc::new(Endpoint { secret: self.secret, stores });
        serve(self.listen, Router::new().route("/receiveMsg.action", post(receive)).with_state(endpoint))
            .await
    }
}

async fn receive(
    State(endpoint): State<Arc<Endpoint>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let md5 = hex::encode(Md5::digest(&body));
    let signed = format!("{}{md5}{}", endpoint.secret, header("CurTime"));
    if md5 != header("MD5") || hex::encode(Sha1::digest(signed)) != header("CheckSum") {
        return (StatusCode::UNAUTHORIZED, "{}");
    }
    let Ok(message) = serde_json::from_slice::<Value>(&body) else { return (StatusCode::BAD_REQUEST, "{}") };
    match endpoint.stores.take_in(&message).await {
        Ok(()) => (StatusCode::OK, r#"{"code":200}"#),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "{}"),
    }
}

impl Stores {
    async fn take_in(&self, message: &Value) -> Outcome {
        let text = |name: &str| message[name].as_str().unwrap_or_default();
        let (reader, peer, id) = (text("to"), text("fromAccount"), text("msgidServer"));
        match self {
            Self::None => {}
            Self::Servers { messages, redis, script } => {
                messages.insert_one(document(message)).await?;
                let key = |what: &str| format!("naive:{{{reader}}}:{what}");
                let mut call = script.prepare_invoke();
                call.key(key("n")).key(key(peer)).arg(peer).arg(id).arg(text("msgTimestamp"));
                call.invoke_async::<()>(&mut redis.clone()).await?;
            }
            Self::Embedded { pool, counts } => {
                let insert =
                    sqlx::query("INSERT INTO messages (id, reader, peer, at, raw) VALUES (?, ?, ?, ?, ?)");
                let at: i64 = text("msgTimestamp").parse()?;
                insert
                    .bind(id)
                    .bind(reader)
                    .bind(peer)
                    .bind(at)
                    .bind(message.to_string())
                    .execute(pool)
                    .await?;
                let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
                *counts.entry((reader.to_owned(), peer.to_owned())).or_default() += 1;
            }
        }
        Ok(())
    }
}

/// The fields that the service keeps, under the same names.
fn document(message: &Value) -> Document {
    let mut document = doc! { "state": 0, "counted": true };
    for (name, value) in message.as_object().into_iter().flatten() {
        match (name.as_str(), value.as_str()) {
            ("msgidServer", Some(id)) => {
                document.insert("_id", format!("PERSON:{id}"));
                document.insert("msgidServer", id);
            }
            ("msgTimestamp", Some(at)) => {
                document.insert("msgTimestamp", at.parse::<i64>().unwrap_or_default());
            }
            ("tMembers" | "ext", _) | (_, None) => {}
            (name, Some(text)) => {
                document.insert(name, text);
            }
        }
    }
    document
}

/// The document of message `n`, for whoever writes without an endpoint.
pub fn document_of(copies: &copies::Copies, n: u64) -> Document {
    serde_json::from_str(&copies.body(n)).map(|message| document(&message)).unwrap_or_default()
}
