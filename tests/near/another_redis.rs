//! A Redis that is another one than before is compared with the log; the same one under a new connection is not.

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use otc_im::commands::projector::{LoadBounds, Projector};
use otc_im::domain::ids::Millis;
use otc_im::infra::clock::System;
use otc_im::infra::redis::{Connection, RedisView};
use otc_im::ports::StoreError;
use otc_im::ports::clock::Clock;
use otc_im::ports::unread_view::UnreadView;
use otc_im::queries::unread_counts::UnreadCounts;
use tokio::sync::Semaphore;

use super::Rig;
use crate::contract::facts::{Pair, apply};
use crate::support::backends::{self, Log};
use crate::support::near::is_active;
use crate::support::own_redis::OwnRedis;
use crate::support::proxy::Proxy;
use crate::support::service::eventually;

/// What a service answers over this view and log.
pub(super) fn counts(view: Arc<dyn UnreadView>, log: &Log) -> UnreadCounts {
    let bounds = LoadBounds { at_once: 4, remove_unknown: Some(0) };
    let (clock, messages) = (Arc::new(System), log.messages.clone());
    let projector = Projector::new(messages.clone(), view.clone(), clock.clone(), clock.clone(), bounds);
    UnreadCounts {
        view,
        log: messages,
        view_loader: Arc::new(projector),
        clock,
        recheck_after_ms: i64::MAX,
        started_at: Millis(0),
        fallbacks: Semaphore::new(0),
    }
}

/// Three messages in the log, of which this server has heard of one, though it says that it knows the reader.
async fn behind(server: &OwnRedis, log: &Log) -> Pair {
    let (pair, view) = (Pair::fresh(), backends::redis_view_at(&server.url()).await);
    for number in 1..=3 {
        log.record_one(pair.message(number, number).into()).await.unwrap();
    }
    let load = view.begin_load(&pair.reader, "token").await.unwrap();
    view.merge(&pair.reader, &load, &pair.snapshot([(1, 1)], None), System.now()).await.unwrap();
    pair
}

#[tokio::test]
async fn a_redis_that_comes_back_with_less_is_compared_with_the_log_at_the_next_poll() {
    let (first, older, log) = (OwnRedis::start(), OwnRedis::start(), backends::sqlite_log().await);
    let pair = behind(&older, &log).await;
    let proxy = Proxy::of(&first.url()).await;
    let connection = Connection::open(&proxy.through(&first.url())).await.unwrap();
    let (view, replaced) = (Arc::new(RedisView::new(connection.clone())), connection.replaced());
    let counts = counts(view, &log);
    let poll = async || counts.of(&pair.reader, slice::from_ref(&pair.peer)).await.ok();
    assert_eq!((poll().await, replaced.get()), (Some(vec![3]), 0), "the first one loads");
    proxy.turn_to(&older.url());
    proxy.cut();
    eventually("the connection breaks", async || poll().await.is_none()).await;
    proxy.mend();
    eventually("right again", async || poll().await == Some(vec![3])).await;
    assert_eq!(replaced.get(), 1);
    let loaded = counts.view.read(&pair.reader, &[]).await.unwrap();
    for _ in 0..3 {
        poll().await;
    }
    assert_eq!(counts.view.read(&pair.reader, &[]).await.unwrap(), loaded, "compared once");
}

#[tokio::test]
async fn a_redis_that_refuses_to_be_written_to_is_left_and_compared_with_the_log() {
    let (server, log) = (OwnRedis::start(), backends::sqlite_log().await);
    let (pair, admin) = (behind(&server, &log).await, backends::redis_view_at(&server.url()).await);
    let connection = Connection::open(&server.url()).await.unwrap();
    let (view, replaced) = (Arc::new(RedisView::new(connection.clone())), connection.replaced());
    let counts = counts(view.clone(), &log);
    let poll = async || counts.of(&pair.reader, slice::from_ref(&pair.peer)).await.unwrap();
    assert_eq!(poll().await, [1], "believed so far");
    admin.redis::<()>(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await.unwrap();
    eventually("a write is refused and the connection left", async || {
        assert!(view.apply(&pair.arrived(3, 3), System.now()).await.is_err());
        replaced.get() > 0
    })
    .await;
    admin.redis::<()>(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await.unwrap();
    eventually("right again", async || poll().await == [3]).await;
}

#[tokio::test]
async fn the_same_redis_under_a_new_connection_is_believed_and_goes_on_telling_of_changes() {
    let rig = Rig::new(Duration::from_secs(10)).await;
    let pair = rig.kept_pair().await;
    let tracking = rig.tracking.accepted();
    let before = rig.polls.accepted();
    rig.polls.cut();
    eventually("the connection of polls is lost", async || {
        rig.near.apply(&pair.arrived(1, 10), System.now()).await.is_err()
    })
    .await;
    rig.polls.mend();
    eventually("there is another", async || {
        rig.near.apply(&pair.arrived(1, 10), System.now()).await.is_ok() && rig.polls.accepted() > before
    })
    .await;
    is_active(&rig.near).await;
    rig.keep(&pair).await;
    apply(&*rig.other, [pair.arrived(2, 20)]).await;
    eventually("the change is heard of", async || rig.ask(&pair).await == Some(2)).await;
    assert_eq!(rig.tracking.accepted(), tracking, "tracking has not begun anew");
    assert_eq!(rig.near.trusted_since(), Millis(0));
}

#[tokio::test]
async fn a_user_without_a_right_and_a_full_server_are_found_by_a_look() {
    let (server, admin_url) = (OwnRedis::start(), |server: &OwnRedis| server.url());
    let admin = backends::redis_view_at(&admin_url(&server)).await;
    let lacking = ["-hmget", "-evalsha", "-zrange", "-hkeys", "-zadd", "-hlen", "-hset"];
    for (number, lacks) in lacking.into_iter().enumerate() {
        let user = format!("user{number}");
        admin.redis::<()>(&["ACL", "SETUSER", &user, "on", ">pw", "~*", "+@all", lacks]).await.unwrap();
        let url = server.url().replace("redis://", &format!("redis://{user}:pw@"));
        let view = RedisView::new(Connection::open(&url).await.unwrap());
        let refused = view.ping().await;
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{lacks}: {refused:?}");
    }
    admin.ping().await.unwrap();
    for (key, value) in [("maxmemory-policy", "noeviction"), ("maxmemory", "1")] {
        admin.redis::<()>(&["CONFIG", "SET", key, value]).await.unwrap();
    }
    let full = admin.ping().await;
    assert!(matches!(full, Err(StoreError::Unavailable { .. })), "{full:?}");
}
