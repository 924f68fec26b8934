//! What a SQL server refuses is told apart from one that is out of reach, and one that has become read-only is left.

use otc_im::domain::ids::LetterCase;
use otc_im::infra::sql::{self, SqlAccounts};
use otc_im::ports::StoreError;
use otc_im::ports::accounts::{Account, Accounts, Registration};
use otc_im::ports::outbox::Accepted;

use super::deliveries::{notice, user};
use super::facts::{NOW, fresh_accid};
use crate::support::{backends, outboxes};

const CONNECTIONS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_take_no_writes_leave_the_pool() {
    let (whole, name) = backends::mysql().await;
    let url = format!("{}/{name}", crate::support::server("TEST_MYSQL_URL"));
    let pool = sql::mysql(&url, u32::try_from(CONNECTIONS).unwrap()).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = pool.acquire().await.unwrap();
        // As the old primary of a switch-over does.
        sqlx::query("SET SESSION TRANSACTION READ ONLY").execute(&mut *connection).await.unwrap();
        let refused = sqlx::query("DELETE FROM accounts").execute(&mut *connection).await.unwrap_err();
        assert!(refused.to_string().contains("1792"), "{refused}");
        held.push(connection);
    }
    drop(held);
    let accounts = SqlAccounts::new(pool, LetterCase::Distinct);
    for _ in 0..CONNECTIONS * 2 {
        let account = account();
        assert_eq!(accounts.insert_or_get(&account).await.unwrap(), account);
    }
    backends::drop_mysql(whole, &name).await;
}

fn account() -> Account {
    Account {
        accid: fresh_accid(),
        user: user("somebody"),
        name: None,
        token: "token".into(),
        registration: Registration::Unconfirmed,
        confirmed_name: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_refuses_is_not_out_of_reach() {
    let rows = backends::mysql_accounts().await;
    let refused = rows.insert_or_get(&Account { token: "t".repeat(129), ..account() }).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused:?}");
    assert!(refused.cause().unwrap().contains("1406"), "{refused:?}");
    rows.close().await;
    for store in [outboxes::sqlite().await, outboxes::mysql().await] {
        store.run("ALTER TABLE outbox RENAME TO elsewhere").await;
        let refused = store.accept(&notice(&["alice"]), None).await.unwrap_err();
        assert!(matches!(refused, StoreError::Refused { .. }), "{refused:?}");
        store.run("ALTER TABLE elsewhere RENAME TO outbox").await;
        store.run("ALTER TABLE outbox RENAME COLUMN due_at TO overdue_at").await;
        let refused = store.accept(&notice(&["alice"]), None).await.unwrap_err();
        assert!(matches!(refused, StoreError::Refused { .. }), "{refused:?}");
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_of_any_kind_is_looked_for_and_not_found() {
    for store in [outboxes::sqlite().await, outboxes::mysql().await] {
        for id in ["€", "not an id", "", "%", "\u{0}", &"x".repeat(500)] {
            assert_eq!(store.status(id).await.unwrap(), None, "{id:?}");
        }
        let new = notice(&["alice"]);
        assert_eq!(store.accept(&new, None).await.unwrap(), Accepted::New(Vec::new()));
        assert_eq!(store.status(&format!("{} ", new.id)).await.unwrap(), None, "a blank is not nothing");
        assert!(store.status(&new.id).await.unwrap().is_some());
        assert_eq!(store.forget(NOW, 10).await.unwrap(), 0);
        store.close().await;
    }
}
