//! The two sets of back ends: embedded (SQLite and memory), and MySQL, MongoDB and Redis.

use std::path::{Path, PathBuf};

use sqlx::{Connection, MySqlConnection};

use super::{fresh_name, server};

/// Keys of the configuration with their values: for the environment of a process, or for [`super::service`].
pub type Settings = Vec<(&'static str, String)>;

/// The environment variable of a key.
pub fn variable(key: &str) -> String {
    format!("OTC_IM__{}", key.replace('.', "__").to_uppercase())
}

/// Empty stores of one set.
pub struct Stores {
    /// Where they are.
    pub settings: Settings,
    /// Whatever else wants to be on disk.
    pub folder: Folder,
}

impl Stores {
    /// SQLite in a file of its own, and memory.
    pub fn embedded() -> Self {
        let folder = Folder::new();
        let url = format!("sqlite:{}", folder.path().join("otc-im.db").display());
        let settings =
            vec![("accounts.url", url.clone()), ("messages.url", url), ("unread.url", "memory:".to_owned())];
        Self { settings, folder }
    }

    /// Databases of their own on the real servers. Redis is shared: [`super::service::Site::user`] keeps tests apart.
    pub async fn servers() -> Self {
        let name = fresh_name();
        let mysql = server("TEST_MYSQL_URL");
        let mut connection = MySqlConnection::connect(&mysql).await.expect("MySQL answers");
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"));
        sqlx::query(create).execute(&mut connection).await.expect("a database can be made");
        let settings = vec![
            ("accounts.url", format!("{mysql}/{name}")),
            ("messages.url", with_database(&server("TEST_MONGO_URL"), &name)),
            ("unread.url", server("TEST_REDIS_URL")),
        ];
        Self { settings, folder: Folder::new() }
    }

    /// The same stores, one of them elsewhere.
    pub fn with(mut self, key: &'static str, url: String) -> Self {
        self.settings.retain(|(known, _)| *known != key);
        self.settings.push((key, url));
        self
    }

    /// Where one of them is.
    pub fn url(&self, key: &str) -> &str {
        let setting = self.settings.iter().find(|(known, _)| *known == key);
        setting.map(|(_, url)| url.as_str()).expect("such a key")
    }
}

fn with_database(url: &str, name: &str) -> String {
    let (server, options) = url.split_once('?').unwrap_or((url, ""));
    format!("{}/{name}?{options}", server.trim_end_matches('/'))
}

/// A folder that goes with its test.
pub struct Folder(PathBuf);

impl Folder {
    /// Empty.
    pub fn new() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(fresh_name());
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs each test on both sets of back ends: `on_both_sets!(test, another)` makes `embedded::test`, `servers::test`
/// and so on of `async fn test(stores: Stores)`.
macro_rules! on_both_sets {
    ($($test:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test($crate::support::stores::Stores::embedded()).await;
            })+
        }
        mod servers {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test($crate::support::stores::Stores::servers().await).await;
            })+
        }
    };
}
pub(crate) use on_both_sets;
