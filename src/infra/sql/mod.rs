//! The SQL databases: accounts and the outbox on MySQL or SQLite, and the message log of the embedded form on SQLite.

mod accounts;
mod connect;
mod message_log;
mod outbox;

pub use accounts::SqlAccounts;
pub use connect::{MYSQL, SQLITE, applied, forget_confirmations, mysql, sqlite};
pub use message_log::SqliteLog;
pub use outbox::SqlOutbox;

use std::io;
use std::time::Duration;

use crate::ports::StoreError;

/// One statement on a server that stalls; nobody's bind shall wait for it for ever.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

async fn bounded<T>(statement: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let outcome = tokio::time::timeout(STATEMENT_TIMEOUT, statement).await;
    outcome.unwrap_or_else(|_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())))
}

/// A refusal for a unique key is no error: the row is there, which was the point.
fn duplicate(error: sqlx::Error) -> Result<(), sqlx::Error> {
    match error.as_database_error() {
        Some(refusal) if refusal.is_unique_violation() => Ok(()),
        _ => Err(error),
    }
}

/// Tells a database that is out of reach, full or busy from one that answers with something unexpected.
fn store_error(store: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::Decode(_) => {
            StoreError::Corrupt { store, what: error.to_string() }
        }
        other => StoreError::unavailable(store, other),
    }
}
