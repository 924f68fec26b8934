//! The shared connection to a Redis Cluster, also when one of its nodes hangs.
//!
//! redis-rs looks up the owners of slots again when a connection ends or a node says that a slot has moved. A node
//! that hangs does neither, though a replica has long taken its place. So a task asks all masters who they are: every
//! second, and at once when a command times out. If one does not answer, a second client looks up the masters from
//! the start, and replaces the first once all of its masters answer.
//!
//! There is one lane: bulk work shares this connection, because deadpool's pool for clusters takes no time-outs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::aio::ConnectionLike;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, RedisResult, Value};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::identity::{ServerIdentity, Servers};
use super::single::run_id;
use super::timeouts::timed_out;
use crate::log_gate::LogGate;

/// How often masters are asked who they are.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long they have to say so, all of them.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Between two looks, whatever happens.
const PAUSE: Duration = Duration::from_millis(250);

/// One cluster. Clones share the connection.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    client: ClusterClient,
    identity: ServerIdentity,
    current: ArcSwap<ClusterConnection>,
    /// A command was not answered in time.
    suspect: Notify,
    /// What the last look found.
    seen: Mutex<Servers>,
}

impl Cluster {
    /// Connects.
    pub async fn open(client: ClusterClient, identity: ServerIdentity) -> RedisResult<Self> {
        let connection = client.get_async_connection().await?;
        identity.observe(servers(&connection).await?);
        let (current, suspect) = (ArcSwap::from_pointee(connection), Notify::new());
        Ok(Self(Arc::new(Inner { client, identity, current, suspect, seen: Mutex::default() })))
    }

    /// Sends one command.
    pub async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let outcome = self.connection().req_packed_command(command).await;
        self.note(outcome)
    }

    /// Sends a pipeline, all of it to one slot.
    pub async fn send_all(
        &self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let outcome = self.connection().req_packed_commands(pipeline, offset, count).await;
        self.note(outcome)
    }

    fn note<T>(&self, outcome: RedisResult<T>) -> RedisResult<T> {
        if outcome.as_ref().is_err_and(RedisError::is_timeout) {
            self.0.suspect.notify_one();
        }
        outcome
    }

    fn connection(&self) -> ClusterConnection {
        (**self.0.current.load()).clone()
    }

    /// Looks after the masters, for ever.
    pub async fn watch(self) {
        loop {
            sleep(PAUSE).await;
            let _ = timeout(LOOK_EVERY, self.0.suspect.notified()).await;
            self.look().await;
        }
    }

    /// While slots move, nodes disagree about the map: only one that two looks in a row agree on counts.
    fn compare(&self, servers: Servers) {
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == servers {
            self.0.identity.observe(servers);
        } else {
            *seen = servers;
        }
    }

    async fn look(&self) {
        static SILENT: LogGate = LogGate::new();
        let error = match servers(&self.connection()).await {
            Ok(servers) => return self.compare(servers),
            Err(error) => error,
        };
        let renewed = async {
            let connection = self.0.client.get_async_connection().await?;
            let servers = servers(&connection).await?;
            RedisResult::Ok((connection, servers))
        };
        if let Ok(Ok((connection, servers))) = timeout(PATIENCE, renewed).await {
            self.0.identity.observe(servers);
            self.0.current.store(Arc::new(connection));
            tracing::warn!(%error, "leaving the connection to the Redis Cluster for a new one");
        } else if let Some(count) = SILENT.pass() {
            tracing::warn!(count, %error, "not every master of the Redis Cluster answers");
        }
    }
}

/// All masters, if they let this user know who they are, and who has which slots. An error if not all of them answer.
async fn servers(connection: &ClusterConnection) -> RedisResult<Servers> {
    timeout(PATIENCE, ask(connection.clone())).await.unwrap_or_else(|_| Err(timed_out()))
}

async fn ask(mut connection: ClusterConnection) -> RedisResult<Servers> {
    let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
    let mut info = redis::cmd("INFO");
    info.arg("server");
    let answers: HashMap<String, Value> =
        FromRedisValue::from_redis_value(connection.route_command(info, all).await?)?;
    let runs = answers.into_values().filter_map(|answer| match answer {
        Value::ServerError(refusal) if refusal.code() == "NOPERM" => None,
        answer => Some(answer.extract_error().and_then(|info| Ok(String::from_redis_value(info)?))),
    });
    let runs = runs.map(|info| Ok(run_id(&info?).unwrap_or_default().to_owned()));
    let mut servers = runs.collect::<RedisResult<Servers>>()?;
    let slots: Vec<Vec<Value>> = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await?;
    servers.extend(slots.iter().map(|range| format!("{:?}", owner(range))));
    Ok(servers)
}

/// First and last slot of a range, and the id of the master that has it: every node names the same.
fn owner(range: &[Value]) -> [Option<&Value>; 3] {
    let id = match range.get(2) {
        Some(Value::Array(node)) => node.get(2),
        _ => None,
    };
    [range.first(), range.get(1), id]
}
