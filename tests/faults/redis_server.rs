//! Disposable Redis servers.

use std::time::Duration;

use redis::FromRedisValue;

use super::daemon::{Daemon, free_port};
use super::within;
use crate::support::stores::Folder;

/// A Redis server that writes nothing to disk.
pub struct Redis {
    /// Its process.
    pub daemon: Daemon,
    port: u16,
    _folder: Folder,
}

impl Redis {
    /// A new, empty one.
    pub async fn start() -> Self {
        let (folder, port) = (Folder::new(), free_port());
        let dir = folder.path().display().to_string();
        let number = port.to_string();
        let args =
            ["--bind", "127.0.0.1", "--port", &number, "--dir", &dir, "--save", "", "--appendonly", "no"];
        let quick = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"];
        let args = args.into_iter().chain(quick).map(ToOwned::to_owned).collect();
        let daemon = Daemon::start("redis-server", args, folder.path());
        let redis = Self { daemon, port, _folder: folder };
        redis.ready().await;
        redis
    }

    /// Waits until it answers.
    pub async fn ready(&self) {
        within(Duration::from_secs(10), "Redis answers", async || {
            self.try_ask::<String>("PING").await.is_ok()
        })
        .await;
    }

    /// SIGKILL, then the same server again, empty.
    pub async fn crash(&mut self) {
        self.daemon.kill();
        self.daemon.restart();
        self.ready().await;
    }

    /// host:port
    pub fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where a client finds it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.place())
    }

    /// The answer to a command of words without spaces, on a connection of its own.
    pub async fn ask<T: FromRedisValue>(&self, command: &str) -> T {
        self.try_ask(command).await.unwrap_or_else(|e| panic!("{command}: {e}"))
    }

    async fn try_ask<T: FromRedisValue>(&self, command: &str) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut words = command.split(' ');
        let mut asked = redis::cmd(words.next().unwrap_or_default());
        for word in words {
            asked.arg(word);
        }
        asked.query_async(&mut connection).await
    }

    /// Makes it a replica of `master`, and waits until it has everything.
    pub async fn follow(&self, master: &Self) {
        let () = self.ask(&format!("REPLICAOF 127.0.0.1 {}", master.port)).await;
        within(Duration::from_secs(15), "the replica is in step", async || {
            self.ask::<String>("INFO replication").await.contains("master_link_status:up")
        })
        .await;
    }

    /// A number of `INFO memory`.
    pub async fn used_memory(&self) -> u64 {
        let info: String = self.ask("INFO memory").await;
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        line.and_then(|number| number.trim().parse().ok()).expect("Redis says how much memory it uses")
    }
}
