//! `otc-im check`: one line for each step, and what is wrong is found before anybody is served.

use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Client, IndexModel};
use sqlx::{Connection, MySqlConnection};

use crate::support::own_maria::OwnMaria;
use crate::support::own_mongo::OwnMongo;
use crate::support::own_redis::OwnRedis;
use crate::support::process::run;
use crate::support::service::Site;
use crate::support::stores::Stores;

/// The exit code, the lines of standard output, and what standard error has beside the log.
fn check(site: &Site, options: &[&str]) -> (Option<i32>, Vec<String>, String) {
    let (code, out, log) = run(&[&["check"], options].concat(), &site.settings(), site.stores.folder.path());
    let told: Vec<_> = log.lines().filter(|line| !line.starts_with('{')).collect();
    (code, out.lines().map(str::to_owned).collect(), told.join("\n"))
}

/// The one line that begins with `beginning` and holds all these words.
fn assert_line(lines: &[String], beginning: &str, words: &[&str]) {
    let begin: Vec<_> = lines.iter().filter(|line| line.starts_with(beginning)).collect();
    let [line] = begin[..] else { panic!("one line begins with `{beginning}`: {lines:#?}") };
    let lacks: Vec<_> = words.iter().filter(|word| !line.contains(**word)).collect();
    assert!(lacks.is_empty(), "{lacks:?} not in: {line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_has_its_line() {
    for (stores, written) in [(Stores::embedded(), "rows are"), (Stores::servers().await, "documents are")] {
        let site = Site::new(stores).await;
        let (code, lines, log) = check(&site, &[]);
        assert_eq!((code, &*log), (Some(0), ""), "{lines:#?}");
        let keys: Vec<_> = lines.iter().map(|line| line.split(": ").next().unwrap()).collect();
        let (accounts, messages) = ("ok      accounts.url", "ok      messages.url");
        let (view, netease) = ("ok      unread.url", "ok      netease.base_url");
        let mut all = vec!["ok      configuration", accounts, accounts, messages, messages, view, netease];
        if written == "documents are" {
            all.insert(5, view);
        }
        assert_eq!(keys, all, "{lines:#?}");
        assert!(lines[4].contains(&format!("{written} written, changed and deleted")), "{}", lines[4]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_asks_the_sites_own_stores_alone() {
    let site = Site::new(Stores::embedded()).await.set("netease.app_secret", "another");
    let site = site.unset("auth.hs256_secret").set("auth.jwks_url", "http://127.0.0.1:1/keys");
    let (code, lines, log) = check(&site, &["--offline"]);
    assert_eq!((code, &*log), (Some(0), ""), "{lines:#?}");
    assert_line(&lines, "note    netease, auth: ", &["--offline"]);
    assert_eq!(site.netease.calls("user/getUinfos").await, 0);
    assert_eq!(check(&site, &[]).0, Some(1));
    assert_eq!(site.netease.calls("user/getUinfos").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_hides_nothing_else_and_the_first_is_the_last_word() {
    let site = Site::new(Stores::embedded()).await.set("netease.app_secret", "another");
    let site = site.set("unread.url", "redis://127.0.0.1:1");
    let (code, lines, log) = check(&site, &[]);
    assert_eq!(code, Some(1), "{lines:#?}");
    assert_line(&lines, "FAILED  unread.url: ", &["redis://127.0.0.1:1", "start that server"]);
    assert_line(&lines, "FAILED  NetEase ", &["netease.app_secret"]);
    assert!(log.starts_with("otc-im: unread.url: ") && log.lines().count() == 1, "{log}");
}

/// Whether a transaction as the outbox has them can write.
async fn is_written(url: &str) -> bool {
    let mut connection = MySqlConnection::connect(url).await.unwrap();
    let begin = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION";
    sqlx::raw_sql(begin).execute(&mut connection).await.unwrap();
    let friends = "INSERT INTO friendships (accid_a, accid_b) VALUES ('a', 'b')";
    sqlx::raw_sql(friends).execute(&mut connection).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mysql_that_takes_no_writes_of_ours_is_found_out() {
    let own = OwnMaria::start(&["--log-bin", "--binlog-format=ROW"]).await;
    let site = Site::new(Stores::embedded().with("accounts.url", own.url())).await;
    assert_eq!(check(&site, &[]).0, Some(0));
    for (wrong, words, right) in [
        ("read_only = ON", ["the server is read-only", "primary"], "read_only = OFF"),
        (
            "binlog_format = 'STATEMENT'",
            ["binlog_format = STATEMENT", "ROW or MIXED"],
            "binlog_format = 'MIXED'",
        ),
    ] {
        own.run(&format!("SET GLOBAL {wrong}")).await;
        let (code, lines, log) = check(&site, &[]);
        assert_eq!(code, Some(1), "{lines:#?}{log}");
        assert_line(&lines, "FAILED  accounts.url: ", &words);
        assert!(!is_written(&own.url()).await, "{wrong}: no false alarm");
        own.run(&format!("SET GLOBAL {right}")).await;
        assert_eq!(check(&site, &[]).0, Some(0), "{right}");
        assert!(is_written(&own.url()).await, "{right}");
    }
    own.run("SET GLOBAL read_only = OFF; REVOKE DELETE ON otc_own.* FROM 'otc'@'127.0.0.1'").await;
    let (code, lines, _) = check(&site, &[]);
    assert_eq!(code, Some(1), "{lines:#?}");
    assert_line(&lines, "FAILED  accounts.url: ", &["DELETE command denied", "docs/operations.md"]);
    let site = site.set("accounts.url", &own.url().replace("otc:otc", "admin:admin"));
    let (code, lines, _) = check(&site, &[]);
    assert_eq!(code, Some(0), "{lines:#?}");
    assert_line(&lines, "note    accounts.url: ", &["old primary", "READ_ONLY ADMIN"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mongodb_that_may_lose_or_refuse_messages_is_noted() {
    let own = OwnMongo::alone().await;
    let site = Site::new(Stores::embedded().with("messages.url", own.url("otc_im"))).await;
    let messages = Client::with_uri_str(own.url("otc_im")).await.unwrap().database("otc_im");
    let options = IndexOptions::builder().name("theirs".to_owned()).unique(true).build();
    let index = IndexModel::builder().keys(doc! { "msgidServer": 1 }).options(options).build();
    messages.collection::<Document>("messages").create_index(index).await.unwrap();
    let (code, lines, log) = check(&site, &[]);
    assert_eq!((code, &*log), (Some(0), ""), "{lines:#?}");
    let (unique, alone) = ("note    messages.url: the unique index", "note    messages.url: the server");
    assert_line(&lines, unique, &["messages.theirs", "drop it"]);
    assert_line(&lines, alone, &["no member of a replica set", "rs.initiate()"]);
    assert_eq!(messages.collection::<Document>("messages").count_documents(doc! {}).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mongodb_without_a_majority_is_found_out_in_seconds() {
    let member = async || OwnMongo::start(&["--replSet", "rs0"]).await;
    let (primary, second, arbiter) = (member().await, member().await, member().await);
    for own in [&primary, &second, &arbiter] {
        own.answers(&doc! { "ping": 1 }, "").await;
    }
    let place = |own: &OwnMongo| format!("127.0.0.1:{}", own.port);
    let members = vec![
        doc! { "_id": 0, "host": place(&primary) },
        doc! { "_id": 1, "host": place(&second), "priority": 0 },
        doc! { "_id": 2, "host": place(&arbiter), "arbiterOnly": true },
    ];
    let quick = doc! { "heartbeatIntervalMillis": 100, "electionTimeoutMillis": 1000 };
    let set = doc! { "_id": "rs0", "members": members, "settings": quick };
    primary.answers(&doc! { "replSetInitiate": set }, "").await;
    let concern = doc! { "setDefaultRWConcern": 1, "defaultWriteConcern": { "w": 1 } };
    primary.answers(&concern, "").await;
    let url = format!("{}?directConnection=true", primary.url("otc_im"));
    let site = Site::new(Stores::embedded().with("messages.url", url)).await;
    assert_eq!(check(&site, &[]).0, Some(0));
    drop(second);
    let (code, lines, log) = check(&site, &[]);
    assert_eq!(code, Some(1), "{lines:#?}{log}");
    assert_line(&lines, "FAILED  messages.url: ", &["no majority", "rs.status()"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_may_not_do_everything_are_found_out() {
    let (mongo, redis) = (OwnMongo::with_users().await, OwnRedis::start());
    let all = mongo.url_of("all", "readWrite", "otc_im").await;
    let migrated = Site::new(Stores::embedded().with("messages.url", all)).await;
    let reads = mongo.url_of("reads", "read", "otc_im").await;
    let url = redis.url();
    let client = redis::Client::open(&*url).unwrap();
    let mut admin = client.get_multiplexed_async_connection().await.unwrap();
    let mut user = redis::cmd("ACL");
    user.arg(&["SETUSER", "otc", "on", ">hush", "~im:*", "+@all", "-script"]);
    user.query_async::<()>(&mut admin).await.unwrap();
    let site = migrated.set("messages.url", &reads);
    let site = site.set("unread.url", &url.replace("redis://", "redis://otc:hush@"));
    let (code, lines, log) = check(&site, &[]);
    assert_eq!(code, Some(1), "{lines:#?}{log}");
    assert_line(&lines, "FAILED  messages.url: ", &["not authorized", "docs/operations.md"]);
    assert_line(&lines, "FAILED  unread.url: ", &["no permissions", "script", "docs/operations.md"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_redis_will_do_is_told() {
    let redis = OwnRedis::start();
    let site = Site::new(Stores::embedded().with("unread.url", redis.url())).await;
    let admin = redis::Client::open(redis.url()).unwrap();
    let mut admin = admin.get_multiplexed_async_connection().await.unwrap();
    let mut run = async |words: &[&str]| {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]).query_async::<()>(&mut admin).await.unwrap();
    };
    run(&["CONFIG", "SET", "maxmemory", "100mb"]).await;
    for (policy, told) in [
        ("allkeys-lru", "ok      unread.url: once it is full it evicts (allkeys-lru)"),
        ("noeviction", "note    unread.url: once it is full it refuses writes (noeviction)"),
        ("volatile-ttl", "note    unread.url: once it is full it refuses writes (volatile-ttl)"),
    ] {
        run(&["CONFIG", "SET", "maxmemory-policy", policy]).await;
        let (code, lines, log) = check(&site, &[]);
        assert_eq!(code, Some(0), "{lines:#?}{log}");
        assert_line(&lines, told, &[]);
    }
    run(&["ACL", "SETUSER", "default", "-info"]).await;
    let (code, lines, log) = check(&site, &[]);
    assert_eq!(code, Some(0), "{lines:#?}{log}");
    assert_line(&lines, "note    unread.url: it does not say", &["allkeys-lru is right"]);
}
