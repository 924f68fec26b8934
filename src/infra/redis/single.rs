//! The connection to one Redis server that polls and webhooks share. It is replaced when it ends, when it hangs, and
//! when its server refuses writes. Each new one asks which server it leads to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::future::{BoxFuture, FutureExt, Shared};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Value};
use tokio::time::sleep;

use super::connector::Connector;
use super::identity::{ServerIdentity, Servers};
use crate::log_gate::LogGate;

/// A connection younger than this is kept, whatever it answers: a server in trouble must not drown in new ones.
const LEAST_AGE: Duration = Duration::from_millis(250);
/// The same where the server refuses writes: it may do so for long.
pub(super) const LEAST_AGE_REFUSED: Duration = Duration::from_secs(1);
/// Between the two tries of one attempt to connect: a server that is restarted may be back.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// The server behind one URL. Clones share the connection.
#[derive(Clone)]
pub struct Single(Arc<Inner>);

struct Inner {
    connector: Connector,
    config: AsyncConnectionConfig,
    identity: ServerIdentity,
    current: ArcSwap<Link>,
}

/// One connection, or the attempt to have one.
struct Link {
    since: Instant,
    /// The connection before it led to a server that refuses writes, so its loads count as old already.
    after_refusal: bool,
    /// Single-flight, and cancel-safe: the attempt goes on if those who wait for it leave.
    opened: Shared<BoxFuture<'static, RedisResult<MultiplexedConnection>>>,
}

impl Link {
    /// Connects when first awaited, after a pause.
    fn to(
        connector: &Connector,
        config: &AsyncConnectionConfig,
        identity: &ServerIdentity,
        pause: Duration,
    ) -> Self {
        let (connector, config, identity) = (connector.clone(), config.clone(), identity.clone());
        let opened = async move {
            let attempt = tokio::spawn(async move {
                sleep(pause).await;
                let mut connection = connect_twice(|| connector.connect(&config)).await?;
                identity.observe(servers(&mut connection).await?);
                Ok(connection)
            });
            attempt.await.unwrap_or_else(|_| Err((ErrorKind::Io, "connecting ended early").into()))
        };
        Self { since: Instant::now(), after_refusal: false, opened: opened.boxed().shared() }
    }

    fn is_young(&self) -> bool {
        self.since.elapsed() < LEAST_AGE
    }
}

impl Single {
    /// Connects.
    pub async fn open(
        connector: Connector,
        config: AsyncConnectionConfig,
        identity: ServerIdentity,
    ) -> RedisResult<Self> {
        let link = Link::to(&connector, &config, &identity, Duration::ZERO);
        link.opened.clone().await?;
        Ok(Self(Arc::new(Inner { connector, config, identity, current: ArcSwap::from_pointee(link) })))
    }

