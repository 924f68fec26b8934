//! Tries what the service will do: whether its user may, and whether the tables are as they should be.

use sqlx::{ConnectOptions, Connection, Error, Executor};

use super::connect;
use super::mysql::{is_writable, mysql_connection};

/// What is done with each table, on no row of it: rights and columns are looked at all the same.
const TRIED: [&str; 11] = [
    "INSERT INTO accounts SELECT * FROM accounts WHERE 1 = 0",
    "UPDATE accounts SET registered = registered WHERE 1 = 0",
    "DELETE FROM accounts WHERE 1 = 0",
    "INSERT INTO friendships SELECT * FROM friendships WHERE 1 = 0",
    "DELETE FROM friendships WHERE 1 = 0",
    "INSERT INTO notifications SELECT * FROM notifications WHERE 1 = 0",
    "UPDATE notifications SET caller = caller WHERE 1 = 0",
    "DELETE FROM notifications WHERE 1 = 0",
    "INSERT INTO outbox SELECT * FROM outbox WHERE 1 = 0",
    "UPDATE outbox SET state = state WHERE 1 = 0",
    "DELETE FROM outbox WHERE 1 = 0",
];

/// An error if the user of `url` may not do what the service does, or the server takes no writes.
pub async fn try_mysql(url: &str) -> Result<(), Error> {
    let mut connection = mysql_connection(url).await?;
    if !is_writable(&mut connection).await? {
        return Err(Error::Protocol("the server is read-only".into()));
    }
    let mut tried = connection.begin().await?;
    for sql in TRIED {
        tried.execute(sql).await?;
    }
    tried.rollback().await?;
    connection.close().await
}

/// An error if the file at `url` cannot be written, or lacks a table.
pub async fn try_sqlite(url: &str) -> Result<(), Error> {
    let mut connection = connect::options(url)?.connect().await?;
    let mut tried = connection.begin_with("BEGIN IMMEDIATE").await?;
    for sql in TRIED {
        tried.execute(sql).await?;
    }
    tried.rollback().await?;
    connection.close().await
}
