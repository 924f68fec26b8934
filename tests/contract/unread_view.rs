//! What a view counts: the rules of arrivals, receipts and recalls, one event after another.

use futures_util::future::join_all;
use otc_im::domain::ids::Millis;
use otc_im::domain::unread::{Reading, Snapshot, TOMBSTONE_MS};

use super::facts::{NOW, Pair, apply, count, fresh_accid, id, known_pair, load};
use crate::support::backends::{self, View};

/// 9999-12-31, the last time that a copy may carry.
const LAST: i64 = 253_402_300_799_999;

on_each! {
    [
        a_reader_is_unknown_until_loaded,
        messages_are_counted_per_peer,
        a_message_that_comes_again_counts_once,
        a_message_that_comes_twenty_times_at_once_counts_once,
        a_receipt_reads_up_to_and_at_its_time,
        an_older_receipt_changes_nothing,
        a_receipt_for_one_peer_leaves_the_others,
        a_receipt_leaves_the_other_sides_count,
        a_message_under_the_mark_is_read_when_it_comes,
        a_mark_that_comes_with_a_message_is_kept,
        a_recall_takes_away_one_message_once,
        a_recall_of_a_read_message_takes_nothing_away,
        a_recall_before_its_message_keeps_it_out,
        a_tombstone_holds_for_its_time_and_no_longer,
        times_and_ids_are_exact_to_the_last,
        counts_come_in_the_order_asked_for,
        an_explanation_lists_what_is_counted,
    ]
    each memory: backends::memory_view();
    each redis: backends::redis_view().await;
    each near: backends::near_view().await;
    together redis_cluster: backends::cluster_view().await;
    together redis_sentinel: backends::sentinel_view().await;
}

async fn a_reader_is_unknown_until_loaded(view: &View) {
    view.ping().await.unwrap();
    let pair = Pair::fresh();
    assert_eq!(count(&**view, &pair).await, None);
    apply(&**view, [pair.arrived(1, 10), pair.read(5)]).await;
    assert_eq!(count(&**view, &pair).await, None, "events alone do not make a reader known");
    load(&**view, &pair.reader, &pair.snapshot([(1, 10)], Some(5))).await;
    let reading = view.read(&pair.reader, std::slice::from_ref(&pair.peer)).await.unwrap();
    assert_eq!(reading, Reading::Known { counts: vec![1], loaded_at: NOW });
}

async fn messages_are_counted_per_peer(view: &View) {
    let pair = known_pair(&**view).await;
    let other = pair.with_another();
    apply(&**view, [pair.arrived(1, 10), other.arrived(2, 10), pair.arrived(3, 11)]).await;
    assert_eq!(count(&**view, &pair).await, Some(2));
    assert_eq!(count(&**view, &other).await, Some(1));
    assert_eq!(count(&**view, &pair.with_another()).await, Some(0), "nobody has written");
}

async fn a_message_that_comes_again_counts_once(view: &View) {
    let pair = known_pair(&**view).await;
    apply(&**view, vec![pair.arrived(1, 10); 50]).await;
    assert_eq!(count(&**view, &pair).await, Some(1));
}

