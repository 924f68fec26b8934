//! Opens the stores that the configuration names, by the scheme of each URL alone.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use sqlx::migrate::MigrateError;
use sqlx::{MySqlPool, SqlitePool};

use super::StartError;
use super::background::Background;
use super::store_faults::{odd_scheme, scheme, unreachable_store, without_password};
use super::trust::{accounts_url, messages_url, view_address};
use crate::config::Config;
use crate::infra::cache::CachedAccounts;
use crate::infra::changes::ChangeHub;
use crate::infra::memory::MemoryView;
use crate::infra::mongo::{self, Index, Lack, MongoLog};
use crate::infra::redis::counters::NearCounters;
use crate::infra::redis::near::NearSettings;
use crate::infra::redis::{Connection, NearView, RedisView};
use crate::infra::sql::{self, Schema, SqlAccounts, SqlOutbox, SqliteLog};
use crate::ports::accounts::Accounts;
use crate::ports::dead_letters::DeadLetters;
use crate::ports::gaps::Gaps;
use crate::ports::log_upkeep::LogUpkeep;
use crate::ports::message_log::MessageLog;
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
    /// The flow of copies and its gaps, beside the log.
    pub gaps: Arc<dyn Gaps>,
    /// Dead letters, beside the log.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// The unread view.
    pub view: Arc<dyn UnreadView>,
    /// Which readers it says to have changed.
    pub changes: Arc<dyn UnreadChanges>,
    /// What its near cache counts, if it has one.
    pub near: Option<NearCounters>,
    /// How often it was another one than before.
    pub view_replaced: Counter,
    /// What runs for as long as they are used.
    pub(super) background: Background,
}

/// What a start makes of an accounts' database that is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfAway {
    /// It goes on, and uses the database once it is back.
    Wait,
    /// It fails.
    Fail,
}

impl Stores {
    /// Connects all of them for a service, or says which one cannot be reached. The accounts' database, if it is MySQL,
    /// may be away; its schema is looked at before its first use then.
    pub async fn connect(config: &Config) -> Result<Self, StartError> {
        Self::with(config, config.unread.near_cache_readers, IfAway::Wait).await
    }

    /// Connects all of them for one command, which needs each and answers nobody from memory.
    pub async fn connect_once(config: &Config) -> Result<Self, StartError> {
        Self::with(config, 0, IfAway::Fail).await
    }

    /// Shows what the stores count under `/metrics`.
    pub(super) fn register_metrics(&self, registry: &mut Registry) {
        let help = "Times that Redis was another one than before";
        registry.register("view_replaced", help, self.view_replaced.clone());
        if let Some(near) = &self.near {
            near.register(registry);
        }
    }

    async fn with(config: &Config, readers: usize, away: IfAway) -> Result<Self, StartError> {
        let log = message_log(config).await?;
        let accounts = accounts(config, away).await?;
        Ok(Self::of(accounts, log, unread_view(config, readers).await?))
    }

    /// All three of them.
    pub(super) fn of(accounts: AccountStore, log: Log, view: View) -> Self {
        let (accounts, outbox, notifications) = accounts;
        let (log, upkeep, gaps, dead_letters) = log;
        let View { port: view, changes, near, replaced: view_replaced, background } = view;
        Self {
            accounts,
            outbox,
            notifications,
            log,
            upkeep,
            gaps,
            dead_letters,
            view,
            changes,
            near,
            view_replaced,
            background,
        }
    }
}

/// Brings every schema up to date. Safe to repeat, to run several times at once, and to run beside a running service of
/// the version before.
pub async fn migrate(config: &Config) -> Result<(), StartError> {
    let (key, url) = ("accounts.url", &accounts_url(config)?);
    match scheme(url) {
        "mysql" => sql::migrate_mysql(url).await.map_err(|e| failed_migration(key, url, &e))?,
        "sqlite" => sql::migrate_sqlite(url).await.map_err(|e| failed_migration(key, url, &e))?,
        _ => return Err(odd_scheme(key, "mysql: or sqlite:")),
    }
    let (key, url) = ("messages.url", &messages_url(config)?);
    match scheme(url) {
        "mongodb" | "mongodb+srv" => {
            let database = mongo::database(url, 1).await.map_err(|e| unreachable_store(key, url, &e))?;
            let prepared = mongo::prepare(&database, config.messages.retention_days.is_some()).await;
            mongo::close(database).await;
            in_order(key, &prepared.map_err(|e| unreachable_store(key, url, &e))?)
        }
        "sqlite" => sql::migrate_sqlite(url).await.map_err(|e| failed_migration(key, url, &e)),
        _ => Err(odd_scheme(key, "mongodb: or sqlite:")),
    }
}

