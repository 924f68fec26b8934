//! Redis as it is in bad hours: keys evicted one by one, emptied, scripts flushed, answers lost, writes refused.

use otc_im::domain::unread::{Change, Merged, Snapshot};

use super::facts::{NOW, Pair, apply, count, known_pair, load, with_recalled};
use crate::support::backends::{self, View, redis_key};
use crate::support::fresh_name;
use crate::support::own_redis::OwnRedis;

/// Polls load a reader at most this often before they give up.
const ROUNDS: usize = 3;

/// A known reader with something under each kind of key, and what the log counts for them.
struct Furnished {
    pair: Pair,
    other: Pair,
}

impl Furnished {
    async fn new(view: &View) -> Self {
        let pair = known_pair(&**view).await;
        let other = pair.with_another();
        let arrivals = (1..=3).map(|n| pair.arrived(n, n * 10));
        apply(&**view, arrivals.chain([pair.arrived(4, 40), other.arrived(5, 50)])).await;
        apply(&**view, [pair.recalled(4), pair.read(5), other.read(5)]).await;
        assert_eq!((count(&**view, &pair).await, count(&**view, &other).await), (Some(3), Some(1)));
        Self { pair, other }
    }

    fn keys(&self) -> Vec<String> {
        let pairs = [&self.pair, &self.other].map(|pair| format!("u:{}", pair.peer));
        ["n", "m", "g"].map(ToOwned::to_owned).into_iter().chain(pairs).collect()
    }

    /// Every kind of event that may come next, with the counts of the two pairs after it.
    fn events(&self) -> [(Change, [u64; 2]); 6] {
        let (pair, other) = (&self.pair, &self.other);
        [
            (pair.arrived_with_mark(6, 60, 5), [4, 1]),
            (pair.arrived_with_mark(3, 30, 5), [3, 1]),
            (pair.read(20), [1, 1]),
            (pair.recalled(3), [2, 1]),
            (other.arrived_with_mark(7, 70, 5), [3, 2]),
            (other.read(50), [3, 0]),
        ]
    }

    async fn counts(&self, view: &View) -> [Option<u64>; 2] {
        [count(&**view, &self.pair).await, count(&**view, &self.other).await]
    }

    /// What the log holds once both pairs have these counts: the newest messages, and the marks.
    fn snapshot(&self, event: Option<&Change>) -> Snapshot {
        let mut unread: Vec<(bool, i64, i64)> =
            vec![(true, 1, 10), (true, 2, 20), (true, 3, 30), (false, 5, 50)];
        let mut marks = [5, 5];
        if let Some(event) = event {
            let ours = event.peer == self.pair.peer;
            if let Some((id, at)) = event.arrived {
                unread.push((ours, id.get(), at.0));
            }
            if let Some(mark) = event.mark {
                marks[usize::from(!ours)] = mark.0;
                unread.retain(|(of_pair, _, at)| *of_pair != ours || *at > mark.0);
            }
            unread.retain(|(_, id, _)| event.recalled.is_none_or(|recalled| recalled.get() != *id));
        }
        let of = |ours: bool| unread.iter().filter(move |u| u.0 == ours).map(|u| (u.1, u.2));
        let mut snapshot = self.pair.snapshot(of(true), Some(marks[0]));
        let others = self.other.snapshot(of(false), Some(marks[1]));
        snapshot.unread.extend(others.unread);
        snapshot.marks.extend(others.marks);
        snapshot
    }

    /// Polls until the view knows the reader.
    async fn poll(&self, view: &View, snapshot: &Snapshot) -> [Option<u64>; 2] {
        for _ in 1..ROUNDS {
            if count(&**view, &self.pair).await.is_some() {
                break;
            }
            load(&**view, &self.pair.reader, snapshot).await;
        }
        self.counts(view).await
    }
}

