//! The SQL databases: accounts and the outbox on MySQL or SQLite, and the message log of the embedded form on SQLite.

mod accounts;
mod connect;
mod errors;
mod message_log;
mod migrate;
mod mysql;
mod outbox;
mod rights;
mod schema;

pub use accounts::SqlAccounts;
pub use connect::{forget_confirmations, sqlite};
pub use message_log::SqliteLog;
pub use migrate::{MYSQL, SQLITE, applied, migrate_mysql, migrate_sqlite, mysql_is_up_to_date, up_to_date};
pub use mysql::{is_away, mysql, mysql_later};
pub use outbox::SqlOutbox;
pub use rights::{UnusableSql, try_mysql, try_sqlite, writes_to_replicas};
pub use schema::Schema;

use std::io;
use std::time::Duration;

use errors::{duplicate, store_error};

/// How long a request waits for a free connection, and for a server that does not answer.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// One statement on a server that stalls; nobody's bind shall wait for it for ever.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

async fn bounded<T>(statement: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let outcome = tokio::time::timeout(STATEMENT_TIMEOUT, statement).await;
    outcome.unwrap_or_else(|_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())))
}
