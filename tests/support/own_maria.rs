//! A MariaDB server of a test's own, for settings that the one that all tests share must not have.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

use super::stores::Folder;

/// How long it may take until it answers.
const PATIENCE: Duration = Duration::from_mins(1);
/// The service's user, and an administrator.
const USERS: &str = "CREATE DATABASE otc_own CHARACTER SET utf8mb4;\n\
    CREATE USER 'otc'@'127.0.0.1' IDENTIFIED BY 'otc';\n\
    GRANT ALL PRIVILEGES ON otc_own.* TO 'otc'@'127.0.0.1';\n\
    CREATE USER 'admin'@'127.0.0.1' IDENTIFIED BY 'admin';\n\
    GRANT ALL PRIVILEGES ON *.* TO 'admin'@'127.0.0.1' WITH GRANT OPTION;\n";

/// A server with the empty database `otc_own` that ends with this value.
pub struct OwnMaria {
    child: Child,
    folder: Folder,
    port: u16,
}

impl OwnMaria {
    /// Starts it with these options.
    pub async fn start(options: &[&str]) -> Self {
        let folder = Folder::new();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data = format!("--datadir={}", folder.path().join("data").display());
        let init = folder.path().join("init.sql");
        std::fs::write(&init, USERS).unwrap();
        let made = Command::new("mariadb-install-db")
            .args(["--no-defaults", &data, "--skip-test-db", "--user=root"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(made.is_ok_and(|status| status.success()), "MariaDB's files can be made");
        let (init, port_is) = (format!("--init-file={}", init.display()), format!("--port={port}"));
        let child = Command::new(program())
            .args(["--no-defaults", &data, &init, &port_is, "--user=root", "--socket=mysql.sock"])
            .args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--innodb-buffer-pool-size=16M"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .expect("mariadbd starts");
        let own = Self { child, folder, port };
        let answers = async {
            while MySqlConnection::connect(&own.url()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, answers).await;
        assert!(in_time.is_ok(), "{}", std::fs::read_to_string(own.folder.path().join("log")).unwrap());
        own
    }

    /// As the service's configuration names it.
    pub fn url(&self) -> String {
        format!("mysql://otc:otc@127.0.0.1:{}/otc_own", self.port)
    }

    /// Carries out a statement as an administrator.
    pub async fn run(&self, sql: &str) {
        let admin = self.url().replace("otc:otc", "admin:admin");
        let mut admin = MySqlConnection::connect(&admin).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
    }
}

impl Drop for OwnMaria {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Debian has it where only administrators look.
fn program() -> PathBuf {
    let known = PathBuf::from("/usr/sbin/mariadbd");
    if known.is_file() { known } else { "mariadbd".into() }
}