async fn delete(view: &View, pair: &Pair, kinds: &[String]) {
    for kind in kinds {
        view.redis::<()>(&["DEL", &redis_key(&pair.reader, kind)]).await.unwrap();
    }
}

#[tokio::test]
async fn a_lost_key_never_lowers_a_known_number_and_the_next_poll_is_right() {
    let view = backends::redis_view().await;
    for lost in 0..5 {
        for event in 0..6 {
            let reader = Furnished::new(&view).await;
            let kind = reader.keys().swap_remove(lost);
            delete(&view, &reader.pair, std::slice::from_ref(&kind)).await;
            let (change, expected) = reader.events()[event].clone();
            apply(&*view, [change.clone()]).await;
            let now = reader.counts(&view).await;
            assert!(now == [None; 2] || now == expected.map(Some), "{kind} lost, then {change:?}: {now:?}");
            let snapshot = reader.snapshot(Some(&change));
            let polled = reader.poll(&view, &snapshot).await;
            assert_eq!(polled, expected.map(Some), "{kind} lost, then {change:?}");
        }
    }
}

#[tokio::test]
async fn whichever_keys_are_lost_the_next_poll_is_right_though_no_event_comes() {
    let view = backends::redis_view().await;
    for lost in 0..1_usize << 5 {
        let reader = Furnished::new(&view).await;
        let kinds = reader.keys();
        let lost: Vec<String> =
            (0..5).filter(|bit| lost >> bit & 1 == 1).map(|bit| kinds[bit].clone()).collect();
        delete(&view, &reader.pair, &lost).await;
        let polled = reader.poll(&view, &reader.snapshot(None)).await;
        assert_eq!(polled, [Some(3), Some(1)], "{lost:?} lost");
        let next = reader.other.with_another();
        apply(&*view, [next.arrived(8, 80)]).await;
        let polled = reader.poll(&view, &reader.snapshot(None)).await;
        assert_eq!(polled, [Some(3), Some(1)], "{lost:?} lost, then a message of somebody else");
    }
}

#[tokio::test]
async fn a_comparison_with_the_log_notices_a_lost_key() {
    let view = backends::redis_view().await;
    for lost in 0..5 {
        let reader = Furnished::new(&view).await;
        let kind = reader.keys().swap_remove(lost);
        delete(&view, &reader.pair, std::slice::from_ref(&kind)).await;
        let snapshot = reader.snapshot(None);
        load(&*view, &reader.pair.reader, &snapshot).await;
        let now = reader.counts(&view).await;
        assert!(now == [None; 2] || now == [Some(3), Some(1)], "{kind} lost: {now:?}");
        assert_eq!(reader.poll(&view, &snapshot).await, [Some(3), Some(1)], "{kind} lost");
        let merged = load(&*view, &reader.pair.reader, &snapshot).await;
        assert_eq!(merged, Merged::Done { added: 0, removed: 0 }, "{kind} lost: whole again");
    }
}

/// The log was read before a receipt and a recall, which were told to the view and are lost with its key.
#[tokio::test]
async fn a_key_that_is_lost_during_a_load_is_not_vouched_for() {
    let view = backends::redis_view().await;
    for kind in ["m", "g"] {
        for unread in [vec![], vec![(1, 10), (2, 20)]] {
            let pair = Pair::fresh();
            let begun = view.begin_load(&pair.reader, &fresh_name()).await.unwrap();
            apply(&*view, [pair.read(10), pair.recalled(2)]).await;
            delete(&view, &pair, &[kind.to_owned()]).await;
            let snapshot = pair.snapshot(unread, None);
            let merged = view.merge(&pair.reader, &begun, &snapshot, NOW).await.unwrap();
            assert_eq!(merged, Merged::Superseded, "{kind} lost, {snapshot:?}");
            assert_eq!(count(&*view, &pair).await, None, "{kind} lost, {snapshot:?}");
            let log = with_recalled(pair.snapshot([], Some(10)), &pair, &[2]);
            load(&*view, &pair.reader, &log).await;
            assert_eq!(count(&*view, &pair).await, Some(0), "the next one ends");
        }
    }
}

