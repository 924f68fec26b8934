//! Opens the SQL databases and knows their schema.

use std::io;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::migrate::Migrator;
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{
    ColumnIndex, Connection, Database, Decode, Error, Executor, IntoArguments, MySqlPool, Pool, SqlitePool,
    Type,
};

/// MySQL's migrations, part of the binary.
pub static MYSQL: Migrator = sqlx::migrate!("migrations/mysql");
/// SQLite's migrations, part of the binary.
pub static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");

/// How long a request waits for a free connection, and for a server that does not answer.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long one SQLite writer waits for another.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// A pool of at most `max_connections` to a MySQL or MariaDB server.
pub async fn mysql(url: &str, max_connections: u32) -> Result<MySqlPool, Error> {
    let options = MySqlConnectOptions::from_str(url)?;
    MySqlPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_release(|connection, _| Box::pin(is_reusable(connection)))
        .connect_with(options)
        .await
}

/// A pool of at most `max_connections` to a SQLite file, which is made if it is not there, with its folder.
///
/// Every commit reaches the disk before it is acknowledged (`synchronous = FULL` in write-ahead mode).
pub async fn sqlite(url: &str, max_connections: u32) -> Result<SqlitePool, Error> {
    let options = SqliteConnectOptions::from_str(url)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT);
    if let Some(folder) = options.get_filename().parent().filter(|path| *path != Path::new("")) {
        std::fs::create_dir_all(folder).map_err(Error::Io)?;
    }
    SqlitePoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_release(|connection, _| Box::pin(is_reusable(connection)))
        .connect_with(options)
        .await
}

/// Whether a connection that comes back to its pool may be used again; else the pool opens another.
///
/// sqlx asks it itself, but waits for ever: a connection that swallows everything would never make room. And after a
/// full disk SQLite has rolled back by itself, which sqlx does not notice: it would never begin a transaction again.
async fn is_reusable(connection: &mut impl Connection) -> Result<bool, Error> {
    let answered = tokio::time::timeout(ACQUIRE_TIMEOUT, connection.ping()).await;
    answered.map_err(|_| Error::Io(io::ErrorKind::TimedOut.into()))??;
    Ok(!connection.is_in_transaction())
}

/// The migrations that a database has; none if it has never seen one, and so refuses the question.
pub async fn applied<DB: Database>(pool: &Pool<DB>) -> Result<Vec<i64>, Error>
where
    for<'c> &'c Pool<DB>: Executor<'c, Database = DB>,
    DB::Arguments: IntoArguments<DB>,
    for<'r> i64: Decode<'r, DB> + Type<DB>,
    usize: ColumnIndex<DB::Row>,
{
    let versions = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success = TRUE");
    match versions.fetch_all(pool).await {
        Err(Error::Database(refusal)) if no_such_table(&*refusal) => Ok(Vec::new()),
        outcome => outcome,
    }
}

/// SQLSTATE on MySQL; SQLite says it in words alone.
fn no_such_table(refusal: &dyn DatabaseError) -> bool {
    refusal.code().as_deref() == Some("42S02") || refusal.message().starts_with("no such table")
}

/// No account and no friendship is at NetEase any more: what a simulator that begins anew stands for.
pub async fn forget_confirmations(pool: &SqlitePool) -> Result<(), Error> {
    sqlx::query("UPDATE accounts SET registered = FALSE, confirmed_name = NULL").execute(pool).await?;
    sqlx::query("DELETE FROM friendships").execute(pool).await.map(|_| ())
}
