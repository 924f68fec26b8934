//! Streams of one reader look at the store together.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures_util::future::join_all;
use otc_im::domain::ids::Accid;
use otc_im::domain::unread::Total;
use otc_im::http::shared_looks::{Answer, Joined, SharedLooks};
use otc_im::http::streams::StreamLimiter;
use otc_im::infra::changes::ChangeHub;
use tokio::time::{sleep, timeout};

use crate::contract::facts::{NOW, Pair};
use crate::contract::watched::{SetClock, WatchedView, counts};
use crate::support::backends::{self, Stack};

const STREAMS: usize = 20;

struct Site {
    stack: Stack,
    view: Arc<WatchedView>,
    hub: ChangeHub,
    looks: Arc<SharedLooks>,
    pair: Pair,
}

/// A reader whom the view knows, with one message.
async fn site() -> Site {
    let stack = backends::embedded().await;
    let pair = Pair::fresh();
    stack.log.record_one(pair.message(1, 10).into()).await.unwrap();
    let (view, hub) = (WatchedView::over(&stack.view.port), ChangeHub::default());
    hub.set_live(true);
    let counts = Arc::new(counts(view.clone(), stack.log.messages.clone(), Arc::new(SetClock::default())));
    assert_eq!(counts.of(&pair.reader, std::slice::from_ref(&pair.peer)).await.unwrap(), [1]);
    let streams = StreamLimiter::new(1_000, 1_000);
    let looks = SharedLooks::new(counts, Arc::new(hub.clone()), streams, Duration::from_secs(3));
    view.reads.store(0, SeqCst);
    Site { stack, view, hub, looks, pair }
}

impl Site {
    fn join(&self, peers: &[Accid]) -> Joined {
        let mut joined = self.looks.join(&self.pair.reader, peers, false);
        joined.has_read();
        joined
    }

    /// Message so-and-so is counted; nobody is told.
    async fn arrives(&self, number: i64) {
        self.stack.view.apply(&self.pair.arrived(number, 10 * number), NOW).await.unwrap();
    }

    fn reads(&self) -> usize {
        self.view.reads.load(SeqCst)
    }
}

async fn soon<T>(of: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), of).await.expect("it comes")
}

#[tokio::test]
async fn one_look_is_told_to_every_stream_of_its_reader() {
    let site = site().await;
    let other = Pair::fresh().peer;
    let pages = [vec![site.pair.peer.clone()], vec![other.clone(), site.pair.peer.clone()], vec![other]];
    let mut joined: Vec<Joined> = (0..STREAMS).map(|n| site.join(&pages[n % 3])).collect();
    // Right after they have joined: no change falls between.
    site.arrives(2).await;
    site.hub.of(site.pair.reader.as_str());
    let seen = soon(join_all(joined.iter_mut().map(Joined::next))).await;
    for (n, seen) in seen.into_iter().enumerate() {
        assert_eq!(seen.unwrap().counts, [vec![2], vec![0, 2], vec![0]][n % 3]);
    }
    assert_eq!(site.reads(), 1);
}

#[tokio::test]
async fn where_nobody_tells_of_changes_a_reader_costs_a_look_a_second_and_misses_nothing() {
    let site = site().await;
    site.hub.set_live(false);
    let mut joined: Vec<Joined> =
        (0..STREAMS).map(|_| site.join(std::slice::from_ref(&site.pair.peer))).collect();
    for number in 2..=3 {
        site.arrives(number).await;
        let last = async |joined: &mut Joined| loop {
            let seen = joined.next().await.unwrap();
            if seen.counts == [number.unsigned_abs()] {
                return;
            }
        };
        soon(join_all(joined.iter_mut().map(last))).await;
    }
    assert!((2..=4).contains(&site.reads()), "{} looks", site.reads());
}

#[tokio::test]
async fn a_stream_that_comes_later_has_its_own_peers_and_none_of_an_older_look() {
    let site = site().await;
    let mut first = site.join(std::slice::from_ref(&site.pair.peer));
    site.arrives(2).await;
    site.hub.of(site.pair.reader.as_str());
    assert_eq!(soon(first.next()).await.unwrap().counts, [2]);
    let other = Pair::fresh().peer;
    let mut later = site.join(&[other, site.pair.peer.clone()]);
    site.arrives(3).await;
    site.hub.of(site.pair.reader.as_str());
    assert_eq!(soon(later.next()).await.unwrap().counts, [0, 3]);
    assert_eq!(soon(first.next()).await.unwrap().counts, [3]);
}

#[tokio::test]
async fn a_look_that_fails_ends_every_stream_and_one_that_comes_later_begins_anew() {
    let site = site().await;
    let mut joined: Vec<Joined> =
        (0..STREAMS).map(|_| site.join(std::slice::from_ref(&site.pair.peer))).collect();
    site.view.failing.store(true, SeqCst);
    site.hub.of(site.pair.reader.as_str());
    let seen = soon(join_all(joined.iter_mut().map(Joined::next))).await;
    assert!(seen.iter().all(Result::is_err));
    site.view.failing.store(false, SeqCst);
    let mut later = site.join(std::slice::from_ref(&site.pair.peer));
    site.arrives(2).await;
    site.hub.of(site.pair.reader.as_str());
    assert_eq!(soon(later.next()).await.unwrap().counts, [2]);
}

#[tokio::test]
async fn nobody_looks_at_a_reader_whose_streams_have_ended() {
    let site = site().await;
    site.hub.set_live(false);
    drop((site.join(&[]), site.join(std::slice::from_ref(&site.pair.peer))));
    tokio::time::pause();
    sleep(Duration::from_mins(2)).await;
    assert_eq!(site.reads(), 0);
}

#[tokio::test]
async fn streams_of_one_reader_share_the_total_and_only_those_hear_it_that_ask() {
    let site = site().await;
    let counts_alone = site.join(std::slice::from_ref(&site.pair.peer));
    let watch = |peers: &[Accid]| {
        let mut joined = site.looks.join(&site.pair.reader, peers, true);
        joined.has_read();
        joined
    };
    let totals_alone = (0..STREAMS).map(|_| watch(&[]));
    let both = watch(std::slice::from_ref(&site.pair.peer));
    let mut joined: Vec<Joined> = totals_alone.chain([both, counts_alone]).collect();
    let another = site.pair.with_another();
    site.stack.view.apply(&another.arrived(2, 20), NOW).await.unwrap();
    site.hub.of(site.pair.reader.as_str());
    let seen = soon(join_all(joined.iter_mut().map(Joined::next))).await;
    let total = Some(Total { messages: 2, users: 2 });
    let mut expected: Vec<Answer> = (0..STREAMS).map(|_| Answer { counts: vec![], total }).collect();
    expected.extend([Answer { counts: vec![1], total }, Answer { counts: vec![1], total: None }]);
    assert_eq!(seen.into_iter().map(Result::unwrap).collect::<Vec<_>>(), expected);
    assert_eq!((site.reads(), site.view.totals.load(SeqCst)), (1, 1));

    // Nobody asks for it any more.
    let mut counts_alone = joined.pop().unwrap();
    drop(joined);
    site.arrives(3).await;
    site.hub.of(site.pair.reader.as_str());
    assert_eq!(soon(counts_alone.next()).await.unwrap(), Answer { counts: vec![2], total: None });
    assert_eq!((site.reads(), site.view.totals.load(SeqCst)), (2, 1));
}
