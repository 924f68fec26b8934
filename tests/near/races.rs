//! Changes that come while a read is under way, and while its own instance is asked on all sides.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use otc_im::ports::unread_view::UnreadView;

use super::Rig;
use crate::contract::facts::{NOW, Pair, count, known_pair};
use crate::support::near::heard_everything;
use crate::support::service::eventually;

/// Far beyond what a test takes, so that nothing but the change itself can drop what was read.
const NEVER: Duration = Duration::from_mins(1);

impl Rig {
    /// A reader with two unread messages, of whom nothing is in memory any more.
    async fn changed_pair(&self) -> Pair {
        let pair = self.kept_pair().await;
        self.near.apply(&pair.arrived(2, 20), NOW).await.unwrap();
        heard_everything(&self.near, &mut self.beside().await).await;
        pair
    }

    /// How often Redis has run a script.
    async fn scripts_run(&self) -> u64 {
        let stats: String = self.other.redis(&["INFO", "commandstats"]).await.unwrap();
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
        line.and_then(|calls| calls.split(',').next()).map_or(0, |calls| calls.parse().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_before_a_change_that_was_heard_of_is_not_kept() {
    let rig = Rig::new(NEVER).await;
    let pair = rig.kept_pair().await;
    // Dropped, so that the next poll has to read.
    rig.near.begin_load(&pair.reader, "token").await.unwrap();
    heard_everything(&rig.near, &mut rig.beside().await).await;
    let (scripts, heard) = (rig.scripts_run().await, rig.counted().invalidations.get());
    rig.polls.hold_replies();
    let poll = tokio::spawn({
        let (near, pair) = (rig.near.clone(), pair.clone());
        async move { count(&*near, &pair).await }
    });
    while rig.scripts_run().await == scripts {
        tokio::task::yield_now().await;
    }
    // Redis has read for the poll, whose answer is on its way; now comes a change, and is heard of.
    rig.other.apply(&pair.arrived(2, 20), NOW).await.unwrap();
    while rig.counted().invalidations.get() <= heard {
        tokio::task::yield_now().await;
    }
    rig.polls.mend();
    assert_eq!(poll.await.unwrap(), Some(1), "it began before the change");
    assert_eq!(rig.ask(&pair).await, Some(2), "what it read did not stay");
}

#[tokio::test]
async fn many_polls_of_a_reader_who_has_changed_read_once() {
    let rig = Rig::new(NEVER).await;
    let pair = rig.changed_pair().await;
    let (hits, misses) = (rig.counted().hits.get(), rig.counted().misses.get());
    let answers = futures_util::future::join_all((0..50).map(|_| rig.ask(&pair))).await;
    assert_eq!(answers, [Some(2); 50]);
    assert_eq!((rig.counted().hits.get(), rig.counted().misses.get()), (hits + 49, misses + 1));
}

/// On one thread, so that all polls have come before the reply does.
#[tokio::test]
async fn without_tracking_many_polls_that_come_during_a_read_share_the_next_one() {
    // A fifth of it, and the loss is noticed.
    let rig = Rig::new(Duration::from_secs(2)).await;
    let pair = rig.changed_pair().await;
    rig.tracking.cut();
    eventually("the loss is noticed", async || rig.counted().active.get() == 0).await;
    let (scripts, bypassed) = (rig.scripts_run().await, rig.counted().bypassed.get());
    rig.polls.hold_replies();
    let first = tokio::spawn({
        let (near, pair) = (rig.near.clone(), pair.clone());
        async move { count(&*near, &pair).await }
    });
    while rig.scripts_run().await == scripts {
        tokio::task::yield_now().await;
    }
    // What the first one reads is too old for those who come now.
    rig.other.apply(&pair.arrived(3, 30), NOW).await.unwrap();
    let fifty = futures_util::future::join_all((0..50).map(|_| rig.ask(&pair)));
    let (answers, ()) = futures_util::future::join(fifty, async { rig.polls.mend() }).await;
    assert_eq!((first.await.unwrap(), answers), (Some(2), vec![Some(3); 50]));
    assert_eq!(rig.scripts_run().await, scripts + 3, "a read, a change, and one read for fifty");
    assert_eq!(rig.counted().bypassed.get(), bypassed + 51);
}

#[tokio::test]
async fn polls_that_wait_for_one_another_all_hear_in_time_of_a_server_that_is_silent() {
    let rig = Rig::new(NEVER).await;
    let pair = rig.changed_pair().await;
    let other = known_pair(&*rig.other).await;
    rig.polls.hold_replies();
    let asked = Instant::now();
    let refused = async |pair: &Pair| {
        let poll = rig.near.read(&pair.reader, std::slice::from_ref(&pair.peer)).await;
        assert!(poll.is_err(), "nothing comes from the server");
        asked.elapsed()
    };
    // Another reader's poll has nobody to wait for: it shows how long a silent server is waited for.
    let together = futures_util::future::join_all((0..20).map(|_| refused(&pair)));
    let (alone, together) = futures_util::future::join(refused(&other), together).await;
    let last = together.into_iter().max().unwrap();
    assert!(last < 4 * alone, "{last:?}, {alone:?} for one: not one after another");
}

/// On one thread, so that the change is sent first; Redis does not know its script, so it is made only after the read
/// of the poll beside it.
#[tokio::test]
async fn an_own_change_is_in_the_next_poll_though_nothing_is_told() {
    let rig = Rig::new(NEVER).await;
    let (pair, other) = (rig.kept_pair().await, known_pair(&*rig.other).await);
    rig.other.redis::<()>(&["SCRIPT", "FLUSH"]).await.unwrap();
    // Brings the script of reads along.
    rig.keep(&other).await;
    rig.tracking.stall();
    let change = pair.arrived(2, 20);
    let (changed, beside) = futures_util::future::join(rig.near.apply(&change, NOW), rig.ask(&pair)).await;
    changed.unwrap();
    assert_eq!(beside, Some(1), "the change is not acknowledged yet");
    assert_eq!(rig.ask(&pair).await, Some(2), "what was read before it did not stay");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_own_change_is_in_the_next_poll_though_polls_never_cease() {
    let rig = Rig::new(NEVER).await;
    let pair = known_pair(&*rig.other).await;
    let over = AtomicBool::new(false);
    let asked_on_all_sides = async {
        let mut newest = 0;
        while !over.load(Ordering::Relaxed) {
            let polls = futures_util::future::join_all((0..8).map(|_| rig.ask(&pair))).await;
            newest = polls.into_iter().flatten().max().unwrap().max(newest);
            tokio::task::yield_now().await;
        }
        newest
    };
    let changed = async {
        for number in 1..=1_000 {
            rig.near.apply(&pair.arrived(number, 10), NOW).await.unwrap();
            assert_eq!(rig.ask(&pair).await, Some(number.unsigned_abs()));
        }
        over.store(true, Ordering::Relaxed);
    };
    let (newest, ()) = futures_util::future::join(asked_on_all_sides, changed).await;
    assert!(newest > 0);
    assert!(rig.counted().hits.get() > 0, "some polls were answered from memory");
}
