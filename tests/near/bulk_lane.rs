//! Loads go by connections of their own: what befalls those befalls no poll, and they lead where polls lead.

use std::time::Duration;

use futures_util::future::{Either, select};
use otc_im::domain::ids::Millis;
use otc_im::domain::unread::{Merged, Snapshot};
use otc_im::ports::unread_view::UnreadView;

use super::Rig;
use crate::contract::facts::{NOW, Pair, count, id, known_pair, load};
use crate::support::backends;
use crate::support::own_redis::OwnRedis;
use crate::support::proxy::Proxy;
use crate::support::service::eventually;

/// The connection of polls is the first one through its proxy.
const POLLS: usize = 1;

/// Longer than any command may take, so the near cache never counts as stale for want of time.
const STALENESS: Duration = Duration::from_secs(10);

/// Two thousand messages: several pieces of a merge, one after another.
fn many(pair: &Pair) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.unread.extend((1..=2_000).map(|n| (pair.peer.clone(), id(n), Millis(n))));
    snapshot
}

#[tokio::test]
async fn bulk_connections_that_hang_empty_no_near_cache_and_refuse_no_poll() {
    let rig = Rig::new(STALENESS).await;
    let (kept, unread) = (rig.kept_pair().await, known_pair(&*rig.other).await);
    let hung = Pair::fresh();
    let begun = rig.near.begin_load(&hung.reader, "token").await.unwrap();
    assert_eq!(rig.polls.accepted(), POLLS + 1, "a load has a connection of its own");
    let (hits, tracking) = (rig.counted().hits.get(), rig.tracking.accepted());
    rig.polls.stall_after(POLLS);
    let snapshot = many(&hung);
    let mut merging = Box::pin(rig.near.merge(&hung.reader, &begun, &snapshot, NOW));
    let mut polls = 0;
    let outcome = loop {
        let poll = async { (rig.ask(&kept).await, rig.near.read(&unread.reader, &[]).await.is_ok()) };
        match select(merging, Box::pin(poll)).await {
            Either::Left((outcome, _)) => break outcome,
            Either::Right((answers, rest)) => {
                assert_eq!(answers, (Some(1), true));
                (polls, merging) = (polls + 1, rest);
                // A webhook goes on, too, and so the next poll of this reader goes to Redis.
                rig.near.apply(&unread.arrived(polls, 10), NOW).await.unwrap();
            }
        }
    };
    assert!(outcome.is_err(), "a merge that is not answered is none: {outcome:?}");
    assert!(polls > 1, "{polls} polls meanwhile");
    assert!(rig.counted().hits.get() - hits >= polls.unsigned_abs(), "nothing was forgotten");
    assert_eq!(rig.tracking.accepted(), tracking, "tracking has not begun anew");
    rig.polls.mend();
    assert_eq!(load(&*rig.near, &hung.reader, &snapshot).await, Merged::Done { added: 2_000, removed: 0 });
    assert_eq!(rig.near.trusted_since(), Millis(0), "it is the same Redis");
}

#[tokio::test]
async fn polls_are_answered_while_the_answers_to_a_merge_are_awaited() {
    let rig = Rig::new(STALENESS).await;
    let (pair, other) = (Pair::fresh(), known_pair(&*rig.other).await);
    let begun = rig.near.begin_load(&pair.reader, "token").await.unwrap();
    rig.polls.hold_replies_after(POLLS);
    let snapshot = many(&pair);
    let merging = Box::pin(rig.near.merge(&pair.reader, &begun, &snapshot, NOW));
    let polls = Box::pin(async {
        for number in 1..=10 {
            // Changed each time, so that it has to be read from Redis.
            rig.near.apply(&other.arrived(number, 10), NOW).await.unwrap();
            assert_eq!(rig.ask(&other).await, Some(number.unsigned_abs()));
        }
    });
    let Either::Right(((), merging)) = select(merging, polls).await else {
        panic!("the merge ended without its answers");
    };
    rig.polls.mend();
    assert_eq!(merging.await.unwrap(), Merged::Done { added: 2_000, removed: 0 });
    assert_eq!(rig.ask(&pair).await, Some(2_000));
}

