//! Pairs of real adapters on which the model is played, and what can befall their views.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::Database;
use mongodb::bson::{Document, doc};
use otc_im::domain::ids::{Accid, Millis, ServerId};
use otc_im::domain::unread::{Change, Load, Merged, Reading, Snapshot, Total};
use otc_im::infra::memory::MemoryView;
use otc_im::infra::mongo::{self, MongoLog};
use otc_im::infra::redis::{Connection, RedisView};
use otc_im::infra::sql::{self, SqliteLog};
use otc_im::ports::StoreError;
use otc_im::ports::message_log::MessageLog;
use otc_im::ports::unread_view::{UnreadView, ViewedPair};
use sqlx::{Row as _, SqlitePool};

use super::log::Row;
use super::scene::Scene;
use crate::support;

/// The keys of a view at one moment, as Redis dumps them.
pub type Dump = Vec<(String, Option<Vec<u8>>)>;

/// One pair of adapters.
pub enum Stage {
    Embedded { pool: SqlitePool, view: Arc<MemoryViews> },
    Servers { database: Database, redis: Connection },
}

impl Stage {
    /// SQLite and memory, in a folder of its own.
    pub async fn embedded() -> Self {
        let file = format!("{}/{}/log.db", env!("CARGO_TARGET_TMPDIR"), support::fresh_name());
        let pool = sql::sqlite(&format!("sqlite:{file}"), 4).await.expect("a file");
        sql::SQLITE.run(&pool).await.expect("a schema");
        Self::Embedded { pool, view: Arc::default() }
    }

    /// MongoDB, in a database of its own, and Redis, which others use as well.
    pub async fn servers() -> Self {
        let url = support::server("TEST_MONGO_URL");
        let (host, options) =
            url.split_once("/?").expect("a MongoDB URL with options and without a database");
        let url = format!("{host}/{}?{options}", support::fresh_name());
        let database = mongo::database(&url, 8).await.expect("MongoDB");
        mongo::prepare(&database, true).await.expect("indexes");
        let redis = Connection::open(&support::server("TEST_REDIS_URL")).await.expect("Redis");
        Self::Servers { database, redis }
    }

    /// Clears away what would stay on a server.
    pub async fn strike(self) {
        if let Self::Servers { database, .. } = self {
            database.drop().await.expect("MongoDB");
        }
    }

    pub fn log(&self) -> Arc<dyn MessageLog> {
        match self {
            Self::Embedded { pool, .. } => Arc::new(SqliteLog::new(pool.clone())),
            Self::Servers { database, .. } => Arc::new(MongoLog::new(database.clone())),
        }
    }

    pub fn view(&self) -> Arc<dyn UnreadView> {
        match self {
            Self::Embedded { view, .. } => Arc::clone(view) as _,
            Self::Servers { redis, .. } => Arc::new(RedisView::new(redis.clone())),
        }
    }

    /// A memory view is in one process and never falls back to an earlier moment.
    pub fn fails_over(&self) -> bool {
        matches!(self, Self::Servers { .. })
    }

    /// One reader's view is gone.
    pub async fn lose(&self, scene: &Scene, reader: &Accid) {
        match self {
            Self::Embedded { view, .. } => drop(view.readers.lock().unwrap().remove(reader)),
            Self::Servers { redis, .. } => {
                let mut delete = redis::cmd("DEL");
                delete.arg(keys(scene, reader)).query_async::<()>(&mut redis.clone()).await.expect("Redis");
            }
        }
    }

    /// What the views of the scene hold now.
    pub async fn dump(&self, scene: &Scene) -> Dump {
        let Self::Servers { redis, .. } = self else { return Vec::new() };
        let mut dump = Vec::new();
        for key in scene.readers.iter().flat_map(|reader| keys(scene, reader)) {
            let held = redis::cmd("DUMP").arg(&key).query_async(&mut redis.clone()).await.expect("Redis");
            dump.push((key, held));
        }
        dump
    }

