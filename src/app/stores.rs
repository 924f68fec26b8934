//! Opens the stores that the configuration names, by the scheme of each URL alone.

use std::fmt::Display;
use std::sync::Arc;

use sqlx::SqlitePool;
use sqlx::migrate::Migrator;

use super::StartError;
use super::background::Background;
use crate::config::{Config, ConfigError};
use crate::infra::cache::CachedAccounts;
use crate::infra::memory::MemoryView;
use crate::infra::mongo::{self, MongoLog};
use crate::infra::redis::near::NearSettings;
use crate::infra::redis::{Connection, NearView, RedisView};
use crate::infra::sql::{self, SqlAccounts, SqlOutbox, SqliteLog};
use crate::ports::accounts::Accounts;
use crate::ports::dead_letters::DeadLetters;
use crate::ports::log_upkeep::LogUpkeep;
use crate::ports::message_log::MessageLog;
use crate::ports::near_counters::NearCounters;
use crate::ports::outbox::{Notifications, Outbox};
use crate::ports::unread_changes::UnreadChanges;
use crate::ports::unread_view::UnreadView;

/// The stores, connected, with their schema up to date.
pub struct Stores {
    /// Account rows behind their cache.
    pub accounts: Arc<dyn Accounts>,
    /// What is owed to NetEase.
    pub outbox: Arc<dyn Outbox>,
    /// The notifications in it.
    pub notifications: Arc<dyn Notifications>,
    /// The message log.
    pub log: Arc<dyn MessageLog>,
    /// The same log, for its upkeep.
    pub upkeep: Arc<dyn LogUpkeep>,
    /// Dead letters, beside the log.
    pub letters: Arc<dyn DeadLetters>,
    /// The unread view.
    pub view: Arc<dyn UnreadView>,
    /// Which readers it says to have changed.
    pub changes: Arc<UnreadChanges>,
    /// What its near cache counts, if it has one.
    pub near: Option<NearCounters>,
    /// What runs for as long as they are used.
    pub(super) background: Background,
}

impl Stores {
    /// Connects all of them, or says which one cannot be reached.
    pub async fn connect(config: &Config) -> Result<Self, StartError> {
        Self::with_near(config, config.unread.near_cache_readers).await
    }

    /// The same for one command, which answers nobody from memory.
    pub async fn connect_once(config: &Config) -> Result<Self, StartError> {
        Self::with_near(config, 0).await
    }

    async fn with_near(config: &Config, readers: usize) -> Result<Self, StartError> {
        let (log, upkeep, letters) = message_log(config).await?;
        let (accounts, outbox, notifications) = accounts(config).await?;
        let mut background = Background::default();
        let (view, changes, near) = unread_view(config, readers, &mut background).await?;
        Ok(Self { accounts, outbox, notifications, log, upkeep, letters, view, changes, near, background })
    }
}

/// Brings every schema up to date. Safe to repeat, and to run beside a running service of the version before.
pub async fn migrate(config: &Config) -> Result<(), StartError> {
    let (key, url) = ("accounts.url", &config.accounts.url);
    match scheme(url) {
        "mysql" => {
            let pool = sql::mysql(url, 1).await.map_err(|e| unreachable_store(key, url, &e))?;
            sql::MYSQL.run(&pool).await.map_err(|e| failed_migration(key, &e))?;
        }
        "sqlite" => migrate_sqlite(key, url).await?,
        _ => return Err(odd_scheme(key, url, "mysql: or sqlite:")),
    }
    let (key, url) = ("messages.url", &config.messages.url);
    match scheme(url) {
        "mongodb" | "mongodb+srv" => {
            let database = mongo::database(url, 1).await.map_err(|e| unreachable_store(key, url, &e))?;
            let prepared = mongo::prepare(&database).await;
            mongo::close(database).await;
            prepared.map_err(|e| unreachable_store(key, url, &e))
        }
        "sqlite" => migrate_sqlite(key, url).await,
        _ => Err(odd_scheme(key, url, "mongodb: or sqlite:")),
    }
}

async fn migrate_sqlite(key: &str, url: &str) -> Result<(), StartError> {
    let pool = sql::sqlite(url, 1).await.map_err(|e| unreachable_store(key, url, &e))?;
    sql::SQLITE.run(&pool).await.map_err(|e| failed_migration(key, &e))
}

/// Takes back what the account rows of an embedded service say of NetEase: a new simulator has no accounts yet.
pub async fn forget_netease(config: &Config) -> Result<(), StartError> {
    let (key, url) = ("accounts.url", &config.accounts.url);
    let pool = sql::sqlite(url, 1).await.map_err(|e| unreachable_store(key, url, &e))?;
    sql::forget_confirmations(&pool).await.map_err(|e| unreachable_store(key, url, &e))
}

/// The accounts' database in its three roles.
pub(super) type AccountStore = (Arc<dyn Accounts>, Arc<dyn Outbox>, Arc<dyn Notifications>);

