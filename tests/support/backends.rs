//! The stores that the contract suite runs on: opened empty, with a way to lose what they hold and to look behind
//! the port.

use std::any::Any;
use std::fmt;
use std::future::{Ready, ready};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::{DateTime, Document, doc};
use otc_im::domain::ids::{Accid, LetterCase, Millis};
use otc_im::domain::message::MessageKey;
use otc_im::infra::cache::CachedAccounts;
use otc_im::infra::memory::MemoryView;
use otc_im::infra::mongo::{self, MongoLog};
use otc_im::infra::redis::{Connection, NearView, RedisView};
use otc_im::infra::sql::{self, SqlAccounts, SqliteLog};
use otc_im::ports::accounts::Accounts;
use otc_im::ports::dead_letters::DeadLetters;
use otc_im::ports::gaps::Gaps;
use otc_im::ports::log_upkeep::LogUpkeep;
use otc_im::ports::message_log::MessageLog;
use otc_im::ports::unread_view::UnreadView;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use sqlx::{AssertSqlSafe, MySqlPool, Row, SqlitePool};

use super::near;
use super::own_redis::OwnCluster;
use super::own_sentinels::OwnSentinels;
use super::stores::Folder;
use super::{fresh_name, server};

/// Connections of a pool under test.
const CONNECTIONS: u32 = 8;

/// An unread view, whichever it is.
pub struct View {
    /// As commands and queries hold it.
    pub port: Arc<dyn UnreadView>,
    behind: BehindView,
    /// Held so that they run for as long as the view is used.
    servers: Option<Box<dyn Any + Send + Sync>>,
}

enum BehindView {
    Memory(Arc<MemoryView>),
    Redis(Connection),
    /// The same behind near caches, which hear of what is done beside them a moment later.
    Near(Connection, Vec<Arc<NearView>>),
}

impl Deref for View {
    type Target = dyn UnreadView;
    fn deref(&self) -> &Self::Target {
        &*self.port
    }
}

/// The view in this process.
pub fn memory_view() -> View {
    let view = Arc::new(MemoryView::new(10_000));
    View { port: view.clone(), behind: BehindView::Memory(view), servers: None }
}

/// The view on the Redis server that all tests share: keep to readers of your own.
pub async fn redis_view() -> View {
    redis_view_at(&server("TEST_REDIS_URL")).await
}

/// The view on the Redis server or cluster at `url`.
pub async fn redis_view_at(url: &str) -> View {
    let connection = Connection::open(url).await.unwrap();
    View {
        port: Arc::new(RedisView::new(connection.clone())),
        behind: BehindView::Redis(connection),
        servers: None,
    }
}

/// The same behind a near cache.
pub async fn near_view() -> View {
    let (connection, near) = (Connection::open(&server("TEST_REDIS_URL")).await.unwrap(), near::one().await);
    View { port: near.clone(), behind: BehindView::Near(connection, vec![near]), servers: None }
}

/// Two instances of the service, each with a near cache, as one view: either takes every other call.
pub async fn two_near_views() -> View {
    let connection = Connection::open(&server("TEST_REDIS_URL")).await.unwrap();
    let both = [near::one().await, near::one().await];
    View {
        port: Arc::new(near::Both::new(both.clone())),
        behind: BehindView::Near(connection, both.into()),
        servers: None,
    }
}

/// The view on a Redis Cluster of its own.
pub async fn cluster_view() -> View {
    let cluster = OwnCluster::start().await;
    let view = redis_view_at(&cluster.url()).await;
    View { servers: Some(Box::new(cluster)), ..view }
}

/// The view on a master of its own, by way of sentinels.
pub async fn sentinel_view() -> View {
    let own = OwnSentinels::start(2, 1).await;
    let view = redis_view_at(&own.url()).await;
    View { servers: Some(Box::new(own)), ..view }
}

impl View {
    /// Ends its own servers, if it has any.
    pub fn close(self) -> Ready<()> {
        drop(self.servers);
        ready(())
    }

