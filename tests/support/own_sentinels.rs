//! A Redis master, its replica and the sentinels that watch them, of a test's own.

use std::time::Duration;

use redis::FromRedisValue;
use tokio::time::{interval, timeout};

use super::own_redis::OwnRedis;

/// They have all found each other long before.
const PATIENCE: Duration = Duration::from_secs(30);

/// The name of the master.
pub const MASTER: &str = "mymaster";

/// Servers that end with this value.
pub struct OwnSentinels {
    pub master: OwnRedis,
    pub replica: OwnRedis,
    pub sentinels: Vec<OwnRedis>,
}

impl OwnSentinels {
    /// Starts so many sentinels, `quorum` of which have to agree that the master is gone.
    pub async fn start(sentinels: usize, quorum: usize) -> Self {
        Self::start_with(sentinels, quorum, "").await
    }

    /// The same, with more lines in the configuration of the sentinels.
    pub async fn start_with(sentinels: usize, quorum: usize, more: &str) -> Self {
        // By default a master waits five seconds for more replicas that want its data.
        let master = OwnRedis::start_with(&["--repl-diskless-sync-delay", "0"]);
        let replica = OwnRedis::start();
        replica.run::<()>(redis::cmd("REPLICAOF").arg("127.0.0.1").arg(master.port)).await;
        // Sentinels look for replicas every ten seconds: the first look has to find this one.
        until("a replica with its master's data", async || {
            let info: String = replica.run(redis::cmd("INFO").arg("replication")).await;
            info.contains("master_link_status:up")
        })
        .await;
        let config = format!(
            "sentinel monitor {MASTER} 127.0.0.1 {} {quorum}\nsentinel down-after-milliseconds {MASTER} 500\n\
             sentinel failover-timeout {MASTER} 3000\n{more}\n",
            master.port
        );
        let sentinels = (0..sentinels).map(|_| OwnRedis::start_sentinel(&config)).collect();
        Self { master, replica, sentinels }
    }

    /// Waits until each sentinel knows the others and the replica: only then a failover succeeds.
    pub async fn ready_for_failover(&self) {
        for sentinel in &self.sentinels {
            until("sentinels that know each other and the replica", async || {
                let others = asked::<Vec<redis::Value>>(sentinel, "SENTINELS").await;
                let replicas = asked::<Vec<redis::Value>>(sentinel, "REPLICAS").await;
                others.len() + 1 == self.sentinels.len() && replicas.len() == 1
            })
            .await;
        }
    }

    /// As the service's configuration names it.
    pub fn url(&self) -> String {
        let places: Vec<_> =
            self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        format!("redis+sentinel://{}/{MASTER}", places.join(","))
    }
}

async fn asked<T: FromRedisValue>(sentinel: &OwnRedis, what: &str) -> T {
    sentinel.run(redis::cmd("SENTINEL").arg(what).arg(MASTER)).await
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let look = async {
        let mut tick = interval(Duration::from_millis(50));
        while !condition().await {
            tick.tick().await;
        }
    };
    timeout(PATIENCE, look).await.expect(what);
}
