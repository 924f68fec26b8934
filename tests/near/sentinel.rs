//! A master that sentinels name: found anew by each new connection, also when it is another one, or when a sentinel
//! is out of reach or behind the times.

use std::cell::Cell;
use std::slice;
use std::time::Duration;

use otc_im::domain::ids::Millis;
use otc_im::infra::clock::System;
use otc_im::infra::redis::Connection;
use otc_im::ports::clock::Clock;
use otc_im::ports::unread_view::UnreadView;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::another_redis::counts;
use crate::contract::facts::{Pair, apply, count, known_pair, load};
use crate::support::backends;
use crate::support::near::{self, is_active};
use crate::support::own_redis::OwnRedis;
use crate::support::own_sentinels::{MASTER, OwnSentinels};
use crate::support::process;
use crate::support::proxy::Proxy;
use crate::support::service::{Site, eventually};
use crate::support::stores::Stores;

const STALENESS: Duration = Duration::from_secs(1);
/// The sentinels take two to four seconds, and a busy machine more.
const FAILOVER: Duration = Duration::from_mins(1);

/// The port of the server that this connection leads to.
async fn leads_to(connection: &mut Connection) -> u16 {
    let info: String = redis::cmd("INFO").arg("server").query_async(connection).await.unwrap();
    let port = info.lines().find_map(|line| line.strip_prefix("tcp_port:")).expect("a port");
    port.parse().unwrap()
}

async fn refused(url: &str) -> String {
    let Err(error) = Connection::open(url).await else { panic!("{url} was connected to") };
    error.to_string()
}

fn sentinels(places: &[String]) -> String {
    format!("redis+sentinel://{}/{MASTER}", places.join(","))
}

fn place(server: &OwnRedis) -> String {
    format!("127.0.0.1:{}", server.port)
}