#[tokio::test]
async fn an_emptied_server_knows_nobody() {
    let server = OwnRedis::start();
    let view = backends::redis_view_at(&server.url()).await;
    let reader = Furnished::new(&view).await;
    view.redis::<()>(&["FLUSHALL"]).await.unwrap();
    assert_eq!(reader.counts(&view).await, [None; 2]);
    apply(&*view, [reader.pair.arrived(6, 60)]).await;
    assert_eq!(reader.counts(&view).await, [None; 2]);
    let change = reader.pair.arrived(6, 60);
    assert_eq!(reader.poll(&view, &reader.snapshot(Some(&change))).await, [Some(4), Some(1)]);
}

#[tokio::test]
async fn flushed_scripts_are_sent_again() {
    let server = OwnRedis::start();
    let view = backends::redis_view_at(&server.url()).await;
    let pair = known_pair(&*view).await;
    for number in 1..=3 {
        view.redis::<()>(&["SCRIPT", "FLUSH"]).await.unwrap();
        apply(&*view, [pair.arrived(number, 10)]).await;
        view.redis::<()>(&["SCRIPT", "FLUSH"]).await.unwrap();
        let snapshot = pair.snapshot((1..=number).map(|n| (n, 10)), None);
        let merged = load(&*view, &pair.reader, &snapshot).await;
        assert_eq!(merged, Merged::Done { added: 0, removed: 0 });
    }
    assert_eq!(count(&*view, &pair).await, Some(3));
}

#[tokio::test]
async fn an_event_whose_answer_was_lost_counts_once_when_told_again() {
    let server = OwnRedis::start();
    let view = backends::redis_view_at(&server.url()).await;
    let pair = known_pair(&*view).await;
    view.redis::<()>(&["CLIENT", "PAUSE", "1500", "ALL"]).await.unwrap();
    assert!(view.apply(&pair.arrived(1, 10), NOW).await.is_err(), "no answer in time");
    let mut told = 0;
    while view.apply(&pair.arrived(1, 10), NOW).await.is_err() {
        told += 1;
        assert!(told < 20, "the server does not come back");
    }
    assert_eq!(count(&*view, &pair).await, Some(1));
}

#[tokio::test]
async fn a_server_that_only_reads_refuses_events_and_takes_them_later() {
    let server = OwnRedis::start();
    let view = backends::redis_view_at(&server.url()).await;
    let pair = known_pair(&*view).await;
    view.redis::<()>(&["REPLICAOF", "127.0.0.1", "1"]).await.unwrap();
    assert!(view.apply(&pair.arrived(1, 10), NOW).await.is_err());
    assert!(view.begin_load(&pair.reader, "token").await.is_err());
    view.redis::<()>(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    apply(&*view, [pair.arrived(1, 10), pair.arrived(2, 20)]).await;
    assert_eq!(count(&*view, &pair).await, Some(2));
}

#[tokio::test]
async fn a_server_that_is_gone_is_an_error_and_never_a_number() {
    let mut server = OwnRedis::start();
    let view = backends::redis_view_at(&server.url()).await;
    let reader = Furnished::new(&view).await;
    let Pair { reader: who, peer } = reader.pair.clone();
    let begun = view.begin_load(&who, "token").await.unwrap();
    server.kill();
    assert!(view.read(&who, std::slice::from_ref(&peer)).await.is_err());
    assert!(view.apply(&reader.pair.arrived(9, 90), NOW).await.is_err());
    assert!(view.begin_load(&who, "token").await.is_err());
    assert!(view.merge(&who, &begun, &Snapshot::default(), NOW).await.is_err());
    assert!(view.explain(&who, &peer).await.is_err());
    assert_eq!(view.ping().await.unwrap_err().store(), "unread");
}