    /// Loses what the view holds of a reader, as a restart of the memory view and an emptied Redis do.
    pub async fn lose(&self, reader: &Accid, peers: &[Accid]) {
        match &self.behind {
            BehindView::Memory(view) => view.lose_everything(),
            BehindView::Redis(connection) | BehindView::Near(connection, _) => {
                let mut delete = redis::cmd("DEL");
                let kinds = ["n".into(), "m".into(), "g".into()];
                let pairs = peers.iter().map(|peer| format!("u:{peer}"));
                for kind in kinds.into_iter().chain(pairs) {
                    delete.arg(redis_key(reader, &kind));
                }
                delete.query_async::<()>(&mut connection.clone()).await.unwrap();
            }
        }
        if let BehindView::Near(_, near) = &self.behind {
            for near in near {
                near::heard_everything(near, &mut self.connection()).await;
            }
        }
    }

    fn connection(&self) -> Connection {
        match &self.behind {
            BehindView::Memory(_) => panic!("not on Redis"),
            BehindView::Redis(connection) | BehindView::Near(connection, _) => connection.clone(),
        }
    }

    /// How many tombstones it keeps of a reader, if that can be seen from outside: on Redis.
    pub async fn tombstones(&self, reader: &Accid) -> Option<usize> {
        match &self.behind {
            BehindView::Memory(_) => None,
            _ => Some(self.redis(&["ZCARD", &redis_key(reader, "g")]).await.unwrap()),
        }
    }

    /// Runs a command beside the view, which must be one on Redis.
    pub async fn redis<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut self.connection()).await
    }
}

/// The name of one of a reader's keys: `n`, `m`, `g` or `u:{peer}`.
pub fn redis_key(reader: &Accid, kind: &str) -> String {
    format!("im:{{{reader}}}:{kind}")
}

/// A message log with the dead letters beside it.
pub struct Log {
    /// The messages.
    pub messages: Arc<dyn MessageLog>,
    /// The same log, as its keeper sees it.
    pub upkeep: Arc<dyn LogUpkeep>,
    /// The same, as the flow of copies is kept there.
    pub gaps: Arc<dyn Gaps>,
    /// The dead letters.
    pub letters: Arc<dyn DeadLetters>,
    behind: BehindLog,
}

enum BehindLog {
    Sqlite(SqlitePool, Folder),
    Mongo(mongodb::Database),
}

impl Deref for Log {
    type Target = dyn MessageLog;
    fn deref(&self) -> &Self::Target {
        &*self.messages
    }
}

/// A new SQLite file.
pub async fn sqlite_log() -> Log {
    let (pool, folder) = sqlite().await;
    let log = Arc::new(SqliteLog::new(pool.clone()));
    Log {
        messages: log.clone(),
        upkeep: log.clone(),
        gaps: log.clone(),
        letters: log,
        behind: BehindLog::Sqlite(pool, folder),
    }
}

/// A new database on the MongoDB server.
pub async fn mongo_log() -> Log {
    let url = server("TEST_MONGO_URL");
    let (host, options) = url.split_once("/?").expect("the URL ends in /?options");
    let database = mongo::database(&format!("{host}/{}?{options}", fresh_name()), CONNECTIONS).await.unwrap();
    mongo::prepare(&database, true).await.unwrap();
    let log = Arc::new(MongoLog::new(database.clone()));
    Log {
        messages: log.clone(),
        upkeep: log.clone(),
        gaps: log.clone(),
        letters: log,
        behind: BehindLog::Mongo(database),
    }
}

impl Log {
    /// The stored `state` of a message, if there is one under this key.
    pub async fn state(&self, key: MessageKey) -> Option<i64> {
        match &self.behind {
            BehindLog::Sqlite(pool, _) => {
                let state = sqlx::query_scalar("SELECT state FROM messages WHERE id = ?");
                state.bind(key.to_string()).fetch_optional(pool).await.unwrap()
            }
            BehindLog::Mongo(database) => {
                let messages = database.collection::<Document>("messages");
                let found = messages.find_one(doc! { "_id": key.to_string() }).await.unwrap();
                found.map(|message| i64::from(message.get_i32("state").unwrap()))
            }
        }
    }

