//! A MongoDB server of a test's own, where users have to log in: the one that all tests share takes everybody.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::error::Result;
use mongodb::options::ClientOptions;

use super::server;
use super::stores::Folder;

/// How long it may take until the server is the primary of its set.
const PATIENCE: Duration = Duration::from_mins(1);
const ADMIN: &str = "admin:hush@";

/// A server, or a replica set of one, that ends with this value.
pub struct OwnMongo {
    child: Child,
    folder: Folder,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl OwnMongo {
    /// Starts a replica set, with the program that the shared server runs, and makes an administrator.
    pub async fn with_users() -> Self {
        let key = Folder::new();
        let path = key.path().join("key");
        fs::write(&path, "members of this set know each other").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        let key_file = path.display().to_string();
        let own = Self::start(&["--replSet", "rs0", "--auth", "--keyFile", &key_file]).await;
        let member = doc! { "_id": 0, "host": format!("127.0.0.1:{}", own.port) };
        let config = doc! { "_id": "rs0", "members": [member] };
        own.answers(&doc! { "replSetInitiate": config }, "").await;
        let roles = doc! { "createUser": "admin", "pwd": "hush", "roles": ["root"] };
        own.answers(&roles, "").await;
        own
    }

    /// Starts a server that is no member of anything and takes everybody.
    pub async fn alone() -> Self {
        let own = Self::start(&[]).await;
        own.answers(&doc! { "ping": 1 }, "").await;
        own
    }

    /// Starts one with these options; it may not answer yet.
    pub async fn start(options: &[&str]) -> Self {
        let (folder, program) = (Folder::new(), program().await);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (data, number) = (folder.path().display().to_string(), port.to_string());
        let child = Command::new(program)
            .args([
                "--dbpath",
                &data,
                "--port",
                &number,
                "--bind_ip",
                "127.0.0.1",
                "--nounixsocket",
                "--quiet",
            ])
            .args(["--oplogSize", "100", "--wiredTigerCacheSizeGB", "0.25"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("mongod starts");
        Self { child, folder, port }
    }

    /// The URL of a database, for a server that takes everybody.
    pub fn url(&self, database: &str) -> String {
        format!("mongodb://127.0.0.1:{}/{database}", self.port)
    }

    /// The URL of a new user with one role on a database.
    pub async fn url_of(&self, user: &str, role: &str, database: &str) -> String {
        let roles = vec![doc! { "role": role, "db": database }];
        self.answers(&doc! { "createUser": user, "pwd": "hush", "roles": roles }, ADMIN).await;
        format!("mongodb://{user}:hush@127.0.0.1:{}/{database}?replicaSet=rs0&authSource=admin", self.port)
    }

    /// Waits until a command of an administrator is carried out: the server may still be starting, or electing.
    pub async fn answers(&self, command: &Document, who: &str) {
        let mut last = None;
        let done = async {
            while let Err(error) = self.ask(command.clone(), who).await {
                last = Some(error);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, done).await;
        assert!(in_time.is_ok(), "{}: {last:?}", self.folder.path().display());
    }

    async fn ask(&self, command: Document, who: &str) -> Result<Document> {
        let options = "directConnection=true&serverSelectionTimeoutMS=1000";
        let options =
            ClientOptions::parse(format!("mongodb://{who}127.0.0.1:{}/?{options}", self.port)).await?;
        Client::with_options(options)?.database("admin").run_command(command).await
    }
}

impl Drop for OwnMongo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The shared server's own program, if it runs on this machine.
async fn program() -> String {
    let client = Client::with_uri_str(server("TEST_MONGO_URL")).await.unwrap();
    let started = client.database("admin").run_command(doc! { "getCmdLineOpts": 1 }).await.unwrap();
    let first = started.get_array("argv").ok().and_then(|words| words.first()?.as_str());
    first.filter(|program| Path::new(program).is_file()).unwrap_or("mongod").to_owned()
}
