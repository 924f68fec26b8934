//! The connection that tells of changes hangs, breaks, or leads to a server that polls no longer use.

use std::time::{Duration, Instant};

use otc_im::ports::unread_view::UnreadView;

use super::Rig;
use crate::contract::facts::{NOW, Pair, known_pair, load};
use crate::support::backends;
use crate::support::near::is_active;
use crate::support::own_redis::OwnRedis;
use crate::support::service::eventually;

/// Long enough for a busy machine to ask once before it is over.
const BOUND: Duration = Duration::from_secs(1);

/// Asks until the answer is `new`; answers how often it was an older one.
async fn old_answers_within_the_bound(rig: &Rig, pair: &Pair, changed: Instant, new: u64) -> usize {
    let mut older = 0;
    loop {
        let began = Instant::now();
        if rig.ask(pair).await == Some(new) {
            return older;
        }
        assert!(began <= changed + BOUND, "{:?} after the change", began - changed);
        older += 1;
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn no_answer_is_older_than_the_bound_when_the_connection_hangs() {
    let rig = Rig::new(BOUND).await;
    let pair = rig.kept_pair().await;
    rig.tracking.stall();
    rig.other.apply(&pair.arrived(2, 20), NOW).await.unwrap();
    let older = old_answers_within_the_bound(&rig, &pair, Instant::now(), 2).await;
    assert!(older > 0, "nothing was held back, so nothing was tested");
    rig.other.apply(&pair.arrived(3, 30), NOW).await.unwrap();
    assert_eq!(rig.ask(&pair).await, Some(3), "past the near cache");
    rig.tracking.mend();
    is_active(&rig.near).await;
    assert_eq!(rig.ask(&pair).await, Some(3));
    rig.keep(&pair).await;
}

#[tokio::test]
async fn a_broken_connection_is_done_without_until_there_is_another() {
    let rig = Rig::new(Duration::from_secs(10)).await;
    let pair = rig.kept_pair().await;
    for number in 2..5 {
        rig.tracking.cut();
        eventually("the loss is noticed", async || rig.counted().active.get() == 0).await;
        let bypassed = rig.counted().bypassed.get();
        rig.other.apply(&pair.arrived(number, 20), NOW).await.unwrap();
        assert_eq!(rig.ask(&pair).await, Some(number.unsigned_abs()));
        assert_eq!(rig.counted().bypassed.get(), bypassed + 1);
        rig.tracking.mend();
        is_active(&rig.near).await;
        assert_eq!(rig.ask(&pair).await, Some(number.unsigned_abs()), "what was kept before is gone");
        rig.keep(&pair).await;
    }
}

#[tokio::test]
async fn a_redis_that_is_gone_is_an_error_though_the_answer_was_in_memory() {
    let mut rig = Rig::new(Duration::from_secs(10)).await;
    let pair = rig.kept_pair().await;
    rig.server.kill();
    eventually("the loss is noticed", async || rig.counted().active.get() == 0).await;
    assert!(rig.near.read(&pair.reader, std::slice::from_ref(&pair.peer)).await.is_err());
}

#[tokio::test]
async fn polls_that_move_to_another_server_are_followed_within_the_bound() {
    let rig = Rig::new(BOUND).await;
    let pair = rig.kept_pair().await;
    let second = OwnRedis::start();
    let promoted = backends::redis_view_at(&second.url()).await;
    load(&*promoted, &pair.reader, &pair.snapshot([(1, 10)], None)).await;
    // The name leads to the new master; connections to the old one stay, and nobody breaks them.
    rig.polls.turn_to(&second.url());
    rig.other.redis::<()>(&["REPLICAOF", "127.0.0.1", "1"]).await.unwrap();
    while rig.near.apply(&pair.arrived(2, 20), NOW).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.ask(&pair).await, Some(2), "refused by the old one, taken by the new one");
    // What is changed there is not told by the old one, which tracking is still connected to.
    promoted.apply(&pair.arrived(3, 30), NOW).await.unwrap();
    old_answers_within_the_bound(&rig, &pair, Instant::now(), 3).await;
    eventually("the move is noticed", async || rig.counted().active.get() == 0).await;
    rig.tracking.turn_to(&second.url());
    rig.keep(&pair).await;
    promoted.apply(&pair.arrived(4, 40), NOW).await.unwrap();
    old_answers_within_the_bound(&rig, &pair, Instant::now(), 4).await;
}

#[tokio::test]
async fn nothing_is_kept_while_the_two_connections_lead_to_different_servers() {
    let rig = Rig::new(BOUND).await;
    let second = OwnRedis::start();
    let promoted = backends::redis_view_at(&second.url()).await;
    let pair = known_pair(&*promoted).await;
    rig.polls.turn_to(&second.url());
    rig.polls.cut();
    eventually("the loss is noticed", async || rig.counted().active.get() == 0).await;
    rig.polls.mend();
    eventually("polls are answered", async || {
        rig.near.read(&pair.reader, std::slice::from_ref(&pair.peer)).await.is_ok()
    })
    .await;
    // The tracking connection still leads to the first server.
    let hits = rig.counted().hits.get();
    let mut answered = 0;
    for number in 1..=200 {
        promoted.apply(&pair.arrived(number, 10), NOW).await.unwrap();
        // The connection of polls may still be on its way.
        if let Ok(reading) = rig.near.read(&pair.reader, std::slice::from_ref(&pair.peer)).await {
            let expected = otc_im::domain::unread::Reading::Known {
                counts: vec![number.unsigned_abs()],
                loaded_at: NOW,
            };
            assert_eq!(reading, expected);
            answered += 1;
        }
    }
    assert!(answered > 100, "{answered} polls were answered");
    assert_eq!(rig.counted().hits.get(), hits);
}
