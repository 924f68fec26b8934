//! Tries what the service will do: whether its user may, whether the tables are as they should be, and whether the
//! server takes such writes at all.

use sqlx::{ConnectOptions, Connection, Error, Executor, MySql, MySqlConnection, Row};

use super::connect;
use super::mysql::{is_writable, mysql_connection};
use super::outbox::Dialect;

/// What is done with each table, in one transaction that is undone: a row of nobody's is written, changed and deleted.
/// No accid, no lane and no id of a notification begins with `!`.
const TRIED: [&str; 11] = [
    "INSERT INTO accounts (accid, user_id, token) VALUES ('!check', '!check', '!')",
    "UPDATE accounts SET registered = TRUE WHERE accid = '!check'",
    "DELETE FROM accounts WHERE accid = '!check'",
    "INSERT INTO friendships (accid_a, accid_b) VALUES ('!check', '!check')",
    "DELETE FROM friendships WHERE accid_a = '!check'",
    "INSERT INTO notifications (id, accepted_at, content) VALUES ('!check', 0, '')",
    "UPDATE notifications SET caller = NULL WHERE id = '!check'",
    "DELETE FROM notifications WHERE id = '!check'",
    "INSERT INTO outbox (lane, from_user, to_user, accepted_at, state, due_at) VALUES ('!check', '', '', 0, 1, 0)",
    "UPDATE outbox SET attempts = 1 WHERE lane = '!check'",
    "DELETE FROM outbox WHERE lane = '!check'",
];
/// How entries of the outbox are claimed. Servers older than these do not know it: MySQL 8.0, MariaDB 10.6.
const CLAIMED: &str = "SELECT id FROM outbox WHERE lane = '!check' FOR UPDATE SKIP LOCKED";

/// Why this service cannot work with a database that answers. Each is a sentence with the way out.
#[derive(Debug, thiserror::Error)]
pub enum UnusableSql {
    /// After a switch-over, or because it is a replica.
    #[error(
        "the server is read-only: name the primary in accounts.url, or make it writable (SET GLOBAL read_only = OFF)"
    )]
    ReadOnly,
    /// Transactions at the level READ COMMITTED are refused then (error 1665), and the outbox claims in such.
    #[error(
        "the server writes its binary log with binlog_format = STATEMENT, and so refuses the transactions of the outbox, \
         which are READ COMMITTED: set binlog_format = ROW or MIXED there (SET GLOBAL binlog_format = 'ROW')"
    )]
    StatementLog,
    /// A right, a column or a whole table that is not there, a full disk.
    #[error("{0}; docs/operations.md has the rights that its user needs")]
    Refused(#[from] Error),
}

/// Writes, changes and deletes a row of each table, and undoes it.
pub async fn try_mysql(url: &str) -> Result<(), UnusableSql> {
    let mut connection = mysql_connection(url).await?;
    if !is_writable(&mut connection).await? {
        return Err(UnusableSql::ReadOnly);
    }
    if logs_statements(&mut connection).await? {
        return Err(UnusableSql::StatementLog);
    }
    let mut tried = connection.begin_with(<MySql as Dialect>::BEGIN).await?;
    for sql in TRIED {
        tried.execute(sql).await?;
    }
    tried.execute(CLAIMED).await?;
    tried.rollback().await?;
    Ok(connection.close().await?)
}

/// Whether there is a binary log, and statements are written to it. Neither name is one of every server.
async fn logs_statements(connection: &mut MySqlConnection) -> Result<bool, Error> {
    let asked = "SHOW VARIABLES WHERE Variable_name IN ('log_bin', 'binlog_format')";
    let mut is = Vec::new();
    for row in sqlx::raw_sql(asked).fetch_all(connection).await? {
        is.push((row.try_get::<String, _>(0)?, row.try_get::<String, _>(1)?));
    }
    let is =
        |name: &str, value: &str| is.iter().any(|(is, has)| is == name && has.eq_ignore_ascii_case(value));
    Ok(is("log_bin", "ON") && is("binlog_format", "STATEMENT"))
}

/// Whether the user's own grants let it write to a server that is read-only: after a switch-over it would go on writing
/// to the old primary, and nobody would know.
pub async fn writes_to_replicas(url: &str) -> Result<bool, Error> {
    const TOO_MUCH: [&str; 5] =
        ["ALL PRIVILEGES ON *.*", "SUPER", "READ_ONLY ADMIN", "READ ONLY ADMIN", "CONNECTION_ADMIN"];
    let mut connection = mysql_connection(url).await?;
    let grants = sqlx::raw_sql("SHOW GRANTS").fetch_all(&mut connection).await?;
    let grants = grants.iter().map(|row| row.try_get::<String, _>(0)).collect::<Result<Vec<_>, _>>()?;
    connection.close().await?;
    let everywhere = grants.iter().filter(|grant| grant.contains(" ON *.* "));
    Ok(everywhere.into_iter().any(|grant| TOO_MUCH.iter().any(|right| grant.contains(right))))
}

/// Writes, changes and deletes a row of each table, and undoes it.
pub async fn try_sqlite(url: &str) -> Result<(), UnusableSql> {
    let mut connection = connect::options(url)?.connect().await?;
    let mut tried = connection.begin_with("BEGIN IMMEDIATE").await?;
    for sql in TRIED {
        tried.execute(sql).await?;
    }
    tried.rollback().await?;
    Ok(connection.close().await?)
}