    /// Makes the views hold that again.
    pub async fn restore(&self, dump: Dump) {
        let Self::Servers { redis, .. } = self else { return };
        for (key, held) in dump {
            let mut restore = redis::cmd("DEL");
            restore.arg(&key).query_async::<()>(&mut redis.clone()).await.expect("Redis");
            if let Some(held) = held {
                let mut restore = redis::cmd("RESTORE");
                restore.arg(&key).arg(0).arg(held);
                restore.query_async::<()>(&mut redis.clone()).await.expect("Redis");
            }
        }
    }

    /// What the log holds of these messages.
    pub async fn rows(&self, scene: &Scene) -> BTreeMap<ServerId, Row> {
        let mut rows = BTreeMap::new();
        for key in scene.messages().map(|(_, message)| message.key) {
            let row = match self {
                Self::Embedded { pool, .. } => sqlite_row(pool, &key.to_string()).await,
                Self::Servers { database, .. } => mongo_row(database, &key.to_string()).await,
            };
            rows.extend(row.map(|row| (key.server_id, row)));
        }
        rows
    }
}

async fn sqlite_row(pool: &SqlitePool, key: &str) -> Option<Row> {
    let sql = r#"SELECT "msgType" IS NOT NULL, recalled, state = 1 FROM messages WHERE id = ?"#;
    let row = sqlx::query(sql).bind(key).fetch_optional(pool).await.expect("SQLite")?;
    Some(Row { stored: row.get(0), recalled: row.get(1), read: row.get(2) })
}

async fn mongo_row(database: &Database, key: &str) -> Option<Row> {
    let found = database.collection::<Document>("messages").find(doc! { "_id": key }).await.expect("MongoDB");
    let row = found.try_collect::<Vec<_>>().await.expect("MongoDB").pop()?;
    let recalled = row.get_bool("recalled").unwrap_or(false);
    let read = row.get_i32("state").is_ok_and(|state| state == 1);
    Some(Row { stored: row.contains_key("msgType"), recalled, read })
}

/// Every key that the view may have of a reader of the scene.
fn keys(scene: &Scene, reader: &Accid) -> Vec<String> {
    let of_peers = scene.peers.iter().map(|peer| format!("u:{peer}"));
    let kinds = ["n", "m", "g"].map(str::to_owned).into_iter().chain(of_peers);
    kinds.map(|kind| format!("im:{{{reader}}}:{kind}")).collect()
}

/// A memory view for each reader, so that one of them can be lost.
#[derive(Default)]
pub struct MemoryViews {
    readers: Mutex<BTreeMap<Accid, Arc<MemoryView>>>,
}

impl MemoryViews {
    fn of(&self, reader: &Accid) -> Arc<MemoryView> {
        let mut readers = self.readers.lock().unwrap();
        Arc::clone(readers.entry(reader.clone()).or_insert_with(|| Arc::new(MemoryView::new(4))))
    }
}

#[async_trait]
impl UnreadView for MemoryViews {
    async fn read(&self, reader: &Accid, peers: &[Accid]) -> Result<Reading, StoreError> {
        self.of(reader).read(reader, peers).await
    }

    async fn total(&self, reader: &Accid) -> Result<Reading<Total>, StoreError> {
        self.of(reader).total(reader).await
    }

    async fn apply(&self, change: &Change, now: Millis) -> Result<(), StoreError> {
        self.of(&change.reader).apply(change, now).await
    }

    async fn begin_load(&self, reader: &Accid, fresh_token: &str) -> Result<Load, StoreError> {
        self.of(reader).begin_load(reader, fresh_token).await
    }

    async fn merge(
        &self,
        reader: &Accid,
        load: &Load,
        snapshot: &Snapshot,
        now: Millis,
    ) -> Result<Merged, StoreError> {
        self.of(reader).merge(reader, load, snapshot, now).await
    }

    async fn explain(&self, reader: &Accid, peer: &Accid) -> Result<ViewedPair, StoreError> {
        self.of(reader).explain(reader, peer).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
