//! A store that holds what this service never wrote: callers get a 500 that tells nothing, NetEase is to send again.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::accounts::bind;
use super::webhook::unread;
use crate::support::service::{Service, Site, eventually};
use crate::support::stores::Stores;
use crate::support::webhook::message;

const AT: i64 = 1_700_000_000_000;

async fn site() -> (Site, Service) {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    (site, service)
}

/// Spoils the file behind the service's back.
async fn spoil(site: &Site, sql: &'static str) {
    let mut file = SqliteConnection::connect(site.stores.url("messages.url")).await.unwrap();
    let spoilt = sqlx::query(AssertSqlSafe(sql)).execute(&mut file).await.unwrap();
    assert!(spoilt.rows_affected() > 0, "nothing was spoilt");
}

fn id(told: &Value) -> &str {
    told["id"].as_str().unwrap()
}

#[tokio::test]
async fn an_account_row_that_makes_no_sense_is_an_internal_error() {
    let (site, service) = site().await;
    bind(&service.client, "alice", None, "bob").await;
    spoil(&site, "UPDATE accounts SET user_id = ''").await;
    let cold = site.start().await;
    let body = json!({"buyer": "alice", "seller": "bob"});
    let answer = cold.client.as_user("alice").post("/v1/accounts/bind", &body).await;
    answer.problem(500, "internal");
    let body = json!({"to": "alice", "attach": "text"});
    let told = cold.client.as_user("shop").post("/v1/notifications", &body).await.ok();
    let look =
        async || cold.client.as_user("shop").get(&format!("/v1/notifications/{}", id(&told))).await.ok();
    eventually("the notice is given up", async || look().await["state"] == "failed").await;
    assert!(!look().await.to_string().contains("user id"), "that is for the log");
}

#[tokio::test]
async fn a_message_that_makes_no_sense_is_no_zero_and_no_500_for_netease() {
    let (site, service) = site().await;
    let copy = message("bob", "alice", 9, AT).to_string();
    assert_eq!(service.client.copy(copy.clone()).await.status, 200);
    assert_eq!(unread(&service.client, "alice", "bob").await, 1);
    spoil(&site, r#"UPDATE messages SET "fromAccount" = 'NOT AN ACCID'"#).await;
    service.client.copy(copy).await.problem(503, "overloaded");
    assert_eq!(unread(&service.client, "alice", "bob").await, 1, "the view is not touched");
    let restarted = site.start().await;
    let cold = restarted.client.as_user("alice");
    let body = json!({"self": "alice", "users": ["bob"]});
    cold.post("/v1/unread", &body).await.problem(500, "internal");
    cold.get("/v1/unread?self=alice&users=bob").await.problem(500, "internal");
    assert_eq!(cold.get("/readyz").await.status, 200, "the store answers");
}