/// Takes back what the account rows of an embedded service say of NetEase: a new simulator has no accounts yet.
pub async fn forget_netease(config: &Config) -> Result<(), StartError> {
    let (key, url) = ("accounts.url", &config.accounts.url);
    let pool = sql::sqlite(url, 1).await.map_err(|e| unreachable_store(key, url, &e))?;
    sql::forget_confirmations(&pool).await.map_err(|e| unreachable_store(key, url, &e))
}

/// The accounts' database in its three roles.
pub(super) type AccountStore = (Arc<dyn Accounts>, Arc<dyn Outbox>, Arc<dyn Notifications>);

pub(super) async fn accounts(config: &Config, away: IfAway) -> Result<AccountStore, StartError> {
    let (key, settings) = ("accounts.url", &config.accounts);
    let url = &accounts_url(config)?;
    match scheme(url) {
        "mysql" => {
            let (pool, schema) = mysql(key, url, settings.max_connections, away).await?;
            let outbox = Arc::new(SqlOutbox::new(pool.clone(), settings.case).not_before(schema.clone()));
            let accounts = cached(config, SqlAccounts::new(pool, settings.case).not_before(schema));
            Ok((accounts, Arc::clone(&outbox) as _, outbox))
        }
        "sqlite" => {
            let pool = sqlite(key, url, settings.max_connections).await?;
            let outbox = Arc::new(SqlOutbox::new(pool.clone(), settings.case));
            Ok((cached(config, SqlAccounts::new(pool, settings.case)), Arc::clone(&outbox) as _, outbox))
        }
        _ => Err(odd_scheme(key, "mysql: or sqlite:")),
    }
}

async fn mysql(
    key: &str,
    url: &str,
    max_connections: u32,
    away: IfAway,
) -> Result<(MySqlPool, Schema), StartError> {
    let pool = sql::mysql_later(url, max_connections).map_err(|e| unreachable_store(key, url, &e))?;
    match sql::mysql_is_up_to_date(url).await {
        Ok(true) => Ok((pool, Schema::seen())),
        Ok(false) => Err(not_migrated(key)),
        Err(error) if away == IfAway::Wait && sql::is_away(&error) => {
            tracing::warn!(
                place = without_password(url),
                %error,
                "the accounts' database is out of reach: binds and notices are 503 until it is back"
            );
            Ok((pool.clone(), Schema::unseen(pool)))
        }
        Err(error) => Err(unreachable_store(key, url, &error)),
    }
}

fn cached<A: Accounts + 'static>(config: &Config, accounts: A) -> Arc<dyn Accounts> {
    Arc::new(CachedAccounts::new(accounts, config.accounts.cache_capacity, config.accounts.cache_ttl))
}

/// The message log in its four roles.
pub(super) type Log = (Arc<dyn MessageLog>, Arc<dyn LogUpkeep>, Arc<dyn Gaps>, Arc<dyn DeadLetters>);

pub(super) async fn message_log(config: &Config) -> Result<Log, StartError> {
    let (key, settings) = ("messages.url", &config.messages);
    let url = &messages_url(config)?;
    match scheme(url) {
        "mongodb" | "mongodb+srv" => {
            let database = mongo::database(url, settings.max_connections).await;
            let database = database.map_err(|e| unreachable_store(key, url, &e))?;
            let lacks = mongo::lacks(&database, settings.retention_days.is_some()).await;
            let lacks = lacks.map_err(|e| unreachable_store(key, url, &e));
            if let Err(error) = lacks.and_then(|lacks| in_order(key, &lacks)) {
                mongo::close(database).await;
                return Err(error);
            }
            let log = Arc::new(MongoLog::new(database));
            Ok((Arc::clone(&log) as _, Arc::clone(&log) as _, Arc::clone(&log) as _, log))
        }
        "sqlite" => {
            let log = Arc::new(SqliteLog::new(sqlite(key, url, settings.max_connections).await?));
            Ok((Arc::clone(&log) as _, Arc::clone(&log) as _, Arc::clone(&log) as _, log))
        }
        _ => Err(odd_scheme(key, "mongodb: or sqlite:")),
    }
}

