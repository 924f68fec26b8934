//! The SQL schemas: brought up to date by several at once, and looked at before the first statement of a service that
//! started before its database.

use std::os::unix::fs::PermissionsExt;

use futures_util::future::join_all;
use otc_im::domain::ids::LetterCase;
use otc_im::infra::sql::{self, Schema, SqlAccounts, SqlOutbox};
use otc_im::ports::StoreError;
use otc_im::ports::accounts::Accounts;
use otc_im::ports::outbox::Outbox;
use sqlx::AssertSqlSafe;

use super::facts::fresh_accid;
use crate::support::proxy::Proxy;
use crate::support::stores::Folder;
use crate::support::{fresh_name, server};

const AT_ONCE: usize = 8;

/// The URL of a new database without tables.
async fn new_mysql() -> String {
    let (url, name) = (server("TEST_MYSQL_URL"), fresh_name());
    let admin = sql::mysql(&url, 1).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&admin).await.unwrap();
    format!("{url}/{name}")
}

async fn drop_mysql(url: &str) {
    let (server, name) = url.rsplit_once('/').unwrap();
    let admin = sql::mysql(server, 1).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("DROP DATABASE {name}"))).execute(&admin).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn several_migrate_one_new_mysql_database_at_once() {
    let url = new_mysql().await;
    let migrated = join_all((0..AT_ONCE).map(|_| sql::migrate_mysql(&url))).await;
    assert!(migrated.iter().all(Result::is_ok), "{migrated:?}");
    assert!(sql::mysql_is_up_to_date(&url).await.unwrap());
    drop_mysql(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_migrate_one_new_sqlite_file_at_once_and_nobody_else_can_read_it() {
    let folder = Folder::new();
    let file = folder.path().join("data").join("otc-im.db");
    let url = format!("sqlite:{}", file.display());
    let migrated = join_all((0..AT_ONCE).map(|_| sql::migrate_sqlite(&url))).await;
    assert!(migrated.iter().all(Result::is_ok), "{migrated:?}");
    let pool = sql::sqlite(&url, 1).await.unwrap();
    assert!(sql::up_to_date(&sql::SQLITE, &sql::applied(&pool).await.unwrap()));
    sqlx::query("DELETE FROM accounts").execute(&pool).await.unwrap();
    for file in std::fs::read_dir(file.parent().unwrap()).unwrap() {
        let (file, path) = file.map(|file| (file.metadata().unwrap(), file.path())).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
}

fn said(error: &StoreError) -> String {
    error.cause().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_started_first_uses_its_database_once_that_is_up_to_date() {
    let url = new_mysql().await;
    let proxy = Proxy::of(&url).await;
    let pool = sql::mysql_later(&proxy.through(&url), 4).unwrap();
    let schema = Schema::unseen(pool.clone());
    let accounts = SqlAccounts::new(pool.clone(), LetterCase::Distinct).not_before(schema.clone());
    let outbox = SqlOutbox::new(pool, LetterCase::Distinct).not_before(schema);
    let accid = fresh_accid();
    proxy.cut();
    for error in join_all((0..AT_ONCE).map(|_| accounts.find(&accid))).await {
        assert!(matches!(error, Err(StoreError::Unavailable { .. })), "{error:?}");
    }
    proxy.mend();
    let behind = accounts.ping().await.unwrap_err();
    assert!(matches!(behind, StoreError::Unavailable { .. }) && said(&behind).contains("otc-im migrate"));
    let behind = outbox.backlog().await.unwrap_err();
    assert!(said(&behind).contains("otc-im migrate"), "{behind:?}");
    sql::migrate_mysql(&url).await.unwrap();
    assert_eq!(accounts.find(&accid).await.unwrap(), None);
    assert_eq!(outbox.backlog().await.unwrap().queued, 0);
    drop_mysql(&url).await;
}
