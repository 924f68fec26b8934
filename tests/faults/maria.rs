//! A disposable MariaDB.

use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::{Connection, MySqlConnection};

use super::daemon::{Daemon, free_port, where_is};
use super::within;
use crate::support::stores::Folder;

/// How long it may take until it answers.
const PATIENCE: Duration = Duration::from_mins(1);

/// A MariaDB server with an empty database.
pub struct Maria {
    daemon: Daemon,
    port: u16,
    _folder: Folder,
}

impl Maria {
    /// A new one.
    pub async fn start() -> Self {
        let (folder, port) = (Folder::new(), free_port());
        let data = format!("--datadir={}", folder.path().join("data").display());
        let init = folder.path().join("init.sql");
        let user = "CREATE DATABASE IF NOT EXISTS otc_faults CHARACTER SET utf8mb4;\n\
            CREATE USER IF NOT EXISTS 'otc'@'127.0.0.1' IDENTIFIED BY 'otc';\n\
            GRANT ALL PRIVILEGES ON otc_faults.* TO 'otc'@'127.0.0.1';\n\
            CREATE USER IF NOT EXISTS 'admin'@'127.0.0.1' IDENTIFIED BY 'admin';\n\
            GRANT ALL PRIVILEGES ON *.* TO 'admin'@'127.0.0.1';\n";
        std::fs::write(&init, user).expect("a file can be written");
        let made = Command::new(where_is("mariadb-install-db"))
            .args(["--no-defaults", &data, "--skip-test-db", "--user=root"])
            .stdout(Stdio::null())
            .status();
        assert!(made.is_ok_and(|status| status.success()), "MariaDB's files can be made");
        let (init, port_is) = (format!("--init-file={}", init.display()), format!("--port={port}"));
        let place = ["--socket=mysql.sock", "--bind-address=127.0.0.1", &port_is, "--skip-name-resolve"];
        let args = ["--no-defaults", &data, &init, "--skip-log-bin", "--user=root"];
        let args = args.into_iter().chain(place).map(ToOwned::to_owned).collect();
        let daemon = Daemon::start("mariadbd", args, folder.path());
        let maria = Self { daemon, port, _folder: folder };
        maria.ready().await;
        maria
    }

    async fn ready(&self) {
        let url = url_through(&self.place());
        let answers = async || MySqlConnection::connect(&url).await.is_ok();
        within(PATIENCE, "MariaDB answers", answers).await;
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// The same server again, with the data it had.
    pub async fn restart(&mut self) {
        self.daemon.restart();
        self.ready().await;
    }

    /// It takes no more writes from anybody but administrators.
    pub async fn becomes_read_only(&self) {
        let admin = url_through(&self.place()).replace("otc:otc", "admin:admin");
        let mut admin = MySqlConnection::connect(&admin).await.expect("an administrator");
        sqlx::query("SET GLOBAL read_only = ON").execute(&mut admin).await.expect("read-only");
    }

    /// host:port
    pub fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// Where a client finds the database behind `place`.
pub fn url_through(place: &str) -> String {
    format!("mysql://otc:otc@{place}/otc_faults")
}