/// The view, which readers it says to have changed, what its near cache counts, how often it was another one, and what
/// runs for as long as it is used.
pub(super) struct View {
    pub(super) port: Arc<dyn UnreadView>,
    changes: Arc<dyn UnreadChanges>,
    near: Option<NearCounters>,
    replaced: Counter,
    background: Background,
}

pub(super) async fn unread_view(config: &Config, readers: usize) -> Result<View, StartError> {
    let (key, settings) = ("unread.url", &config.unread);
    let url = &settings.url;
    let near = NearSettings { readers, staleness: settings.near_cache_staleness };
    let mut background = Background::default();
    match scheme(url) {
        "memory" => {
            let view = MemoryView::new(settings.max_readers);
            let changes = Arc::new(view.changes());
            let replaced = Counter::default();
            Ok(View { port: Arc::new(view), changes, near: None, replaced, background })
        }
        scheme @ ("redis" | "rediss" | "redis+sentinel" | "rediss+sentinel" | "redis-cluster"
        | "rediss-cluster") => {
            let place = view_address(config)?;
            let connection =
                Connection::open(place.clone()).await.map_err(|e| unreachable_store(key, url, &e))?;
            let replaced = connection.replaced();
            if let Some(watch) = connection.watch() {
                background.watch("cluster watch", watch);
            }
            // The nodes of a cluster would each have to be listened to.
            if scheme.ends_with("-cluster") || near.readers == 0 {
                let view = Arc::new(RedisView::new(connection));
                return Ok(View {
                    port: view,
                    changes: Arc::new(ChangeHub::default()),
                    near: None,
                    replaced,
                    background,
                });
            }
            let (view, keeper) =
                NearView::over(connection, place, near).map_err(|e| unreachable_store(key, url, &e))?;
            background.watch("near cache", keeper);
            let (changes, near) = (Arc::new(view.changes()), Some(view.counters()));
            Ok(View { port: Arc::new(view), changes, near, replaced, background })
        }
        _ => Err(odd_scheme(key, "memory:, redis:, redis+sentinel: or redis-cluster:")),
    }
}

async fn sqlite(key: &str, url: &str, max_connections: u32) -> Result<SqlitePool, StartError> {
    let pool = sql::sqlite(url, max_connections).await.map_err(|e| unreachable_store(key, url, &e))?;
    let applied = sql::applied(&pool).await.map_err(|e| unreachable_store(key, url, &e))?;
    match sql::up_to_date(&sql::SQLITE, &applied) {
        true => Ok(pool),
        false => Err(not_migrated(key)),
    }
}

/// Whether MongoDB has every index.
fn in_order(key: &str, lacks: &[Lack]) -> Result<(), StartError> {
    match lacks.first() {
        None => Ok(()),
        Some(Lack::Missing(Index { collection, name, .. })) => Err(StartError::Store(format!(
            "the schema behind {key} is not up to date, it lacks the index {name} of {collection}: run \
             `otc-im migrate` first"
        ))),
        Some(Lack::Another(Index { collection, name, .. })) => Err(StartError::Store(format!(
            "behind {key} there is an index {name} of {collection} that is not the one this service needs: drop it \
             (db.{collection}.dropIndex(\"{name}\") in mongosh), then run `otc-im migrate`"
        ))),
    }
}

fn not_migrated(key: &str) -> StartError {
    StartError::Store(format!("the schema behind {key} is not up to date: run `otc-im migrate` first"))
}

fn failed_migration(key: &str, url: &str, error: &MigrateError) -> StartError {
    if let MigrateError::Execute(error @ sqlx::Error::Configuration(_)) = error {
        return unreachable_store(key, url, error);
    }
    let place = without_password(url);
    StartError::Store(format!("{key}: the schema at {place} cannot be brought up to date: {error}"))
}