async fn a_message_that_comes_twenty_times_at_once_counts_once(view: &View) {
    let pair = known_pair(&**view).await;
    let change = pair.arrived(1, 10);
    let outcomes = join_all((0..20).map(|_| view.apply(&change, NOW))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(count(&**view, &pair).await, Some(1));
}

async fn a_receipt_reads_up_to_and_at_its_time(view: &View) {
    let pair = known_pair(&**view).await;
    apply(&**view, (1..=5).map(|n| pair.arrived(n, 10))).await;
    apply(&**view, [pair.arrived(6, 11), pair.read(9)]).await;
    assert_eq!(count(&**view, &pair).await, Some(6));
    apply(&**view, [pair.read(10)]).await;
    assert_eq!(count(&**view, &pair).await, Some(1), "those at the very time are read");
}

async fn an_older_receipt_changes_nothing(view: &View) {
    let pair = known_pair(&**view).await;
    apply(&**view, [pair.read(20), pair.read(10), pair.arrived(1, 15), pair.arrived(2, 21)]).await;
    assert_eq!(count(&**view, &pair).await, Some(1));
    assert_eq!(view.explain(&pair.reader, &pair.peer).await.unwrap().mark, Some(Millis(20)));
}

async fn a_receipt_for_one_peer_leaves_the_others(view: &View) {
    let pair = known_pair(&**view).await;
    let other = pair.with_another();
    apply(&**view, [pair.arrived(1, 10), other.arrived(2, 10), pair.read(10)]).await;
    assert_eq!((count(&**view, &pair).await, count(&**view, &other).await), (Some(0), Some(1)));
}

async fn a_receipt_leaves_the_other_sides_count(view: &View) {
    let pair = known_pair(&**view).await;
    let turned = pair.turned();
    load(&**view, &turned.reader, &Snapshot::default()).await;
    apply(&**view, [pair.arrived(1, 10), turned.arrived(2, 10), turned.read(10)]).await;
    assert_eq!((count(&**view, &pair).await, count(&**view, &turned).await), (Some(1), Some(0)));
}

async fn a_message_under_the_mark_is_read_when_it_comes(view: &View) {
    let pair = known_pair(&**view).await;
    apply(&**view, [pair.read(10), pair.arrived(1, 9), pair.arrived(2, 10)]).await;
    assert_eq!(count(&**view, &pair).await, Some(0));
    apply(&**view, [pair.arrived(3, 11)]).await;
    assert_eq!(count(&**view, &pair).await, Some(1));
}

async fn a_mark_that_comes_with_a_message_is_kept(view: &View) {
    let pair = known_pair(&**view).await;
    apply(&**view, [pair.arrived(1, 10), pair.arrived_with_mark(2, 30, 20), pair.arrived(3, 15)]).await;
    assert_eq!(count(&**view, &pair).await, Some(1), "what lies under the mark is read, before and after");
    apply(&**view, [pair.arrived_with_mark(4, 40, 5)]).await;
    assert_eq!(view.explain(&pair.reader, &pair.peer).await.unwrap().mark, Some(Millis(20)));
}

async fn a_recall_takes_away_one_message_once(view: &View) {
    let pair = known_pair(&**view).await;
    apply(&**view, [pair.arrived(1, 10), pair.arrived(2, 10), pair.recalled(1), pair.recalled(1)]).await;
    assert_eq!(count(&**view, &pair).await, Some(1));
    apply(&**view, [pair.arrived(1, 10)]).await;
    assert_eq!(count(&**view, &pair).await, Some(1), "a late copy does not bring it back");
}

async fn a_recall_of_a_read_message_takes_nothing_away(view: &View) {
    let pair = known_pair(&**view).await;
    apply(&**view, [pair.arrived(1, 10), pair.read(10), pair.arrived(2, 11), pair.recalled(1)]).await;
    assert_eq!(count(&**view, &pair).await, Some(1));
    apply(&**view, [pair.recalled(2), pair.recalled(2), pair.recalled(3)]).await;
    assert_eq!(count(&**view, &pair).await, Some(0), "never below zero");
}

async fn a_recall_before_its_message_keeps_it_out(view: &View) {
    let pair = known_pair(&**view).await;
    apply(&**view, [pair.recalled(1), pair.arrived(1, 10), pair.arrived(2, 10)]).await;
    assert_eq!(count(&**view, &pair).await, Some(1));
}

async fn a_tombstone_holds_for_its_time_and_no_longer(view: &View) {
    let pair = known_pair(&**view).await;
    apply(&**view, [pair.recalled(1)]).await;
    view.apply(&pair.recalled(2), NOW.plus(TOMBSTONE_MS)).await.unwrap();
    view.apply(&pair.arrived(1, 10), NOW.plus(TOMBSTONE_MS)).await.unwrap();
    assert_eq!(count(&**view, &pair).await, Some(0), "just within its time");
    view.apply(&pair.recalled(3), NOW.plus(TOMBSTONE_MS + 1)).await.unwrap();
    view.apply(&pair.arrived(1, 10), NOW.plus(TOMBSTONE_MS + 1)).await.unwrap();
    assert_eq!(count(&**view, &pair).await, Some(1), "swept by the next recall");
}

async fn times_and_ids_are_exact_to_the_last(view: &View) {
    let pair = known_pair(&**view).await;
    apply(&**view, [pair.arrived(i64::MAX, LAST - 1), pair.arrived(i64::MAX - 1, LAST)]).await;
    assert_eq!(count(&**view, &pair).await, Some(2), "two ids that are one as doubles");
    apply(&**view, [pair.read(LAST - 1)]).await;
    let held = view.explain(&pair.reader, &pair.peer).await.unwrap();
    assert_eq!(held.unread, [(id(i64::MAX - 1), Millis(LAST))]);
    assert_eq!(held.mark, Some(Millis(LAST - 1)));
    let early = pair.with_another();
    apply(&**view, [early.arrived(1, 0)]).await;
    assert_eq!(count(&**view, &early).await, Some(1), "the first moment is a time like any other");
    apply(&**view, [early.read(0)]).await;
    assert_eq!(count(&**view, &early).await, Some(0));
}

async fn counts_come_in_the_order_asked_for(view: &View) {
    let pair = known_pair(&**view).await;
    let mut peers: Vec<_> = (0..500).map(|_| fresh_accid()).collect();
    for (at, peer) in peers.iter().take(3).enumerate() {
        let pair = Pair { peer: peer.clone(), ..pair.clone() };
        let first = i64::try_from(at).unwrap() * 10;
        apply(&**view, (0..=first / 10).map(|n| pair.arrived(first + n + 1, 10))).await;
    }
    peers.swap(0, 499);
    peers[498] = peers[499].clone();
    let Reading::Known { counts, .. } = view.read(&pair.reader, &peers).await.unwrap() else {
        panic!("the reader is known")
    };
    let mut expected = vec![0; 500];
    (expected[1], expected[2], expected[498], expected[499]) = (2, 3, 1, 1);
    assert_eq!(counts, expected);
}

async fn an_explanation_lists_what_is_counted(view: &View) {
    let pair = known_pair(&**view).await;
    apply(&**view, [pair.arrived(3, 30), pair.arrived(9, 20), pair.arrived(1, 10), pair.read(10)]).await;
    let held = view.explain(&pair.reader, &pair.peer).await.unwrap();
    assert_eq!(held.unread, [(id(9), Millis(20)), (id(3), Millis(30))], "oldest first");
    assert_eq!(held.mark, Some(Millis(10)));
    let nobody = view.explain(&pair.reader, &fresh_accid()).await.unwrap();
    assert_eq!((nobody.unread, nobody.mark), (vec![], None));
}
