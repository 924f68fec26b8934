//! What an error of a SQL database means: out of reach for now, refused as wrong, or a row that was never written.

use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::mysql::MySqlDatabaseError;

use crate::ports::StoreError;

/// SQLSTATE classes of statements that are wrong as they are: cardinality, data, constraint, syntax or access rule.
const WRONG: [&str; 4] = ["21", "22", "23", "42"];
/// Wrong as well, though MySQL files them under no class: an illegal mix of collations, a text that is none, a column
/// without a value.
const WRONG_UNFILED: [u16; 3] = [1267, 1366, 1364];
/// Filed under 42, and yet they pass: too many connections of this user, too many statements of this user in an hour.
const PASSING: [u16; 2] = [1203, 1226];

/// SQLite's primary result codes for a statement that is wrong as it is: READONLY, TOOBIG, CONSTRAINT, MISMATCH, AUTH.
const SQLITE_WRONG: [i32; 5] = [8, 18, 19, 20, 23];
/// `SQLITE_ERROR` stands for anything; these beginnings are of what the schema does not have.
const SQLITE_NOT_THERE: [&str; 2] = ["no such ", "table "];

/// Tells a database that is out of reach, full, busy or read-only from one that refuses, and both from one that answers
/// with something unexpected.
pub(super) fn store_error(store: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::Decode(_) => {
            StoreError::Corrupt { store, what: error.to_string() }
        }
        sqlx::Error::Database(refusal) if is_wrong(&*refusal) => StoreError::refused(store, refusal),
        other => StoreError::unavailable(store, other),
    }
}

/// A refusal for a unique key is no error: the row is there, which was the point.
pub(super) fn duplicate(error: sqlx::Error) -> Result<(), sqlx::Error> {
    match error.as_database_error() {
        Some(refusal) if refusal.is_unique_violation() => Ok(()),
        _ => Err(error),
    }
}

/// Whether the schema lacks the table that was asked for.
pub(super) fn no_such_table(refusal: &dyn DatabaseError) -> bool {
    refusal.code().as_deref() == Some("42S02") || refusal.message().starts_with("no such table")
}

/// A key that somebody else holds is not wrong: it may be free a moment later.
fn is_wrong(refusal: &dyn DatabaseError) -> bool {
    let code = refusal.code().unwrap_or_default();
    match refusal.try_downcast_ref::<MySqlDatabaseError>() {
        _ if refusal.kind() == ErrorKind::UniqueViolation => false,
        Some(mysql) => {
            let number = mysql.number();
            let class = WRONG.iter().any(|class| code.starts_with(class));
            WRONG_UNFILED.contains(&number) || class && !PASSING.contains(&number)
        }
        None => {
            // The extended code has the primary one in its lowest byte.
            let primary = code.parse::<i32>().map_or(0, |code| code & 0xff);
            let not_there = SQLITE_NOT_THERE.iter().any(|begin| refusal.message().starts_with(begin));
            SQLITE_WRONG.contains(&primary) || primary == 1 && not_there
        }
    }
}
