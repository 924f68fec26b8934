//! One shared, pipelined connection to a Redis server or a Redis Cluster, chosen by the URL's scheme.

use prometheus_client::metrics::counter::Counter;
use redis::aio::ConnectionLike;
use redis::cluster::ClusterClientBuilder;
use redis::{
    AsyncConnectionConfig, Client, Cmd, IntoConnectionInfo, Pipeline, RedisFuture, RedisResult, Value,
};
use tokio::task::JoinHandle;

use super::cluster::Cluster;
use super::single::Single;
use super::timeouts::{CONNECT_TIMEOUT, RESPONSE_TIMEOUT, tcp_settings, timed_out};
use super::trust::Trust;
use crate::domain::ids::Millis;

/// Commands that may wait in line for the socket.
const PIPELINE_BUFFER: usize = 1024;

/// Commands of all requests share it: redis-rs writes them in one go, which beats a pool's check-out per request.
#[derive(Clone)]
pub struct Connection {
    pub(super) route: Route,
    trust: Trust,
}

#[derive(Clone)]
pub(super) enum Route {
    /// `redis://`, `rediss://`
    Single(Single),
    /// `redis-cluster://`, `rediss-cluster://`, several hosts joined by commas
    Cluster(Cluster),
}

impl Connection {
    /// Connects, or says within about two seconds why not.
    pub async fn open(url: &str) -> RedisResult<Self> {
        let trust = Trust::default();
        let opened = async {
            match cluster_nodes(url) {
                Some(nodes) => {
                    let client = ClusterClientBuilder::new(nodes)
                        .retries(2)
                        .min_retry_wait(20)
                        .max_retry_wait(200)
                        .connection_timeout(CONNECT_TIMEOUT)
                        .response_timeout(CONNECT_TIMEOUT)
                        .overall_response_timeout(Some(RESPONSE_TIMEOUT))
                        .tcp_settings(tcp_settings())
                        .build()?;
                    Cluster::open(client, trust.clone()).await.map(Route::Cluster)
                }
                None => {
                    let config = AsyncConnectionConfig::new()
                        .set_connection_timeout(Some(CONNECT_TIMEOUT))
                        .set_response_timeout(Some(RESPONSE_TIMEOUT))
                        .set_pipeline_buffer_size(PIPELINE_BUFFER);
                    let client = Client::open(url.into_connection_info()?.set_tcp_settings(tcp_settings()))?;
                    Single::open(client, config, trust.clone()).await.map(Route::Single)
                }
            }
        };
        let route = tokio::time::timeout(2 * RESPONSE_TIMEOUT, opened).await.map_err(|_| timed_out())??;
        Ok(Self { route, trust })
    }

    /// Sends one command.
    pub async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        match &self.route {
            Route::Single(one) => one.send(command).await,
            Route::Cluster(many) => many.send(command).await,
        }
    }

    /// Loads from before this are to be compared with the log: a Redis that came later may lack what they had.
    pub fn trusted_since(&self) -> Millis {
        self.trust.since()
    }

    /// How often Redis was another one than before, or refused to be written to.
    pub fn replaced(&self) -> Counter {
        self.trust.replaced()
    }

    /// Keeps an eye on the nodes of a cluster, if it is one: a task that never ends by itself.
    pub fn watch(&self) -> Option<JoinHandle<()>> {
        match &self.route {
            Route::Single(_) => None,
            Route::Cluster(cluster) => Some(tokio::spawn(cluster.clone().watch())),
        }
    }
}

/// `redis-cluster://user:pass@a:1,b:2` names one URL per node; any other scheme is a single server.
fn cluster_nodes(url: &str) -> Option<Vec<String>> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.strip_suffix("-cluster")?;
    let (user, hosts) = rest.rsplit_once('@').map_or((String::new(), rest), |(u, h)| (format!("{u}@"), h));
    Some(hosts.trim_end_matches('/').split(',').map(|host| format!("{scheme}://{user}{host}")).collect())
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
            Route::Single(one) => Box::pin(one.send_all(pipeline, offset, count)),
            Route::Cluster(many) => Box::pin(many.send_all(pipeline, offset, count)),
        }
    }

    fn get_db(&self) -> i64 {
        match &self.route {
            Route::Single(one) => one.db(),
            // A cluster has one.
            Route::Cluster(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_url_names_its_nodes() {
        let nodes = |url| cluster_nodes(url).unwrap();
        assert_eq!(nodes("redis-cluster://a:1,b:2"), ["redis://a:1", "redis://b:2"]);
        assert_eq!(nodes("rediss-cluster://u:p@a:1,b:2/"), ["rediss://u:p@a:1", "rediss://u:p@b:2"]);
        assert_eq!(cluster_nodes("redis://a:1"), None);
    }
}
