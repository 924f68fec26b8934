//! Disposable MongoDB replica sets.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;
use mongodb::{Client, Database};

use super::daemon::{Daemon, free_port};
use super::within;
use crate::support::stores::Folder;

/// The database of the service under test.
const DATABASE: &str = "otc_im";
/// How long a set may take to have a primary.
const PATIENCE: Duration = Duration::from_secs(40);

/// A replica set of one or of three.
pub struct Mongo {
    members: Vec<Member>,
}

struct Member {
    daemon: Daemon,
    port: u16,
    _folder: Folder,
}

impl Mongo {
    /// Starts so many members, initiates the set, and waits for a primary.
    pub async fn start(members: usize) -> Self {
        let set = Self { members: (0..members).map(|_| Member::start()).collect() };
        let hosts = set.members.iter().enumerate();
        let hosts: Vec<_> =
            hosts.map(|(id, m)| doc! { "_id": i32::try_from(id).unwrap(), "host": m.place() }).collect();
        // Elections as quick as the set can bear: it is the service that is under test.
        let settings = doc! { "electionTimeoutMillis": 1500, "heartbeatIntervalMillis": 300 };
        let config = doc! { "_id": "rs0", "members": hosts, "settings": settings };
        let first = &set.members[0];
        within(PATIENCE, "mongod answers", async || first.ask(doc! { "ping": 1 }).await.is_some()).await;
        for member in &set.members {
            within(PATIENCE, "mongod answers", async || member.ask(doc! { "ping": 1 }).await.is_some()).await;
        }
        first.ask(doc! { "replSetInitiate": config }).await.expect("the set is initiated");
        set.has_primary().await;
        set
    }

    /// Waits until there is a primary; answers which member it is.
    pub async fn has_primary(&self) -> usize {
        let mut found = None;
        within(PATIENCE, "the set has a primary", async || {
            found = self.primary().await;
            found.is_some()
        })
        .await;
        found.expect("just found")
    }

    async fn primary(&self) -> Option<usize> {
        for (at, member) in self.members.iter().enumerate().filter(|(_, member)| member.daemon.runs()) {
            let hello = member.ask(doc! { "hello": 1 }).await;
            if hello.is_some_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false)) {
                return Some(at);
            }
        }
        None
    }

    /// SIGKILL for one member.
    pub fn kill(&mut self, member: usize) {
        self.members[member].daemon.kill();
    }

    /// Starts it again with the data it had.
    pub fn restart(&mut self, member: usize) {
        self.members[member].daemon.restart();
    }

    /// The primary stands back for some seconds; another is elected.
    pub async fn step_down(&self, primary: usize) {
        let order = doc! { "replSetStepDown": 3, "secondaryCatchUpPeriodSecs": 1, "force": true };
        self.members[primary].ask(order).await;
    }

    /// host:port of the first member.
    pub fn place(&self) -> String {
        self.members[0].place()
    }

    /// Where a driver finds the set.
    pub fn url(&self) -> String {
        let places: Vec<_> = self.members.iter().map(Member::place).collect();
        format!("mongodb://{}/{DATABASE}?replicaSet=rs0", places.join(","))
    }

    /// Where a driver finds the one member that stands behind `place`.
    pub fn url_through(place: &str) -> String {
        format!("mongodb://{place}/{DATABASE}?directConnection=true")
    }

    /// The service's database, to look into.
    pub async fn database(&self) -> Database {
        let options = ClientOptions::parse(self.url()).await.expect("a URL");
        Client::with_options(options).expect("a client").database(DATABASE)
    }
}

impl Member {
    fn start() -> Self {
        let (folder, port) = (Folder::new(), free_port());
        let (dir, number) = (folder.path().display().to_string(), port.to_string());
        let args =
            ["--dbpath", &dir, "--bind_ip", "127.0.0.1", "--port", &number, "--nounixsocket", "--quiet"];
        let small = ["--replSet", "rs0", "--oplogSize", "200", "--wiredTigerCacheSizeGB", "0.25"];
        let plain = ["--setParameter", "diagnosticDataCollectionEnabled=false"];
        let args = args.into_iter().chain(small).chain(plain).map(ToOwned::to_owned).collect();
        Self { daemon: Daemon::start("mongod", args, folder.path()), port, _folder: folder }
    }

    fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The answer to an administrator's command, if there is one.
    async fn ask(&self, command: Document) -> Option<Document> {
        let url = format!("mongodb://{}/?directConnection=true&serverSelectionTimeoutMS=1000", self.place());
        let options = ClientOptions::parse(url).await.ok()?;
        Client::with_options(options).ok()?.database("admin").run_command(command).await.ok()
    }
}