#[tokio::test]
async fn a_load_that_finds_another_server_takes_polls_with_it() {
    let rig = Rig::new(STALENESS).await;
    let second = OwnRedis::start();
    // The URL leads elsewhere from now on. The connection of polls stays, and nobody breaks it.
    rig.polls.turn_to(&second.url());
    let pair = Pair::fresh();
    let merged = load(&*rig.near, &pair.reader, &pair.snapshot([(1, 10)], None)).await;
    assert_eq!(merged, Merged::Done { added: 1, removed: 0 });
    assert_eq!(rig.ask(&pair).await, Some(1), "merged where polls read");
    assert_eq!(count(&*rig.other, &pair).await, None, "and not on the server before");
    assert!(rig.near.trusted_since() > Millis(0), "what the other one holds is compared with the log");
}

#[tokio::test]
async fn connections_to_the_server_before_are_not_used_once_polls_have_moved() {
    let rig = Rig::new(STALENESS).await;
    let second = OwnRedis::start();
    let promoted = backends::redis_view_at(&second.url()).await;
    let (pair, before) = (Pair::fresh(), Pair::fresh());
    let begun = rig.near.begin_load(&before.reader, "token").await.unwrap();
    // Polls alone lose their connection. That of the load stays, and leads to the server before.
    rig.polls.turn_to(&second.url());
    rig.polls.cut_first(POLLS);
    eventually("polls have moved", async || {
        _ = rig.near.read(&pair.reader, &[]).await;
        rig.near.trusted_since() > Millis(0)
    })
    .await;
    let late = rig.near.merge(&before.reader, &begun, &many(&before), NOW).await.unwrap();
    assert_eq!(late, Merged::Superseded, "begun on one server, it does not end on another");
    assert_eq!(count(&*promoted, &before).await, None);
    let merged = load(&*rig.near, &pair.reader, &pair.snapshot([(1, 10)], None)).await;
    assert_eq!(merged, Merged::Done { added: 1, removed: 0 });
    assert_eq!((rig.ask(&pair).await, count(&*promoted, &pair).await), (Some(1), Some(1)));
    assert_eq!(count(&*rig.other, &pair).await, None);
}

#[tokio::test]
async fn a_server_that_refuses_the_writes_of_a_load_is_left_by_polls_too() {
    let rig = Rig::new(STALENESS).await;
    let second = OwnRedis::start();
    load(&*rig.near, &Pair::fresh().reader, &Snapshot::default()).await;
    rig.polls.turn_to(&second.url());
    rig.other.redis::<()>(&["REPLICAOF", "127.0.0.1", "1"]).await.unwrap();
    let pair = Pair::fresh();
    // Nothing but loads: no webhook comes, whose write would be refused.
    eventually("the load goes to the new master", async || {
        let Ok(begun) = rig.near.begin_load(&pair.reader, "token").await else { return false };
        rig.near.merge(&pair.reader, &begun, &pair.snapshot([(1, 10)], None), NOW).await.is_ok()
    })
    .await;
    let promoted = backends::redis_view_at(&second.url()).await;
    assert_eq!((rig.ask(&pair).await, count(&*promoted, &pair).await), (Some(1), Some(1)));
}

#[tokio::test]
async fn a_user_who_may_not_ask_which_server_it_is_loads_over_the_connection_of_polls() {
    let server = OwnRedis::start();
    let (admin, proxy) = (backends::redis_view_at(&server.url()).await, Proxy::of(&server.url()).await);
    admin.redis::<()>(&["ACL", "SETUSER", "blind", "on", ">pw", "~*", "+@all", "-info"]).await.unwrap();
    let url = proxy.through(&server.url()).replace("redis://", "redis://blind:pw@");
    let view = backends::redis_view_at(&url).await;
    let pair = Pair::fresh();
    let merged = load(&*view, &pair.reader, &pair.snapshot([(1, 10)], None)).await;
    assert_eq!((merged, count(&*view, &pair).await), (Merged::Done { added: 1, removed: 0 }, Some(1)));
    assert_eq!(proxy.accepted(), POLLS);
}

#[tokio::test]
async fn a_bulk_connection_that_ended_while_idle_costs_no_load() {
    let rig = Rig::new(STALENESS).await;
    rig.near.ping().await.unwrap();
    rig.polls.cut();
    eventually("all connections have ended", async || rig.polls.is_idle()).await;
    rig.polls.mend();
    eventually("polls are answered", async || rig.near.read(&Pair::fresh().reader, &[]).await.is_ok()).await;
    let pair = Pair::fresh();
    let merged = load(&*rig.near, &pair.reader, &pair.snapshot([(1, 10)], None)).await;
    assert_eq!(merged, Merged::Done { added: 1, removed: 0 });
}
