//! Histories over the real stores, few seeds of them: MongoDB with Redis, SQLite with the view in memory.

use std::path::Path;
use std::sync::Arc;

use otc_im::infra::memory::MemoryView;
use otc_im::infra::mongo::{self, MongoLog};
use otc_im::infra::redis::{Connection, RedisView};
use otc_im::infra::sql::{self, SqliteLog};

use super::real_stores::{Backend, Loss, run};
use crate::support::{fresh_name, server};

/// Seeds on MongoDB and Redis, and again on SQLite.
const SEEDS: u64 = 20;
const MAX_CONNECTIONS: u32 = 16;

fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made")
}

#[test]
fn the_same_histories_end_right_on_mongodb_and_redis() {
    let (mongo_url, redis_url) = (server("TEST_MONGO_URL"), server("TEST_REDIS_URL"));
    runtime().block_on(async {
        for seed in 0..SEEDS {
            on_servers(seed, &mongo_url, &redis_url).await;
        }
    });
}

/// A database of its own, and names of its own in the shared Redis.
async fn on_servers(seed: u64, mongo_url: &str, redis_url: &str) {
    let name = fresh_name();
    let (hosts, options) = mongo_url.split_once("/?").unwrap_or((mongo_url.trim_end_matches('/'), ""));
    let database = mongo::database(&format!("{hosts}/{name}?{options}"), MAX_CONNECTIONS).await;
    let database = database.expect("MongoDB's URL is right");
    mongo::prepare(&database, true).await.expect("MongoDB answers");
    let connect = async || Connection::open(redis_url).await.expect("Redis answers");
    let log = Arc::new(MongoLog::new(database.clone()));
    let backend = Backend {
        log: Arc::clone(&log) as _,
        upkeep: Arc::clone(&log) as _,
        letters: log,
        views: [Arc::new(RedisView::new(connect().await)), Arc::new(RedisView::new(connect().await))],
        loss: Loss::Redis(connect().await),
    };
    run(seed, &name, backend).await;
    database.drop().await.expect("MongoDB answers");
}

#[test]
fn the_same_histories_end_right_on_sqlite_and_in_memory() {
    runtime().block_on(async {
        for seed in 0..SEEDS {
            embedded(seed).await;
        }
    });
}

async fn embedded(seed: u64) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(fresh_name());
    let url = format!("sqlite:{}/log.db", folder.display());
    let pool = sql::sqlite(&url, MAX_CONNECTIONS).await.expect("the file can be made");
    sql::SQLITE.run(&pool).await.expect("the schema is right");
    let log = Arc::new(SqliteLog::new(pool.clone()));
    let view = Arc::new(MemoryView::new(1_000));
    let backend = Backend {
        log: Arc::clone(&log) as _,
        upkeep: Arc::clone(&log) as _,
        letters: log,
        views: [Arc::clone(&view) as _, Arc::clone(&view) as _],
        loss: Loss::Memory(view),
    };
    run(seed, "", backend).await;
    pool.close().await;
    std::fs::remove_dir_all(folder).expect("the folder is there");
}