    /// Sends one command; once more if the connection ends under it, for everything the view does is idempotent.
    pub async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let (link, connection) = self.connection().await?;
        match self.send_over(link, connection, command).await {
            Err(error) if error.is_connection_dropped() => {
                let (link, connection) = self.connection().await?;
                self.send_over(link, connection, command).await
            }
            outcome => outcome,
        }
    }

    async fn send_over(
        &self,
        link: Arc<Link>,
        mut connection: MultiplexedConnection,
        command: &Cmd,
    ) -> RedisResult<Value> {
        let outcome = match connection.send_packed_command(command).await {
            Ok(Value::ServerError(refusal)) => Err(refusal.into()),
            other => other,
        };
        if let Err(error) = &outcome {
            self.leave_if_hopeless(&link, error);
        }
        outcome
    }

    /// Sends a pipeline; once.
    pub async fn send_all(
        &self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let (link, mut connection) = self.connection().await?;
        let outcome = connection.send_packed_commands(pipeline, offset, count).await;
        let refused = outcome.iter().flatten().find_map(|answer| match answer {
            Value::ServerError(refusal) => Some(RedisError::from(refusal.clone())),
            _ => None,
        });
        if let Some(refusal) = outcome.as_ref().err().or(refused.as_ref()) {
            self.leave_if_hopeless(&link, refusal);
        }
        outcome
    }

    /// The number of the database.
    pub fn db(&self) -> i64 {
        self.0.connector.db()
    }

    /// The connection there is, or the outcome of the attempt that is under way. An attempt that has failed is
    /// repeated for whoever comes a little later.
    async fn connection(&self) -> RedisResult<(Arc<Link>, MultiplexedConnection)> {
        let mut link = self.0.current.load_full();
        if let Some(Err(error)) = link.opened.peek() {
            if link.is_young() {
                return Err(error.clone());
            }
            link = self.replace(&link, link.after_refusal);
        }
        let connection = match link.opened.peek() {
            Some(opened) => opened.clone(),
            None => link.opened.clone().await,
        };
        connection.map(|connection| (link, connection))
    }

    /// Leaves the connection if such an answer says that it will not get better; later commands go to a new one.
    fn leave_if_hopeless(&self, used: &Arc<Link>, error: &RedisError) {
        let (ended, refuses) = (error.is_unrecoverable_error(), refuses_writes(error));
        let age = used.since.elapsed();
        let hopeless = ended || refuses && age >= LEAST_AGE_REFUSED || error.is_timeout() && age >= LEAST_AGE;
        if hopeless && self.leave(used, error, refuses) && refuses && !used.after_refusal {
            // What was read there may be what a replica had, and what was written there may be lost.
            self.0.identity.mark_changed();
        }
    }

    /// Leaves a connection; `false` if another command has done so already.
    fn leave(&self, used: &Arc<Link>, why: &RedisError, after_refusal: bool) -> bool {
        static LEFT: LogGate = LogGate::new();
        if !Arc::ptr_eq(used, &self.0.current.load()) {
            return false;
        }
        self.replace(used, after_refusal);
        if let Some(count) = LEFT.pass() {
            tracing::warn!(count, error = %why, "leaving the connection to Redis for a new one");
        }
        true
    }

    /// Whether polls read from these servers. If not, they get a new connection first: the URL may lead elsewhere by
    /// now.
    pub async fn agrees_on(&self, servers: &Servers) -> RedisResult<bool> {
        let (link, _) = self.connection().await?;
        if !self.reads_from(servers) {
            let moved = (ErrorKind::Client, "a new connection leads to another server").into();
            self.leave(&link, &moved, false);
            self.connection().await?;
        }
        Ok(self.reads_from(servers))
    }

    /// Whether polls read from these servers, as far as is known without asking.
    pub fn reads_from(&self, servers: &Servers) -> bool {
        self.0.identity.is(servers)
    }

    /// Tells that these servers refuse writes, which another connection to them has found.
    pub fn refused_by(&self, servers: &Servers, error: &RedisError) {
        let link = self.0.current.load_full();
        if self.reads_from(servers) {
            self.leave_if_hopeless(&link, error);
        }
    }

    /// Puts a new connection in the place of `used`, or finds the one that somebody else has put there.
    fn replace(&self, used: &Arc<Link>, after_refusal: bool) -> Arc<Link> {
        let Inner { connector, config, identity, current } = &*self.0;
        // A server that ends each new connection at once is not asked for one more by every command.
        let pause = LEAST_AGE.saturating_sub(used.since.elapsed());
        let next = Link { after_refusal, ..Link::to(connector, config, identity, pause) };
        current.compare_and_swap(used, Arc::new(next));
        current.load_full()
    }
}

/// Connects; once more after a moment if the server ends or refuses the first connection.
pub(super) async fn connect_twice<T, F>(connect: impl Fn() -> F) -> RedisResult<T>
where
    F: Future<Output = RedisResult<T>>,
{
    match connect().await {
        Err(error) if error.is_connection_dropped() => {
            sleep(TRY_AGAIN).await;
            connect().await
        }
        connected => connected,
    }
}

/// A master that has become a replica, a replica without its master, a master without the replicas it must have.
pub(super) fn refuses_writes(error: &RedisError) -> bool {
    let refusals = ["READONLY", "MASTERDOWN", "NOREPLICAS"];
    // Before Redis 7 an error within a script is told in its words alone.
    let within_script =
        |refusal: &str| error.detail().is_some_and(|said| said.contains(&format!("-{refusal} ")));
    refusals.iter().any(|refusal| error.code() == Some(refusal) || within_script(refusal))
}

/// The server that this connection leads to; none if it does not let this user know.
pub(super) async fn servers(connection: &mut impl ConnectionLike) -> RedisResult<Servers> {
    match redis::cmd("INFO").arg("server").query_async::<String>(connection).await {
        Ok(info) => Ok(run_id(&info).map(str::to_owned).into_iter().collect()),
        Err(error) if matches!(error.kind(), ErrorKind::Server(_)) => Ok(Servers::new()),
        Err(error) => Err(error),
    }
}

/// Which server `INFO server` is from: another one each time it is started.
pub(super) fn run_id(info: &str) -> Option<&str> {
    info.lines().find_map(|line| line.strip_prefix("run_id:"))
}
