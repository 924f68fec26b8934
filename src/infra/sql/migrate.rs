//! The schemas of the SQL databases: which migrations there are, which a database has, and how it gets the others.
//!
//! Several may migrate at once: all but one wait, and find nothing left to do. What sqlx does for that is not enough:
//! the lock that it asks MariaDB for is not granted, and SQLite's it does not take.

use std::time::{Duration, Instant};

use sqlx::error::DatabaseError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{
    ColumnIndex, ConnectOptions, Connection, Database, Decode, Error, Executor, IntoArguments,
    SqliteConnection, Type,
};
use tokio::time::sleep;

use super::connect;
use super::errors::no_such_table;
use super::mysql::mysql_connection;

/// MySQL's migrations, part of the binary.
pub static MYSQL: Migrator = sqlx::migrate!("migrations/mysql");
/// SQLite's migrations, part of the binary.
pub static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");

/// How long one waits for another that migrates the same database.
const TURN: Duration = Duration::from_mins(1);
/// How long before one that was refused tries again.
const AGAIN: Duration = Duration::from_millis(20);
/// What SQLite says of a file that somebody else has to themselves.
const SQLITE_BUSY: &str = "5";

/// Brings the schema of a MySQL database up to date.
pub async fn migrate_mysql(url: &str) -> Result<(), MigrateError> {
    let mut connection = mysql_connection(url).await?;
    // Held by the connection: it ends with it, however that comes.
    let turn = sqlx::query_scalar::<_, Option<i64>>("SELECT GET_LOCK('otc_im migrate', ?)");
    if turn.bind(TURN.as_secs()).fetch_one(&mut connection).await? != Some(1) {
        return Err(in_the_way());
    }
    MYSQL.run(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Brings the schema of a SQLite file up to date, all of it or nothing. The file is made if it is not there.
pub async fn migrate_sqlite(url: &str) -> Result<(), MigrateError> {
    let mut connection = sqlite_connection(url).await?;
    let mut turn = connection.begin_with("BEGIN IMMEDIATE").await?;
    SQLITE.run(&mut *turn).await?;
    turn.commit().await?;
    Ok(connection.close().await?)
}

/// A connection to the file. The first of several makes it a write-ahead log, for which it needs the file to itself, and
/// that is the one thing for which SQLite lets nobody wait: the others are refused at once, and try again.
async fn sqlite_connection(url: &str) -> sqlx::Result<SqliteConnection> {
    let options = connect::options(url)?.busy_timeout(TURN);
    let deadline = Instant::now() + TURN;
    loop {
        match options.connect().await {
            Err(Error::Database(refusal)) if is_busy(&*refusal) && Instant::now() < deadline => {
                sleep(AGAIN).await;
            }
            outcome => return outcome,
        }
    }
}

fn is_busy(refusal: &dyn DatabaseError) -> bool {
    refusal.code().is_some_and(|code| code == SQLITE_BUSY)
}

fn in_the_way() -> MigrateError {
    let what = format!("another `otc-im migrate` has been at it for {} s; try again", TURN.as_secs());
    MigrateError::Execute(Error::Protocol(what))
}

/// The migrations that a database has; none if it has never seen one, and so refuses the question.
pub async fn applied<'c, E>(database: E) -> Result<Vec<i64>, Error>
where
    E: Executor<'c>,
    <E::Database as Database>::Arguments: IntoArguments<E::Database>,
    for<'r> i64: Decode<'r, E::Database> + Type<E::Database>,
    usize: ColumnIndex<<E::Database as Database>::Row>,
{
    let versions = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success = TRUE");
    match versions.fetch_all(database).await {
        Err(Error::Database(refusal)) if no_such_table(&*refusal) => Ok(Vec::new()),
        outcome => outcome,
    }
}

/// Whether the schema is up to date, asked over a connection of its own.
pub async fn mysql_is_up_to_date(url: &str) -> sqlx::Result<bool> {
    let mut connection = mysql_connection(url).await?;
    let applied = applied(&mut connection).await?;
    connection.close().await?;
    Ok(up_to_date(&MYSQL, &applied))
}

/// Whether these are all the migrations that this program knows.
pub fn up_to_date(known: &Migrator, applied: &[i64]) -> bool {
    known.iter().all(|migration| applied.contains(&migration.version))
}
