//! A service that starts while the accounts' database is away, or while its schema is behind.

use serde_json::json;
use sqlx::{Connection, MySqlConnection};

use crate::support::process::{Process, run};
use crate::support::proxy::Proxy;
use crate::support::service::{Site, eventually};
use crate::support::stores::Stores;

/// A site with its schemas, whose accounts' database is reached through a proxy.
async fn site() -> (Site, Proxy, MySqlConnection) {
    let stores = Stores::servers().await;
    let url = stores.url("accounts.url").to_owned();
    let proxy = Proxy::of(&url).await;
    let site = Site::new(stores.with("accounts.url", proxy.through(&url))).await;
    (site, proxy, MySqlConnection::connect(&url).await.unwrap())
}

async fn run_sql(connection: &mut MySqlConnection, sql: &'static str) {
    sqlx::query(sql).execute(connection).await.unwrap();
}

/// What the service answers to a bind and to a poll.
async fn answers(site: &Site, process: &Process) -> (u16, u16) {
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let client = process.client.as_user(&alice);
    let bound = client.post("/v1/accounts/bind", &json!({"buyer": alice, "seller": bob})).await;
    let polled = client.post("/v1/unread", &json!({"self": alice, "users": [bob]})).await;
    (bound.status, polled.status)
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_starts_while_mysql_is_away_and_uses_it_once_it_is_back() {
    let (site, proxy, _) = site().await;
    proxy.cut();
    let mut process = site.spawn().await;
    assert!(process.heard().iter().any(|line| line.contains("binds and notices are 503")));
    assert_eq!(answers(&site, &process).await, (503, 200));
    for command in ["check", "migrate"] {
        let (code, _, log) = run(&[command], &site.settings(), site.stores.folder.path());
        assert_eq!(code, Some(1), "{command}: {log}");
        assert!(log.contains("accounts.url"), "{command}: {log}");
    }
    proxy.mend();
    eventually("binds are served", async || answers(&site, &process).await == (200, 200)).await;
    process.log_line("is there, and its schema is up to date").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_behind_refuses_the_start_or_is_waited_for() {
    let (site, proxy, mut database) = site().await;
    run_sql(&mut database, "ALTER TABLE _sqlx_migrations RENAME TO elsewhere").await;
    let (code, _, log) = run(&["serve"], &site.settings(), site.stores.folder.path());
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("accounts.url") && log.contains("otc-im migrate"), "{log}");

    proxy.cut();
    let mut process = site.spawn().await;
    proxy.mend();
    process.log_line("is not up to date: run otc-im migrate").await;
    assert_eq!(answers(&site, &process).await, (503, 200));
    run_sql(&mut database, "ALTER TABLE elsewhere RENAME TO _sqlx_migrations").await;
    eventually("binds are served", async || answers(&site, &process).await == (200, 200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_the_service_could_not_do() {
    let (site, _proxy, mut database) = site().await;
    let check = || run(&["check"], &site.settings(), site.stores.folder.path());
    assert_eq!(check().0, Some(0));
    run_sql(&mut database, "ALTER TABLE friendships RENAME TO elsewhere").await;
    let (code, _, log) = check();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("accounts.url") && log.contains("friendships"), "{log}");
}