/// A sentinel that has missed a failover: it names this server, whatever that has become.
async fn one_that_names(server: &OwnRedis) -> String {
    let (listener, port) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), server.port.to_string());
    let place = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let answer = format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len());
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = client.read(&mut buffer).await {
                    let asked = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    let settings = asked.matches("SETINFO").count();
                    let named = asked.matches("GET-MASTER-ADDR-BY-NAME").count();
                    let answers = "+OK\r\n".repeat(settings) + &answer.repeat(named);
                    client.write_all(answers.as_bytes()).await.unwrap();
                }
            });
        }
    });
    place
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_killed_is_left_for_the_one_that_sentinels_name_and_compared_with_the_log() {
    let (mut own, log) = (OwnSentinels::start(3, 2).await, backends::sqlite_log().await);
    let near = near::at(&own.url(), &own.url(), STALENESS).await;
    let (counts, pair) = (counts(near.clone(), &log), Pair::fresh());
    for number in 1..=3 {
        log.record_one(pair.message(number, number).into()).await.unwrap();
    }
    let poll = async || counts.of(&pair.reader, slice::from_ref(&pair.peer)).await.ok();
    assert_eq!(poll().await, Some(vec![3]), "loaded from the log");
    let written = known_pair(&*near).await;
    let replica = backends::redis_view_at(&own.replica.url()).await;
    eventually("the replica has everything", async || {
        count(&*replica, &pair).await == Some(3) && count(&*replica, &written).await == Some(0)
    })
    .await;
    // As if the last write had not come: it says that it knows the reader, and counts one message less.
    replica.redis::<()>(&["CONFIG", "SET", "replica-read-only", "no"]).await.unwrap();
    let (key, peer) = (backends::redis_key(&pair.reader, "n"), pair.peer.to_string());
    replica.redis::<i64>(&["HINCRBY", &key, &peer, "-1"]).await.unwrap();
    own.ready_for_failover().await;

    own.master.kill();
    let copy = written.arrived(1, 10);
    let taken = async {
        while near.apply(&copy, System.now()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(FAILOVER, taken).await.expect("copies are taken by the new master");
    assert_eq!(count(&*replica, &written).await, Some(1), "it is there");
    assert_eq!(count(&*near, &written).await, Some(1));
    assert!(near.trusted_since() > Millis(0), "another Redis is not believed");
    let first = Cell::new(None);
    eventually("right again", async || {
        let polled = poll().await;
        first.set(first.take().or(polled.clone()));
        polled == Some(vec![3])
    })
    .await;
    assert_eq!(first.take(), Some(vec![2]), "the new master lacked a message, so something was put right");

    is_active(&near).await;
    let kept = async || {
        let hits = near.counters().hits.get();
        count(&*near, &written).await;
        near.counters().hits.get() > hits
    };
    eventually("polls are answered from memory again", kept).await;
    apply(&*replica, [written.arrived(2, 20)]).await;
    eventually("the new master tells of changes", async || count(&*near, &written).await == Some(2)).await;
}

#[tokio::test]
async fn sentinels_that_hang_or_are_gone_cost_nothing_while_another_answers() {
    let mut own = OwnSentinels::start(2, 1).await;
    let proxy = Proxy::of(&own.sentinels[0].url()).await;
    let url = sentinels(&[proxy.through(&place(&own.sentinels[0])), place(&own.sentinels[1])]);
    proxy.stall();
    let mut connection = Connection::open(&url).await.unwrap();
    assert_eq!(leads_to(&mut connection).await, own.master.port);
    assert!(proxy.accepted() > 0, "the one that hangs was asked");
    own.sentinels[1].kill();
    let told = refused(&url).await;
    for part in ["no sentinel of unread.url answers: ", "timed out", "refused"] {
        assert!(told.contains(part), "{told}");
    }
    proxy.cut();
    refused(&url).await;
    proxy.mend();
    let view = backends::redis_view_at(&url).await;
    let pair = Pair::fresh();
    load(&*view, &pair.reader, &pair.snapshot([(1, 10)], None)).await;
    assert_eq!(count(&*view, &pair).await, Some(1));
}

#[tokio::test]
async fn a_sentinel_that_has_missed_a_failover_is_passed_over() {
    let own = OwnSentinels::start(1, 1).await;
    let behind = one_that_names(&own.replica).await;
    for _ in 0..5 {
        let mut connection =
            Connection::open(&sentinels(&[behind.clone(), place(&own.sentinels[0])])).await.unwrap();
        assert_eq!(leads_to(&mut connection).await, own.master.port);
    }
    let told = refused(&sentinels(&[behind])).await;
    let named = format!("name {} as the master `{MASTER}`: it is a replica", place(&own.replica));
    assert!(told.contains(&named), "{told}");
}

#[tokio::test]
async fn the_master_and_its_sentinels_have_logins_of_their_own() {
    let watcher = "user watcher on >pw resetchannels -@all +sentinel|get-master-addr-by-name";
    let own = OwnSentinels::start_with(1, 1, &format!("requirepass sen+ti%nel\n{watcher}")).await;
    let admin = backends::redis_view_at(&own.master.url()).await;
    admin.redis::<()>(&["ACL", "SETUSER", "otc", "on", ">ti%ger", "~im:*", "+@all"]).await.unwrap();
    let of = |password: &str, query: &str| {
        let url = own.url().replace("://", &format!("://otc:{password}@"));
        format!("{url}/1{query}")
    };
    let view = backends::redis_view_at(&of("ti%25ger", "?sentinel_password=sen+ti%25nel")).await;
    let pair = known_pair(&*view).await;
    assert_eq!(count(&*view, &pair).await, Some(0));
    assert_eq!(count(&*admin, &pair).await, None, "it is in another database");
    Connection::open(&of("ti%25ger", "?sentinel_username=watcher&sentinel_password=pw")).await.unwrap();
    let odd = [
        ("ti%25ger", ""),
        ("ti%25ger", "?sentinel_password=xyzzy"),
        ("xyzzy", "?sentinel_password=sen%2Bti%25nel"),
    ];
    for ((password, query), part) in odd.into_iter().zip(["NOAUTH", "authentication failed", "as the master"])
    {
        let told = refused(&of(password, query)).await;
        assert!(told.contains(part) && !told.contains("xyzzy") && !told.contains("ger"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_takes_sentinels_and_names_the_master_that_none_of_them_knows() {
    let (own, site) = (OwnSentinels::start(2, 1).await, Site::new(Stores::embedded()).await);
    let check = |url: String| {
        let settings = [site.settings(), vec![("unread.url", url)]].concat();
        process::run(&["check"], &settings, site.stores.folder.path())
    };
    let (code, _, log) = check(own.url());
    assert_eq!(code, Some(0), "{log}");
    let (code, out, log) = check(own.url().replace("://", "://otc:tiger@").replace(MASTER, "another"));
    assert_eq!(code, Some(1), "{log}");
    for part in ["unread.url", "no sentinel of unread.url names a master `another`", "sentinel monitor"] {
        assert!(log.contains(part), "{log}");
    }
    assert!(!format!("{out}{log}").contains("tiger"), "{log}");
}
