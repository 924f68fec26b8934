//! Connections to MySQL or MariaDB, which leave their pool when the server behind them takes no more writes.
//!
//! After a switch-over the old primary answers on, read-only and perhaps behind the new one. A connection is looked at
//! whenever it comes back, and again before it is handed out if that was a while ago. So a switch-over costs at most
//! one failed statement for each connection.

use std::io;
use std::str::FromStr;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::{ConnectOptions, Connection, Error, MySqlConnection, MySqlPool, Row};

use super::ACQUIRE_TIMEOUT;
use crate::log_gate::LogGate;

/// The longest that a connection lives, so that one to a server which only its name has left ends soon.
const LIFETIME: Duration = Duration::from_mins(2);
/// For so long what was seen of a connection when it came back is believed.
const TRUSTED: Duration = Duration::from_secs(1);
/// What makes a server refuse writes with 1290, 1836 and 1792, as digits: 0 is off. The last variable has another name
/// on each of the two servers: the first comment is read by MySQL alone, the second by MariaDB alone.
const READ_ONLY: &str = "SELECT CONCAT(@@read_only, @@innodb_read_only, \
    /*!80000 @@transaction_read_only */ /*M!100000 @@tx_read_only */)";

static LEFT: LogGate = LogGate::new();

/// A pool of at most `max_connections`, of which one is there.
pub async fn mysql(url: &str, max_connections: u32) -> Result<MySqlPool, Error> {
    mysql_connection(url).await?.close().await?;
    mysql_later(url, max_connections)
}

/// What the URL says. sqlx hands the brackets of an IPv6 address on to the resolver, which knows no such name.
fn options(url: &str) -> Result<MySqlConnectOptions, Error> {
    let options = MySqlConnectOptions::from_str(url)?;
    let address = options.get_host().strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    Ok(match address.map(str::to_owned) {
        Some(address) => options.host(&address),
        None => options,
    })
}

/// A pool of at most `max_connections`, each of them made when it is needed.
pub fn mysql_later(url: &str, max_connections: u32) -> Result<MySqlPool, Error> {
    let pool = MySqlPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .max_lifetime(LIFETIME)
        .test_before_acquire(false)
        .before_acquire(|connection, seen| {
            Box::pin(async move { Ok(seen.idle_for < TRUSTED || is_reusable(connection).await?) })
        })
        .after_release(|connection, _| Box::pin(is_reusable(connection)));
    Ok(pool.connect_lazy_with(options(url)?))
}

/// One connection outside of any pool. Its failure names its cause, which a pool's does not.
pub(super) async fn mysql_connection(url: &str) -> Result<MySqlConnection, Error> {
    let options = options(url)?;
    let connected = tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect()).await;
    connected.map_err(|_| Error::Io(io::ErrorKind::TimedOut.into()))?
}

/// Whether an error of a connection passes by itself, rather than being a mistake in who, where or what was asked.
pub fn is_away(error: &Error) -> bool {
    match error {
        Error::Database(refusal) => {
            let state = refusal.code().unwrap_or_default();
            !state.starts_with("28") && !state.starts_with("42")
        }
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::PoolTimedOut => true,
        _ => false,
    }
}

/// Whether a connection may be used again; else the pool opens another.
///
/// sqlx would wait for ever for a connection that swallows everything, and so never make room.
async fn is_reusable(connection: &mut MySqlConnection) -> Result<bool, Error> {
    let asked = tokio::time::timeout(ACQUIRE_TIMEOUT, is_writable(connection)).await;
    let writable = asked.map_err(|_| Error::Io(io::ErrorKind::TimedOut.into()))??;
    if !writable && let Some(count) = LEFT.pass() {
        tracing::warn!(count, "a MySQL server has become read-only: its connections are given up");
    }
    Ok(writable && !connection.is_in_transaction())
}

/// Whether the server takes writes over this connection.
pub(super) async fn is_writable(connection: &mut MySqlConnection) -> Result<bool, Error> {
    let flags: String = sqlx::raw_sql(READ_ONLY).fetch_one(connection).await?.try_get(0)?;
    Ok(flags.replace("OFF", "0").bytes().all(|flag| flag == b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_stands_in_brackets_in_the_url_alone() {
        let host = |url| options(url).unwrap().get_host().to_owned();
        assert_eq!(host("mysql://otc:pw@[::1]:3306/otc_im"), "::1");
        assert_eq!(host("mysql://otc:pw@[2001:db8::7]/otc_im"), "2001:db8::7");
        assert_eq!(host("mysql://otc:pw@mysql.internal/otc_im"), "mysql.internal");
    }
}
