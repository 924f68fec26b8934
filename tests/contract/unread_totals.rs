//! All that a reader has not read: the sum of the counts, however many peers there are, and never of a view that was lost.

use otc_im::domain::unread::{Reading, Snapshot, Total};

use super::facts::{NOW, Pair, apply, count, fresh_accid, id, known_pair, load, total};
use crate::support::backends::{self, View};

/// More than a near cache keeps whole, and than one poll may name.
const MANY: i64 = 600;

on_each! {
    [
        a_total_is_unknown_until_the_reader_is_loaded,
        a_total_follows_messages_receipts_and_recalls,
        a_total_of_very_many_peers_is_exact,
        a_load_under_way_leaves_the_total_as_it_is,
        who_is_lost_has_no_total,
    ]
    each memory: backends::memory_view();
    each redis: backends::redis_view().await;
    each near: backends::near_view().await;
    together redis_cluster: backends::cluster_view().await;
    together redis_sentinel: backends::sentinel_view().await;
}

async fn a_total_is_unknown_until_the_reader_is_loaded(view: &View) {
    let pair = Pair::fresh();
    assert_eq!(total(&**view, &pair.reader).await, None);
    apply(&**view, [pair.arrived(1, 10)]).await;
    assert_eq!(total(&**view, &pair.reader).await, None, "events alone do not make a reader known");
    load(&**view, &pair.reader, &pair.snapshot([(1, 10), (2, 20)], Some(5))).await;
    let reading = view.total(&pair.reader).await.unwrap();
    assert_eq!(reading, Reading::Known { counts: Total { messages: 2, users: 1 }, loaded_at: NOW });
}

async fn a_total_follows_messages_receipts_and_recalls(view: &View) {
    let pair = known_pair(&**view).await;
    let (other, reader) = (pair.with_another(), &pair.reader);
    assert_eq!(total(&**view, reader).await, Some((0, 0)));
    apply(&**view, [pair.arrived(1, 10), pair.arrived(2, 20), other.arrived(3, 10), pair.arrived(1, 10)])
        .await;
    assert_eq!(total(&**view, reader).await, Some((3, 2)), "a repeated message counts once");
    apply(&**view, [pair.turned().arrived(4, 10)]).await;
    assert_eq!(total(&**view, reader).await, Some((3, 2)), "the other side's messages are none of ours");
    apply(&**view, [pair.read(10)]).await;
    assert_eq!(total(&**view, reader).await, Some((2, 2)));
    apply(&**view, [other.recalled(3), other.recalled(3)]).await;
    assert_eq!(total(&**view, reader).await, Some((1, 1)), "whose last message is taken back is nobody");
    apply(&**view, [pair.read(20), pair.read(5)]).await;
    assert_eq!(total(&**view, reader).await, Some((0, 0)));
}

async fn a_total_of_very_many_peers_is_exact(view: &View) {
    let reader = fresh_accid();
    let pairs: Vec<Pair> = (0..MANY).map(|_| Pair { reader: reader.clone(), peer: fresh_accid() }).collect();
    let mut snapshot = Snapshot::default();
    for (pair, first) in pairs.iter().zip((1..).step_by(10)) {
        // Of the first one, of the second two, of the third three, of the fourth one again.
        let messages = first..=first + (first / 10) % 3;
        snapshot.unread.extend(messages.map(|number| (pair.peer.clone(), id(number), NOW)));
    }
    load(&**view, &reader, &snapshot).await;
    assert_eq!(total(&**view, &reader).await, Some((1_200, 600)));
    apply(&**view, [pairs[1].read(NOW.0), pairs[0].arrived(9_999, NOW.0)]).await;
    assert_eq!(total(&**view, &reader).await, Some((1_199, 599)));
    assert_eq!((count(&**view, &pairs[0]).await, count(&**view, &pairs[1]).await), (Some(2), Some(0)));
    assert_eq!(total(&**view, &reader).await, Some((1_199, 599)), "also once a page was asked for");
}

async fn a_load_under_way_leaves_the_total_as_it_is(view: &View) {
    let pair = known_pair(&**view).await;
    apply(&**view, [pair.arrived(1, 10), pair.arrived(2, 20)]).await;
    // A token that looks like a count, or like a number as Lua reads them.
    for token in ["2", "1e9", "0x10", "7c1f2f0e-token"] {
        let begun = view.begin_load(&pair.reader, token).await.unwrap();
        assert_eq!(total(&**view, &pair.reader).await, Some((2, 1)), "{token}");
        let merged = view.merge(&pair.reader, &begun, &pair.snapshot([(1, 10), (2, 20)], None), NOW).await;
        merged.unwrap();
        assert_eq!(total(&**view, &pair.reader).await, Some((2, 1)));
    }
}

async fn who_is_lost_has_no_total(view: &View) {
    let pair = known_pair(&**view).await;
    apply(&**view, [pair.arrived(1, 10)]).await;
    assert_eq!(total(&**view, &pair.reader).await, Some((1, 1)));
    view.lose(&pair.reader, std::slice::from_ref(&pair.peer)).await;
    assert_eq!(total(&**view, &pair.reader).await, None, "not known is no zero");
    apply(&**view, [pair.arrived(2, 20)]).await;
    assert_eq!(total(&**view, &pair.reader).await, None);
}
