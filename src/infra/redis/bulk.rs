//! The bulk lane to one Redis server: a few connections for loads, rechecks, recounts and `explain`.
//!
//! Redis answers the commands of one connection in order, and one task parses the answers. A merge of a thousand ids,
//! or an answer as long, would delay each poll behind it. So polls and webhooks keep their shared connection to
//! themselves, and a bulk connection carries one command at a time. What becomes of it (a time-out, an error) is no
//! verdict on the connection of polls: that one stays, and with it the near cache.
//!
//! Both lanes must lead to the same server, or a load would be merged where no poll reads it. Each new bulk
//! connection asks its server who it is, and each checkout compares the answer with the server of polls. So a load
//! that begins after polls have moved to another server goes there as a whole; one that began earlier is dated before
//! the move, and its reader is compared with the log again.

use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{self, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, RedisError, RedisResult, Value};

use super::connector::Connector;
use super::identity::Servers;
use super::single::{LEAST_AGE_REFUSED, Single, connect_twice, refuses_writes, servers};
use crate::log_gate::LogGate;

/// Commands of bulk work that Redis has at once from one instance.
pub(super) const CONNECTIONS: usize = 4;
/// How long a command waits for its turn.
const WAIT: Duration = Duration::from_secs(2);
/// How long a new connection may take, with the question who is there, and a new connection of polls if they
/// disagree.
const CREATE_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection idle for longer is replaced: a network between may have dropped it without a word.
const MOST_IDLE: Duration = Duration::from_secs(30);

/// The connections. Clones share them; they are made when first needed.
#[derive(Clone)]
pub(super) struct Bulk {
    pool: Pool<Manager>,
}

/// Makes connections and decides which may be used again.
struct Manager {
    connector: Connector,
    config: AsyncConnectionConfig,
    polls: Single,
}

/// One connection and where it leads.
struct Held {
    connection: MultiplexedConnection,
    servers: Servers,
    since: Instant,
}

impl managed::Manager for Manager {
    type Type = Held;
    type Error = RedisError;

    async fn create(&self) -> RedisResult<Held> {
        let mut connection = connect_twice(|| self.connector.connect(&self.config)).await?;
        let servers = servers(&mut connection).await?;
        match self.polls.agrees_on(&servers).await? {
            true => Ok(Held { connection, servers, since: Instant::now() }),
            false => Err((ErrorKind::Client, "bulk work and polls lead to different servers").into()),
        }
    }

    /// No PING, which would double the round trips of a load: a broken connection shows in its next command.
    async fn recycle(&self, held: &mut Held, metrics: &Metrics) -> RecycleResult<RedisError> {
        match metrics.last_used() <= MOST_IDLE && self.polls.reads_from(&held.servers) {
            true => Ok(()),
            false => Err(RecycleError::message("idle for long, or polls read from another server")),
        }
    }
}

impl Bulk {
    /// Beside the connection of polls, to the same place and with the same time-outs.
    pub fn beside(polls: Single, connector: Connector, config: AsyncConnectionConfig) -> RedisResult<Self> {
        let pool = Pool::builder(Manager { connector, config, polls })
            .max_size(CONNECTIONS)
            .wait_timeout(Some(WAIT))
            .create_timeout(Some(CREATE_TIMEOUT))
            .runtime(Runtime::Tokio1)
            .build();
        let odd =
            |error: managed::BuildError| (ErrorKind::Client, "a pool that makes no sense", error.to_string());
        Ok(Self { pool: pool.map_err(odd)? })
    }

    /// Sends one command; once more if the connection ends under it, for everything the view does is idempotent.
    pub async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        match self.send_once(command).await {
            Err(error) if error.is_connection_dropped() => self.send_once(command).await,
            outcome => outcome,
        }
    }

    async fn send_once(&self, command: &Cmd) -> RedisResult<Value> {
        let mut held = self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error,
            busy => (ErrorKind::Client, "no connection for bulk work in time", busy.to_string()).into(),
        })?;
        let outcome = match held.connection.send_packed_command(command).await {
            Ok(Value::ServerError(refusal)) => Err(refusal.into()),
            other => other,
        };
        if let Err(error) = &outcome {
            self.discard_if_hopeless(held, error);
        }
        outcome
    }

    fn discard_if_hopeless(&self, held: Object<Manager>, error: &RedisError) {
        static DISCARDED: LogGate = LogGate::new();
        let (late, refuses) = (error.is_timeout(), refuses_writes(error));
        if refuses {
            self.pool.manager().polls.refused_by(&held.servers, error);
        }
        let refused_for_long = refuses && held.since.elapsed() >= LEAST_AGE_REFUSED;
        if !(late || refused_for_long || error.is_unrecoverable_error()) {
            return;
        }
        drop(Object::take(held));
        // What ended one of them, or made its server a replica, concerns those that are idle, too.
        if !late {
            self.pool.retain(|_, _| false);
        }
        if let Some(count) = DISCARDED.pass() {
            tracing::warn!(count, %error, "discarding a connection for bulk work in Redis");
        }
    }
}