pub(super) async fn accounts(config: &Config) -> Result<AccountStore, StartError> {
    let (key, settings) = ("accounts.url", &config.accounts);
    let url = &settings.url;
    match scheme(url) {
        "mysql" => {
            let pool = sql::mysql(url, settings.max_connections)
                .await
                .map_err(|e| unreachable_store(key, url, &e))?;
            let applied = sql::applied(&pool).await.map_err(|e| unreachable_store(key, url, &e))?;
            up_to_date(key, &sql::MYSQL, &applied)?;
            let outbox = Arc::new(SqlOutbox::new(pool.clone()));
            Ok((cached(config, SqlAccounts::new(pool)), Arc::clone(&outbox) as _, outbox))
        }
        "sqlite" => {
            let pool = sqlite(key, url, settings.max_connections).await?;
            let outbox = Arc::new(SqlOutbox::new(pool.clone()));
            Ok((cached(config, SqlAccounts::new(pool)), Arc::clone(&outbox) as _, outbox))
        }
        _ => Err(odd_scheme(key, url, "mysql: or sqlite:")),
    }
}

fn cached<A: Accounts + 'static>(config: &Config, accounts: A) -> Arc<dyn Accounts> {
    Arc::new(CachedAccounts::new(accounts, config.accounts.cache_capacity, config.accounts.cache_ttl))
}

/// The message log in its three roles.
type Log = (Arc<dyn MessageLog>, Arc<dyn LogUpkeep>, Arc<dyn DeadLetters>);

async fn message_log(config: &Config) -> Result<Log, StartError> {
    let (key, settings) = ("messages.url", &config.messages);
    let url = &settings.url;
    match scheme(url) {
        "mongodb" | "mongodb+srv" => {
            let database = mongo::database(url, settings.max_connections).await;
            let database = database.map_err(|e| unreachable_store(key, url, &e))?;
            let prepared =
                mongo::is_prepared(&database).await.map_err(|e| unreachable_store(key, url, &e))?;
            if !prepared {
                return Err(not_migrated(key));
            }
            let log = Arc::new(MongoLog::new(database));
            Ok((Arc::clone(&log) as _, Arc::clone(&log) as _, log))
        }
        "sqlite" => {
            let log = Arc::new(SqliteLog::new(sqlite(key, url, settings.max_connections).await?));
            Ok((Arc::clone(&log) as _, Arc::clone(&log) as _, log))
        }
        _ => Err(odd_scheme(key, url, "mongodb: or sqlite:")),
    }
}

/// The view, which readers it says to have changed, and what its near cache counts.
type View = (Arc<dyn UnreadView>, Arc<UnreadChanges>, Option<NearCounters>);

async fn unread_view(
    config: &Config,
    readers: usize,
    background: &mut Background,
) -> Result<View, StartError> {
    let (key, settings) = ("unread.url", &config.unread);
    let url = &settings.url;
    let near = NearSettings { readers, staleness: settings.near_cache_staleness };
    match scheme(url) {
        "memory" => {
            let view = MemoryView::new(settings.max_readers);
            let changes = view.changes();
            Ok((Arc::new(view), changes, None))
        }
        scheme @ ("redis" | "rediss" | "redis-cluster" | "rediss-cluster") => {
            let connection = Connection::open(url).await.map_err(|e| unreachable_store(key, url, &e))?;
            // The nodes of a cluster would each have to be listened to.
            if scheme.ends_with("-cluster") || near.readers == 0 {
                return Ok((Arc::new(RedisView::new(connection)), Arc::default(), None));
            }
            let (view, keeper) =
                NearView::over(connection, url, near).map_err(|e| unreachable_store(key, url, &e))?;
            background.watch("near cache", keeper);
            let (changes, counters) = (view.changes(), view.counters());
            Ok((Arc::new(view), changes, Some(counters)))
        }
        _ => Err(odd_scheme(key, url, "memory:, redis: or redis-cluster:")),
    }
}

async fn sqlite(key: &str, url: &str, max_connections: u32) -> Result<SqlitePool, StartError> {
    let pool = sql::sqlite(url, max_connections).await.map_err(|e| unreachable_store(key, url, &e))?;
    let applied = sql::applied(&pool).await.map_err(|e| unreachable_store(key, url, &e))?;
    up_to_date(key, &sql::SQLITE, &applied)?;
    Ok(pool)
}

fn up_to_date(key: &str, migrator: &Migrator, applied: &[i64]) -> Result<(), StartError> {
    match migrator.iter().all(|migration| applied.contains(&migration.version)) {
        true => Ok(()),
        false => Err(not_migrated(key)),
    }
}

fn not_migrated(key: &str) -> StartError {
    StartError::Store(format!("the schema behind {key} is not up to date: run `otc-im migrate` first"))
}

fn failed_migration(key: &str, error: &dyn Display) -> StartError {
    StartError::Store(format!("the schema behind {key} cannot be brought up to date: {error}"))
}

fn unreachable_store(key: &str, url: &str, error: &dyn Display) -> StartError {
    let place = without_password(url);
    StartError::Store(format!("{key}: cannot use {place}: {error}; start that server or correct {key}"))
}

fn odd_scheme(key: &str, url: &str, schemes: &str) -> StartError {
    let place = without_password(url);
    ConfigError(format!("{key} must begin with {schemes}, not as in `{place}`")).into()
}

fn scheme(url: &str) -> &str {
    url.split_once(':').map_or("", |(scheme, _)| scheme)
}

/// The URL as it may be shown: without who logs in and how.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://{place}"),
        _ => url.to_owned(),
    }
}
