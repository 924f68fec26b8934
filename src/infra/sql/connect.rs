//! Opens SQLite files; MySQL is opened by `mysql.rs`.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Error, SqliteConnection, SqlitePool};

use super::ACQUIRE_TIMEOUT;

/// How long one SQLite writer waits for another.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Only its owner reads a new file: it holds tokens and messages. SQLite makes the files beside it alike.
const PRIVATE: u32 = 0o600;

/// A pool of at most `max_connections` to a SQLite file, which is made if it is not there, with its folder.
///
/// Every commit reaches the disk before it is acknowledged (`synchronous = FULL` in write-ahead mode).
pub async fn sqlite(url: &str, max_connections: u32) -> Result<SqlitePool, Error> {
    let options = options(url)?.busy_timeout(BUSY_TIMEOUT);
    SqlitePoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_release(|connection, _| Box::pin(is_reusable(connection)))
        .connect_with(options)
        .await
}

/// How the file behind `url` is opened. It is there afterwards.
pub(super) fn options(url: &str) -> Result<SqliteConnectOptions, Error> {
    let options = SqliteConnectOptions::from_str(url)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Ok(options);
    }
    if let Some(folder) = options.get_filename().parent().filter(|path| *path != Path::new("")) {
        std::fs::create_dir_all(folder).map_err(Error::Io)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(options.get_filename()) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Error::Io(error)),
        _ => Ok(options),
    }
}

/// Whether a connection that comes back to its pool may be used again; else the pool opens another.
///
/// After a full disk SQLite has rolled back by itself, which sqlx does not notice: it would never begin a transaction
/// again.
async fn is_reusable(connection: &mut SqliteConnection) -> Result<bool, Error> {
    let answered = tokio::time::timeout(ACQUIRE_TIMEOUT, connection.ping()).await;
    answered.map_err(|_| Error::Io(io::ErrorKind::TimedOut.into()))??;
    Ok(!connection.is_in_transaction())
}

/// No account and no friendship is at NetEase any more: what a simulator that begins anew stands for.
pub async fn forget_confirmations(pool: &SqlitePool) -> Result<(), Error> {
    sqlx::query("UPDATE accounts SET registered = FALSE, foreign_token = FALSE, confirmed_name = NULL")
        .execute(pool)
        .await?;
    sqlx::query("DELETE FROM friendships").execute(pool).await.map(|_| ())
}
