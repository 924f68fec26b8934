//! The rights that `docs/operations.md` grants are enough: its own lines make the users, and the main flows run as them.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::doc;
use otc_im::domain::ids::{LetterCase, Millis};
use otc_im::domain::unread::Merged;
use otc_im::infra::mongo::{self, MongoLog};
use otc_im::infra::sql::{self, SqlAccounts, SqlOutbox};
use otc_im::ports::StoreError;
use otc_im::ports::accounts::{Account, Accounts, Registration};
use otc_im::ports::dead_letters::{DeadLetter, DeadLetters};
use otc_im::ports::log_upkeep::LogUpkeep;
use otc_im::ports::message_log::MessageLog;
use otc_im::ports::outbox::{Notifications, Outbox};
use otc_im::ports::unread_view::UnreadView;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

use super::deliveries::{accept, at, batch, claim, ids, lease, notice, sent, settle, user};
use super::facts::{NOW, Pair, apply, count, fresh_accid, known_pair, total, with_recalled};
use crate::support::own_mongo::OwnMongo;
use crate::support::own_redis::OwnRedis;
use crate::support::{backends, near};
use crate::support::{fresh_name, server};

fn operations() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap()
}

/// The documented statements for a database of our own: they name `otc_im` and two users.
fn documented(database: &str) -> Vec<String> {
    let text = operations();
    let (_, statements) =
        text.split_once("```sql\nCREATE DATABASE otc_im").expect("the statements are there");
    let statements = format!("CREATE DATABASE otc_im{}", statements.split("```").next().unwrap());
    let own = |line: &str| {
        // A grant takes the name for a pattern, and the tests' own user may grant for no other pattern than its own.
        let line = line.replace("otc_im.*", &granted(database));
        let line = line.replace("otc_im", database).replace("'otc_migrate'", &format!("'{database}_m'"));
        line.replace("'otc'", &format!("'{database}'")).replace('…', "hush").trim_end_matches(';').to_owned()
    };
    statements.lines().map(own).collect()
}

fn granted(database: &str) -> String {
    format!("`{}`.*", database.replace('_', "\\_"))
}

#[tokio::test]
async fn the_documented_user_of_redis_can_do_all_that_this_service_does() {
    let (server, text) = (OwnRedis::start(), operations());
    let line = text.lines().find(|line| line.trim_start().starts_with("ACL SETUSER otc ")).expect("the line");
    let line = line.replace(">…", ">hush");
    let admin = backends::redis_view_at(&server.url()).await;
    admin.redis::<()>(&line.split_whitespace().collect::<Vec<_>>()).await.unwrap();
    let url = server.url().replace("redis://", "redis://otc:hush@");
    let near = near::at(&url, &url, Duration::from_secs(2)).await;
    near.ping().await.unwrap();
    let pair = known_pair(&*near).await;
    let changes =
        [pair.arrived(1, 1), pair.arrived(2, 2), pair.arrived(3, 3), pair.recalled(3), pair.read(1)];
    apply(&*near, changes).await;
    assert_eq!((count(&*near, &pair).await, total(&*near, &pair.reader).await), (Some(1), Some((1, 1))));
    let load = near.begin_load(&pair.reader, "token").await.unwrap();
    let snapshot = with_recalled(pair.snapshot([(4, 4)], Some(3)), &pair, &[3]);
    let merged = near.merge(&pair.reader, &load, &snapshot, NOW).await.unwrap();
    assert_eq!(merged, Merged::Done { added: 1, removed: 1 });
    assert_eq!(near.explain(&pair.reader, &pair.peer).await.unwrap().unread.len(), 1);
    let refused = admin.redis::<Vec<redis::Value>>(&["ACL", "LOG"]).await.unwrap();
    assert!(refused.is_empty(), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_users_of_mysql_can_do_all_that_this_service_does() {
    let (url, name) = (server("TEST_MYSQL_URL"), fresh_name());
    let mut admin = MySqlConnection::connect(&url).await.unwrap();
    for statement in documented(&name) {
        let done = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut admin).await;
        assert!(done.is_ok(), "{statement}: {done:?}");
    }
    let place = url.rsplit_once('@').map_or(&*url, |(_, place)| place);
    sql::migrate_mysql(&format!("mysql://{name}_m:hush@{place}/{name}")).await.unwrap();
    let served = format!("mysql://{name}:hush@{place}/{name}");
    assert!(sql::mysql_is_up_to_date(&served).await.unwrap());
    sql::try_mysql(&served).await.unwrap();
    let pool = sql::mysql(&served, 4).await.unwrap();
    accounts(&SqlAccounts::new(pool.clone(), LetterCase::Distinct)).await;
    let outbox = SqlOutbox::new(pool.clone(), LetterCase::Distinct);
    notices(&outbox).await;

    let revoke = format!("REVOKE DELETE ON {} FROM '{name}'@'%'", granted(&name));
    sqlx::raw_sql(AssertSqlSafe(revoke)).execute(&mut admin).await.unwrap();
    pool.close().await;
    let outbox = SqlOutbox::new(sql::mysql(&served, 1).await.unwrap(), LetterCase::Distinct);
    accept(&outbox, &notice(&["old"])).await;
    let claimed = claim(&outbox, "a", NOW).await;
    settle(&outbox, "a", &claimed, &sent()).await;
    let refused = outbox.forget(at(1), 10).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused:?}");
    assert!(refused.cause().unwrap().contains("DELETE command denied"), "{refused:?}");
    let said = sql::try_mysql(&served).await.unwrap_err().to_string();
    assert!(said.contains("DELETE command denied"), "{said}");

    for statement in [format!("DROP DATABASE {name}"), format!("DROP USER '{name}'@'%', '{name}_m'@'%'")] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut admin).await.unwrap();
    }
}