    /// All that a stored message has under this name, in its own place and beside it.
    pub async fn kept(&self, key: MessageKey, name: &str) -> Vec<String> {
        match &self.behind {
            BehindLog::Sqlite(pool, _) => {
                let column = sqlx::query("SELECT * FROM messages WHERE id = ?").bind(key.to_string());
                let row = column.fetch_one(pool).await.unwrap();
                let column: Option<String> = row.try_get(name).ok().flatten();
                let extra: Option<String> = row.get("extra");
                let Pairs(extra) = serde_json::from_str(extra.as_deref().unwrap_or("{}")).unwrap();
                let extra = extra.into_iter().filter(|(field, _)| field == name).map(|(_, value)| value);
                column.into_iter().chain(extra).collect()
            }
            BehindLog::Mongo(database) => {
                let messages = database.collection::<Document>("messages");
                let message = messages.find_one(doc! { "_id": key.to_string() }).await.unwrap().unwrap();
                let text = |document: &Document, name| document.get_str(name).ok().map(ToOwned::to_owned);
                let extra =
                    message.get_array("extra").into_iter().flatten().filter_map(|pair| pair.as_document());
                let extra = extra.filter(|pair| pair.get_str("name").is_ok_and(|field| field == name));
                text(&message, name).into_iter().chain(extra.filter_map(|pair| text(pair, "value"))).collect()
            }
        }
    }

    /// Makes a recall one of this time.
    pub async fn set_recalled_at(&self, key: MessageKey, at: Millis) {
        let changed = match &self.behind {
            BehindLog::Sqlite(pool, _) => {
                let update =
                    sqlx::query(r#"UPDATE messages SET "recalledAt" = ? WHERE id = ? AND recalled = 1"#);
                update.bind(at.0).bind(key.to_string()).execute(pool).await.unwrap().rows_affected()
            }
            BehindLog::Mongo(database) => {
                let messages = database.collection::<Document>("messages");
                let set = doc! { "$set": { "recalledAt": DateTime::from_millis(at.0) } };
                let recalled = doc! { "_id": key.to_string(), "recalled": true };
                messages.update_one(recalled, set).await.unwrap().matched_count
            }
        };
        assert_eq!(changed, 1, "{key} was recalled");
    }

    /// The reason and the text of each dead letter.
    pub async fn dead_letters(&self) -> Vec<(String, String)> {
        match &self.behind {
            BehindLog::Sqlite(pool, _) => {
                sqlx::query_as("SELECT reason, raw FROM dead_letters").fetch_all(pool).await.unwrap()
            }
            BehindLog::Mongo(database) => {
                use futures_util::TryStreamExt;
                let found = database.collection::<Document>("dead_letters").find(doc! {}).await.unwrap();
                let found: Vec<Document> = found.try_collect().await.unwrap();
                let text = |letter: &Document, name| letter.get_str(name).unwrap().to_owned();
                found.iter().map(|letter| (text(letter, "reason"), text(letter, "raw"))).collect()
            }
        }
    }

    /// Removes the database. A test that has failed leaves its own behind, to be looked at.
    pub async fn close(self) {
        match self.behind {
            BehindLog::Sqlite(pool, folder) => {
                pool.close().await;
                drop(folder);
            }
            BehindLog::Mongo(database) => database.drop().await.unwrap(),
        }
    }
}

/// A JSON object of texts, in which a name may be there twice.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                std::iter::from_fn(|| map.next_entry().transpose()).collect::<Result<_, _>>().map(Pairs)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A view over a message log, as the service has them.
pub struct Stack {
    /// The projection.
    pub view: View,
    /// The truth.
    pub log: Log,
}

impl Stack {
    /// Removes what the two hold.
    pub async fn close(self) {
        self.view.close().await;
        self.log.close().await;
    }
}

/// The embedded pair: memory over SQLite.
pub async fn embedded() -> Stack {
    Stack { view: memory_view(), log: sqlite_log().await }
}

/// One instance of the service with a near cache, over SQLite.
pub async fn one_instance() -> Stack {
    Stack { view: near_view().await, log: sqlite_log().await }
}

/// Two instances of the service with near caches, over SQLite: the log is not what they may disagree about.
pub async fn two_instances() -> Stack {
    Stack { view: two_near_views().await, log: sqlite_log().await }
}

/// The pair of production: Redis over MongoDB.
pub async fn production() -> Stack {
    Stack { view: redis_view().await, log: mongo_log().await }
}

/// Account rows.
pub struct Rows {
    /// Directly in the database.
    pub bare: Arc<dyn Accounts>,
    tested: Arc<dyn Accounts>,
    behind: BehindRows,
}

enum BehindRows {
    Sqlite(SqlitePool, Folder),
    MySql(MySqlPool, String),
}

impl Deref for Rows {
    type Target = dyn Accounts;
    fn deref(&self) -> &Self::Target {
        &*self.tested
    }
}

/// A new SQLite file.
pub async fn sqlite_accounts() -> Rows {
    let (pool, folder) = sqlite().await;
    let bare: Arc<dyn Accounts> = Arc::new(SqlAccounts::new(pool.clone(), LetterCase::Distinct));
    Rows { tested: bare.clone(), bare, behind: BehindRows::Sqlite(pool, folder) }
}

/// A new database on the MySQL or MariaDB server.
pub async fn mysql_accounts() -> Rows {
    let (pool, name) = mysql().await;
    let bare: Arc<dyn Accounts> = Arc::new(SqlAccounts::new(pool.clone(), LetterCase::Distinct));
    Rows { tested: bare.clone(), bare, behind: BehindRows::MySql(pool, name) }
}

impl Rows {
    /// The same rows as a site has them whose user ids ignore letter case.
    pub fn folding(&self) -> Arc<dyn Accounts> {
        match &self.behind {
            BehindRows::Sqlite(pool, _) => Arc::new(SqlAccounts::new(pool.clone(), LetterCase::Fold)),
            BehindRows::MySql(pool, _) => Arc::new(SqlAccounts::new(pool.clone(), LetterCase::Fold)),
        }
    }

