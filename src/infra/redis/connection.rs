//! The way to a Redis server or a Redis Cluster, chosen by the URL's scheme: one shared, pipelined connection for
//! polls and webhooks, and beside it, with a single server, a lane for bulk work.

use prometheus_client::metrics::counter::Counter;
use redis::aio::ConnectionLike;
use redis::cluster::ClusterClientBuilder;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, Pipeline, RedisFuture, RedisResult, Value};
use tokio::task::JoinHandle;

use super::address::RedisAddress;
use super::bulk::Bulk;
use super::cluster::Cluster;
use super::connector::Connector;
use super::identity::ServerIdentity;
use super::single::Single;
use super::timeouts::{CONNECT_TIMEOUT, RESPONSE_TIMEOUT, tcp_settings, timed_out};
use crate::domain::ids::Millis;

/// Commands that may wait in line for the socket.
const PIPELINE_BUFFER: usize = 1024;

/// Commands of all requests share it: redis-rs writes them in one go, which beats a pool's checkout per request.
#[derive(Clone)]
pub struct Connection {
    route: Route,
    identity: ServerIdentity,
}

#[derive(Clone)]
enum Route {
    /// `redis://`, `rediss://`; with `+sentinel`, whichever server is the master
    Single(Single, Bulk),
    /// `redis-cluster://`, `rediss-cluster://`, several hosts joined by commas
    Cluster(Cluster),
}

impl Connection {
    /// Connects, or says within about two seconds why not.
    pub async fn open(address: impl Into<RedisAddress>) -> RedisResult<Self> {
        let address = address.into();
        let identity = ServerIdentity::default();
        let opened = async {
            match address.cluster_nodes() {
                Some(nodes) => {
                    let builder = match address.certificates() {
                        Some(certificates) => ClusterClientBuilder::new(nodes).certs(certificates),
                        None => ClusterClientBuilder::new(nodes),
                    };
                    let client = builder
                        .retries(2)
                        .min_retry_wait(20)
                        .max_retry_wait(200)
                        .connection_timeout(CONNECT_TIMEOUT)
                        .response_timeout(CONNECT_TIMEOUT)
                        .overall_response_timeout(Some(RESPONSE_TIMEOUT))
                        .tcp_settings(tcp_settings())
                        .build()?;
                    Cluster::open(client, identity.clone()).await.map(Route::Cluster)
                }
                None => {
                    let config = AsyncConnectionConfig::new()
                        .set_connection_timeout(Some(CONNECT_TIMEOUT))
                        .set_response_timeout(Some(RESPONSE_TIMEOUT))
                        .set_pipeline_buffer_size(PIPELINE_BUFFER);
                    let connector = Connector::to(&address)?;
                    let polls = Single::open(connector.clone(), config.clone(), identity.clone()).await?;
                    let bulk = Bulk::beside(polls.clone(), connector, config)?;
                    Ok(Route::Single(polls, bulk))
                }
            }
        };
        let route = tokio::time::timeout(2 * RESPONSE_TIMEOUT, opened).await.map_err(|_| timed_out())??;
        Ok(Self { route, identity })
    }

    /// Sends one command.
    pub async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        match &self.route {
            Route::Single(polls, _) => polls.send(command).await,
            Route::Cluster(cluster) => cluster.send(command).await,
        }
    }

    /// The lane of bulk work. It is this connection on a cluster, and where the server does not say who it is:
    /// nothing would tell then whether another connection leads to the same one.
    pub(super) fn bulk(&self) -> BulkLane {
        BulkLane(self.clone())
    }

    /// Loads from before this are compared with the log: a Redis that came later may lack what they had.
    pub fn trusted_since(&self) -> Millis {
        self.identity.changed_at()
    }

    /// How often Redis was another one than before, or refused writes.
    pub fn replaced(&self) -> Counter {
        self.identity.changes()
    }

    /// Keeps an eye on the nodes of a cluster, if it is one: a task that never ends by itself.
    pub fn watch(&self) -> Option<JoinHandle<()>> {
        match &self.route {
            Route::Single(..) => None,
            Route::Cluster(cluster) => Some(tokio::spawn(cluster.clone().watch())),
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(self.send(cmd))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match &self.route {
            Route::Single(polls, _) => Box::pin(polls.send_all(pipeline, offset, count)),
            Route::Cluster(cluster) => Box::pin(cluster.send_all(pipeline, offset, count)),
        }
    }

    fn get_db(&self) -> i64 {
        match &self.route {
            Route::Single(polls, _) => polls.db(),
            // A cluster has one.
            Route::Cluster(_) => 0,
        }
    }
}

/// Sends one bulk command at a time.
pub(super) struct BulkLane(Connection);

impl BulkLane {
    async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        match &self.0.route {
            Route::Single(_, bulk) if self.0.identity.is_known() => bulk.send(command).await,
            _ => self.0.send(command).await,
        }
    }
}

impl ConnectionLike for BulkLane {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(self.send(cmd))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        _: &'a Pipeline,
        _: usize,
        _: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async { Err((ErrorKind::Client, "bulk work goes one command at a time").into()) })
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}