async fn accounts(store: &dyn Accounts) {
    let account = Account {
        accid: fresh_accid(),
        user: user("somebody"),
        name: None,
        token: "one".into(),
        registration: Registration::Unconfirmed,
        confirmed_name: None,
    };
    let (accid, other) = (&account.accid, fresh_accid());
    store.insert_or_get(&account).await.unwrap();
    store.rename(accid, "Some Body").await.unwrap();
    store.replace_token(accid, "two").await.unwrap();
    store.confirm(accid, "two", Some("Some Body")).await.unwrap();
    store.remember_friends(accid, &other).await.unwrap();
    assert!(store.are_friends(&other, accid).await.unwrap());
    store.forget_confirmation(accid).await.unwrap();
    assert!(!store.are_friends(&other, accid).await.unwrap());
    assert_eq!(store.page(None, 10).await.unwrap().len(), 1);
    store.ping().await.unwrap();
}

async fn notices<T: Outbox + Notifications>(store: &T) {
    let (one, many) = (notice(&["alice"]), batch(&["b", "c"]));
    accept(store, &one).await;
    accept(store, &many).await;
    store.owe_friendship(&user("x"), &user("y"), NOW).await.unwrap();
    let claimed = claim(store, "a", NOW).await;
    assert!(store.begin(&lease("a", NOW), &ids(&claimed)).await.unwrap());
    settle(store, "a", &claimed, &sent()).await;
    assert_eq!(store.reclaim_expired(at(1), "gone").await.unwrap(), 0);
    assert_eq!(store.backlog().await.unwrap().queued, 0);
    assert!(store.status(&many.id).await.unwrap().is_some());
    assert_eq!(store.forget(at(1), 10).await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_role_of_mongodb_can_do_all_that_this_service_does() {
    let text = operations();
    let (_, role) = text.split_once("The user needs the role `").expect("the role is there");
    let role = role.split('`').next().unwrap();
    let own = OwnMongo::with_users().await;
    let served = own.url_of("otc", role, "otc_im").await;
    let database = mongo::database(&served, 4).await.unwrap();
    assert_eq!(mongo::prepare(&database, true).await.unwrap(), []);
    assert_eq!(mongo::lacks(&database, true).await.unwrap(), []);
    mongo::can_write(&database).await.unwrap();
    let log = Arc::new(MongoLog::new(database.clone()));
    let pair = Pair::fresh();
    log.record_one(pair.message(1, 10).into()).await.unwrap();
    log.record_one(pair.receipt(10).into()).await.unwrap();
    log.record_one(pair.message(2, 20).into()).await.unwrap();
    log.record_one(pair.message(3, 5).into()).await.unwrap();
    log.record_one(pair.recall(2).into()).await.unwrap();
    assert_eq!(log.snapshot(&pair.reader).await.unwrap().unread, []);
    assert!(!log.is_big(&pair.reader).await.unwrap());
    assert_eq!(log.next_reader(None).await.unwrap().as_ref(), Some(&pair.reader));
    assert_eq!(log.count_readers(None).await.unwrap(), 1);
    assert_eq!(log.pair(&pair.reader, &pair.peer).await.unwrap().mark, Some(Millis(10)));
    assert_eq!(log.forget_read(Millis(100), 10).await.unwrap(), 2);
    let letter = DeadLetter { id: "a".into(), received_at: NOW, reason: "odd".into(), raw: "{}".into() };
    log.keep_all(std::slice::from_ref(&letter)).await.unwrap();
    assert_eq!((log.count().await.unwrap(), log.find("a").await.unwrap()), (1, Some(letter.clone())));
    assert_eq!(log.list(None, 10).await.unwrap(), [letter]);
    log.remove("a").await.unwrap();
    MessageLog::ping(&*log).await.unwrap();

    let reads = mongo::database(&own.url_of("reader", "read", "otc_im").await, 1).await.unwrap();
    let said = mongo::can_write(&reads).await.unwrap_err().to_string();
    assert!(said.contains("not authorized"), "{said}");
    let refused = MongoLog::new(reads).record_one(pair.message(4, 30).into()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused:?}");
    database.run_command(doc! { "ping": 1 }).await.unwrap();
}
