//! The SQL databases: accounts on MySQL or SQLite, and the message log of the embedded form on SQLite.

mod accounts;
mod connect;
mod message_log;

pub use accounts::SqlAccounts;
pub use connect::{MYSQL, SQLITE, applied, forget_confirmations, mysql, sqlite};
pub use message_log::SqliteLog;

use crate::ports::StoreError;

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
