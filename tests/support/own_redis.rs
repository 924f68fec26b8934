//! Redis servers of a test's own, for what must not be done to the one that all tests share.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::{Client, Cmd};

use super::stores::Folder;

/// A server whose port was taken by another program before it could bind is started again on another.
const ATTEMPTS: usize = 5;
/// A cluster has come together long before.
const CLUSTER_PATIENCE: Duration = Duration::from_secs(30);

/// A Redis server that ends with this value.
pub struct OwnRedis {
    child: Child,
    _folder: Folder,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl OwnRedis {
    /// Starts an empty server and waits until it takes connections.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with these options.
    pub fn start_with(options: &[&str]) -> Self {
        (0..ATTEMPTS).find_map(|_| Self::attempt(options)).expect("redis-server does not start")
    }

    fn attempt(options: &[&str]) -> Option<Self> {
        let (folder, port) = (Folder::new(), free_port());
        let (port_text, bus) = (port.to_string(), free_port().to_string());
        let mut words = vec!["--port", &port_text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        words.extend(options);
        if options.contains(&"--cluster-enabled") {
            words.extend(["--cluster-port", &bus]);
        }
        Self::spawn(&words, folder, port, "Ready to accept connections")
    }

    /// Starts a sentinel that is configured so.
    pub(super) fn start_sentinel(config: &str) -> Self {
        let attempt = || {
            let (folder, port) = (Folder::new(), free_port());
            let config = format!("port {port}\nbind 127.0.0.1\n{config}");
            std::fs::write(folder.path().join("sentinel.conf"), config).unwrap();
            Self::spawn(&["sentinel.conf", "--sentinel"], folder, port, "+monitor master")
        };
        (0..ATTEMPTS).find_map(|_| attempt()).expect("a sentinel does not start")
    }

    /// `None` if it ends before it writes that it is ready.
    fn spawn(words: &[&str], folder: Folder, port: u16, ready: &str) -> Option<Self> {
        let mut server = Self { child: spawn(words, &folder), _folder: folder, port };
        let mut lines = BufReader::new(server.child.stdout.take().unwrap()).lines();
        lines.any(|line| line.is_ok_and(|line| line.contains(ready))).then_some(server)
    }

    /// As the service's configuration names it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends the server at once.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn bus_port(&self) -> u16 {
        let (_, port): (String, u16) = self.run(redis::cmd("CONFIG").arg("GET").arg("cluster-port")).await;
        port
    }

    /// Carries out a command.
    pub async fn run<T: redis::FromRedisValue>(&self, command: &Cmd) -> T {
        self.try_run(command).await.unwrap()
    }

    async fn try_run<T: redis::FromRedisValue>(&self, command: &Cmd) -> redis::RedisResult<T> {
        let client = Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        command.query_async(&mut connection).await
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the nodes of a cluster are started with: one that is silent for a second is taken to be gone.
const NODE: [&str; 6] =
    ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no"];

/// Three masters that share the slots.
pub struct OwnCluster {
    nodes: Vec<OwnRedis>,
}

impl OwnCluster {
    /// Starts the servers and waits until each of them sees the cluster whole.
    pub async fn start() -> Self {
        let nodes: Vec<OwnRedis> = (0..3).map(|_| OwnRedis::start_with(&NODE)).collect();
        for (at, (node, slots)) in
            nodes.iter().zip([(0, 5_460), (5_461, 10_922), (10_923, 16_383)]).enumerate()
        {
            node.run::<()>(redis::cmd("CLUSTER").arg("SET-CONFIG-EPOCH").arg(at + 1)).await;
            node.run::<()>(redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(slots.0).arg(slots.1)).await;
        }
        for other in &nodes[1..] {
            let (port, bus) = (other.port, other.bus_port().await);
            let mut meet = redis::cmd("CLUSTER");
            nodes[0].run::<()>(meet.arg("MEET").arg("127.0.0.1").arg(port).arg(bus)).await;
        }
        let cluster = Self { nodes };
        tokio::time::timeout(CLUSTER_PATIENCE, cluster.wait_until_whole()).await.expect("a whole cluster");
        cluster
    }

    /// One more node, a replica of the first master, which has the lowest third of the slots.
    pub async fn add_replica(&mut self) {
        let replica = OwnRedis::start_with(&NODE);
        let (port, bus) = (self.nodes[0].port, self.nodes[0].bus_port().await);
        replica.run::<()>(redis::cmd("CLUSTER").arg("MEET").arg("127.0.0.1").arg(port).arg(bus)).await;
        let master: String = self.nodes[0].run(redis::cmd("CLUSTER").arg("MYID")).await;
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        let follows = async {
            // It is refused until the node has heard of its master, and then until it has its data.
            let mut replicate = redis::cmd("CLUSTER");
            replicate.arg("REPLICATE").arg(&master);
            while replica.try_run::<()>(&replicate).await.is_err() {
                tick.tick().await;
            }
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            while !replica
                .run::<String>(redis::cmd("INFO").arg("replication"))
                .await
                .contains("link_status:up")
            {
                tick.tick().await;
            }
        };
        tokio::time::timeout(CLUSTER_PATIENCE, follows).await.expect("a replica with its master's data");
        self.nodes.push(replica);
        tokio::time::timeout(CLUSTER_PATIENCE, self.wait_until_whole()).await.expect("a whole cluster");
    }

    /// The first master hangs once its replica has everything: its connections stay, and nothing is answered.
    pub async fn hang_first(&self) {
        let offset = async |node: &OwnRedis| {
            let info: String = node.run(redis::cmd("INFO").arg("replication")).await;
            info.lines().find_map(|line| line.strip_prefix("master_repl_offset:").map(str::to_owned))
        };
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while offset(&self.nodes[0]).await != offset(&self.nodes[3]).await {
            tick.tick().await;
        }
        let stopped = Command::new("kill").args(["-STOP", &self.nodes[0].child.id().to_string()]).status();
        assert!(stopped.unwrap().success());
    }

    async fn wait_until_whole(&self) {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        for node in &self.nodes {
            loop {
                let info: String = node.run(redis::cmd("CLUSTER").arg("INFO")).await;
                if info.contains("cluster_state:ok") && info.contains("cluster_size:3") {
                    break;
                }
                tick.tick().await;
            }
        }
    }

    /// As the service's configuration names it.
    pub fn url(&self) -> String {
        let nodes: Vec<_> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis-cluster://{}", nodes.join(","))
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Debian's redis-tools has the server under the name of its file checker; what it is called by decides what it is.
fn spawn(words: &[&str], folder: &Folder) -> Child {
    let start = |program: &str| {
        let mut command = Command::new(program);
        command.arg0("redis-server").args(words).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
    };
    match start("redis-server") {
        Err(error) if error.kind() == ErrorKind::NotFound => start("redis-check-rdb").expect("redis-tools"),
        started => started.unwrap(),
    }
}