    /// The same rows behind a cache, as the service has them.
    pub fn cached(self) -> Self {
        let cache = match &self.behind {
            BehindRows::Sqlite(pool, _) => cached(SqlAccounts::new(pool.clone(), LetterCase::Distinct)),
            BehindRows::MySql(pool, _) => cached(SqlAccounts::new(pool.clone(), LetterCase::Distinct)),
        };
        Self { tested: cache, ..self }
    }

    /// Removes the database.
    pub async fn close(self) {
        match self.behind {
            BehindRows::Sqlite(pool, folder) => {
                pool.close().await;
                drop(folder);
            }
            BehindRows::MySql(pool, name) => drop_mysql(pool, &name).await,
        }
    }
}

fn cached(rows: impl Accounts + 'static) -> Arc<dyn Accounts> {
    Arc::new(CachedAccounts::new(rows, 1_000, Duration::from_mins(1)))
}

/// A new SQLite file with the schema.
pub async fn sqlite() -> (SqlitePool, Folder) {
    let folder = Folder::new();
    let pool = sqlite_in(&folder).await;
    sql::SQLITE.run(&pool).await.unwrap();
    (pool, folder)
}

/// A pool of its own on the SQLite file in a folder.
pub async fn sqlite_in(folder: &Folder) -> SqlitePool {
    let url = format!("sqlite:{}/otc-im.db", folder.path().display());
    sql::sqlite(&url, CONNECTIONS).await.unwrap()
}

/// A new database with the schema, and its name.
pub async fn mysql() -> (MySqlPool, String) {
    let name = fresh_name();
    let admin = sql::mysql(&server("TEST_MYSQL_URL"), 1).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&admin).await.unwrap();
    admin.close().await;
    let pool = mysql_in(&name).await;
    sql::MYSQL.run(&pool).await.unwrap();
    (pool, name)
}

/// A pool of its own on the database of this name.
pub async fn mysql_in(name: &str) -> MySqlPool {
    sql::mysql(&format!("{}/{name}", server("TEST_MYSQL_URL")), CONNECTIONS).await.unwrap()
}

/// Removes a database.
pub async fn drop_mysql(pool: MySqlPool, name: &str) {
    sqlx::query(AssertSqlSafe(format!("DROP DATABASE {name}"))).execute(&pool).await.unwrap();
    pool.close().await;
}
