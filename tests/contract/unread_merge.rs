//! Loads: what a merge makes of a view that goes on living, and may be lost, while the log is read.

use futures_util::future::join_all;
use otc_im::domain::ids::Millis;
use otc_im::domain::unread::{Load, Merged, Reading, Snapshot, TOMBSTONE_MS};
use otc_im::ports::unread_view::UnreadView;

use super::facts::{NOW, Pair, apply, count, known_pair, load};
use crate::support::backends::{self, View};
use crate::support::fresh_name;

on_each! {
    [
        a_load_counts_what_the_log_counts,
        a_merge_is_done_once,
        two_loads_share_a_token_and_one_merges,
        what_arrives_during_a_load_is_kept,
        a_receipt_during_a_load_stays_in_force,
        a_recall_during_a_load_stays_in_force,
        a_load_of_a_view_that_was_lost_vouches_for_nothing,
        an_event_after_the_loss_does_not_make_the_load_good,
        a_load_that_another_instance_overtook_changes_nothing,
        a_merge_removes_what_the_log_no_longer_counts,
        marks_of_the_log_read_what_the_view_still_counts,
        a_reader_stays_known_while_compared_with_the_log,
        thousands_of_messages_are_merged_and_removed_whole,
        a_snapshot_may_hold_a_message_twice,
        loads_at_once_leave_one_right_number,
        a_copy_that_was_under_way_over_a_loss_is_mended_by_the_next_comparison,
        a_merge_forgets_the_tombstones_whose_time_is_over,
    ]
    each memory: backends::memory_view();
    each redis: backends::redis_view().await;
    each near: backends::near_view().await;
    together redis_cluster: backends::cluster_view().await;
}

async fn begin(view: &dyn UnreadView, pair: &Pair) -> Load {
    view.begin_load(&pair.reader, &fresh_name()).await.unwrap()
}

async fn merge(view: &dyn UnreadView, pair: &Pair, load: &Load, snapshot: &Snapshot) -> Merged {
    view.merge(&pair.reader, load, snapshot, NOW).await.unwrap()
}

async fn a_load_counts_what_the_log_counts(view: &View) {
    let pair = Pair::fresh();
    let other = pair.with_another();
    let mut snapshot = pair.snapshot([(1, 10), (2, 11), (3, 4)], Some(5));
    snapshot.unread.extend(other.snapshot([(4, 1)], None).unread);
    assert_eq!(load(&**view, &pair.reader, &snapshot).await, Merged::Done { added: 3, removed: 0 });
    assert_eq!(count(&**view, &pair).await, Some(2), "the mark of the log holds for the log's messages too");
    assert_eq!(count(&**view, &other).await, Some(1));
    apply(&**view, [pair.arrived(5, 5)]).await;
    assert_eq!(count(&**view, &pair).await, Some(2), "and for those to come");
}

async fn a_merge_is_done_once(view: &View) {
    let pair = Pair::fresh();
    let load = begin(&**view, &pair).await;
    let snapshot = pair.snapshot([(1, 10)], None);
    assert_eq!(merge(&**view, &pair, &load, &snapshot).await, Merged::Done { added: 1, removed: 0 });
    apply(&**view, [pair.recalled(1)]).await;
    assert_eq!(merge(&**view, &pair, &load, &snapshot).await, Merged::Superseded);
    assert_eq!(count(&**view, &pair).await, Some(0));
}

async fn two_loads_share_a_token_and_one_merges(view: &View) {
    let pair = Pair::fresh();
    let (one, two) = (begin(&**view, &pair).await, begin(&**view, &pair).await);
    assert_eq!(one.token, two.token);
    let snapshot = pair.snapshot([(1, 10)], None);
    assert_eq!(merge(&**view, &pair, &two, &snapshot).await, Merged::Done { added: 1, removed: 0 });
    assert_eq!(merge(&**view, &pair, &one, &snapshot).await, Merged::Superseded);
    assert_eq!(count(&**view, &pair).await, Some(1));
    assert_ne!(begin(&**view, &pair).await.token, one.token, "a token is used up by its merge");
}

async fn what_arrives_during_a_load_is_kept(view: &View) {
    let pair = Pair::fresh();
    let load = begin(&**view, &pair).await;
    apply(&**view, [pair.arrived(1, 10), pair.arrived(2, 20)]).await;
    let snapshot = pair.snapshot([(2, 20), (3, 30)], None);
    assert_eq!(merge(&**view, &pair, &load, &snapshot).await, Merged::Done { added: 1, removed: 0 });
    assert_eq!(count(&**view, &pair).await, Some(3));
}

async fn a_receipt_during_a_load_stays_in_force(view: &View) {
    let pair = Pair::fresh();
    let load = begin(&**view, &pair).await;
    apply(&**view, [pair.read(15)]).await;
    merge(&**view, &pair, &load, &pair.snapshot([(1, 10), (2, 20)], Some(5))).await;
    assert_eq!(count(&**view, &pair).await, Some(1));
    assert_eq!(view.explain(&pair.reader, &pair.peer).await.unwrap().mark, Some(Millis(15)));
}

async fn a_recall_during_a_load_stays_in_force(view: &View) {
    let pair = Pair::fresh();
    apply(&**view, [pair.arrived(1, 10)]).await;
    let load = begin(&**view, &pair).await;
    apply(&**view, [pair.recalled(1), pair.recalled(2)]).await;
    merge(&**view, &pair, &load, &pair.snapshot([(1, 10), (2, 20), (3, 30)], None)).await;
    assert_eq!(count(&**view, &pair).await, Some(1));
}

async fn a_load_of_a_view_that_was_lost_vouches_for_nothing(view: &View) {
    let pair = known_pair(&**view).await;
    apply(&**view, [pair.arrived(1, 10)]).await;
    let load = begin(&**view, &pair).await;
    view.lose(&pair.reader, std::slice::from_ref(&pair.peer)).await;
    let snapshot = pair.snapshot([], None);
    assert_eq!(merge(&**view, &pair, &load, &snapshot).await, Merged::Superseded);
    assert_eq!(count(&**view, &pair).await, None);
}

async fn an_event_after_the_loss_does_not_make_the_load_good(view: &View) {
    let pair = Pair::fresh();
    let stale = begin(&**view, &pair).await;
    apply(&**view, [pair.arrived(1, 10)]).await;
    view.lose(&pair.reader, std::slice::from_ref(&pair.peer)).await;
    apply(&**view, [pair.arrived(2, 20)]).await;
    assert_eq!(merge(&**view, &pair, &stale, &pair.snapshot([], None)).await, Merged::Superseded);
    assert_eq!(count(&**view, &pair).await, None, "message 1 is missing");
    let snapshot = pair.snapshot([(1, 10), (2, 20)], None);
    assert_eq!(load(&**view, &pair.reader, &snapshot).await, Merged::Done { added: 1, removed: 0 });
    assert_eq!(count(&**view, &pair).await, Some(2));
}

async fn a_load_that_another_instance_overtook_changes_nothing(view: &View) {
    let pair = Pair::fresh();
    let (slow, fast) = (begin(&**view, &pair).await, begin(&**view, &pair).await);
    apply(&**view, [pair.arrived(1, 10)]).await;
    merge(&**view, &pair, &fast, &pair.snapshot([(1, 10), (2, 20)], None)).await;
    apply(&**view, [pair.arrived(3, 30), pair.recalled(2)]).await;
    let late = merge(&**view, &pair, &slow, &pair.snapshot([(2, 20)], None)).await;
    assert_eq!(late, Merged::Superseded);
    assert_eq!(count(&**view, &pair).await, Some(2));
}

async fn a_merge_removes_what_the_log_no_longer_counts(view: &View) {
    let pair = known_pair(&**view).await;
    let other = pair.with_another();
    apply(&**view, [pair.arrived(1, 10), pair.arrived(2, 20), other.arrived(3, 10)]).await;
    let load = begin(&**view, &pair).await;
    apply(&**view, [pair.arrived(4, 40)]).await;
    let merged = merge(&**view, &pair, &load, &pair.snapshot([(2, 20)], None)).await;
    assert_eq!(merged, Merged::Done { added: 0, removed: 2 });
    assert_eq!(count(&**view, &pair).await, Some(2), "message 4 came after the load began");
    assert_eq!(count(&**view, &other).await, Some(0));
}

async fn marks_of_the_log_read_what_the_view_still_counts(view: &View) {
    let pair = known_pair(&**view).await;
    apply(&**view, [pair.arrived(1, 10), pair.arrived(2, 20)]).await;
    let merged = load(&**view, &pair.reader, &pair.snapshot([(2, 20)], Some(10))).await;
    assert_eq!(merged, Merged::Done { added: 0, removed: 1 });
    assert_eq!(count(&**view, &pair).await, Some(1));
}

async fn a_reader_stays_known_while_compared_with_the_log(view: &View) {
    let pair = known_pair(&**view).await;
    apply(&**view, [pair.arrived(1, 10)]).await;
    let load = begin(&**view, &pair).await;
    assert_eq!(count(&**view, &pair).await, Some(1));
    let (snapshot, later) = (pair.snapshot([(1, 10)], None), NOW.plus(1_000));
    let merged = view.merge(&pair.reader, &load, &snapshot, later).await.unwrap();
    assert_eq!(merged, Merged::Done { added: 0, removed: 0 });
    let reading = view.read(&pair.reader, std::slice::from_ref(&pair.peer)).await.unwrap();
    assert_eq!(reading, Reading::Known { counts: vec![1], loaded_at: later });
}

async fn thousands_of_messages_are_merged_and_removed_whole(view: &View) {
    for many in [999, 1_000, 1_001, 2_500, 10_000] {
        let pair = Pair::fresh();
        let exact = usize::try_from(many).unwrap();
        let messages = || (1..=many).map(|n| (n, 10 + n));
        let merged = load(&**view, &pair.reader, &pair.snapshot(messages(), None)).await;
        assert_eq!(merged, Merged::Done { added: exact, removed: 0 });
        assert_eq!(count(&**view, &pair).await, Some(exact as u64));
        let few = pair.snapshot(messages().step_by(500), None);
        let left = few.unread.len();
        let merged = load(&**view, &pair.reader, &few).await;
        assert_eq!(merged, Merged::Done { added: 0, removed: exact - left });
        assert_eq!(count(&**view, &pair).await, Some(left as u64));
    }
}

async fn a_snapshot_may_hold_a_message_twice(view: &View) {
    let pair = Pair::fresh();
    let merged = load(&**view, &pair.reader, &pair.snapshot([(1, 10), (1, 10)], None)).await;
    assert_eq!(merged, Merged::Done { added: 1, removed: 0 });
    assert_eq!(count(&**view, &pair).await, Some(1));
}

async fn loads_at_once_leave_one_right_number(view: &View) {
    let pair = Pair::fresh();
    let snapshot = pair.snapshot((1..=1_500).map(|n| (n, n)), Some(500));
    let loads = (0..8).map(|_| load(&**view, &pair.reader, &snapshot));
    let merged = join_all(loads).await;
    assert!(merged.iter().any(|merged| matches!(merged, Merged::Done { .. })), "{merged:?}");
    assert_eq!(count(&**view, &pair).await, Some(1_000));
}

/// Its tombstone is lost with the view, and the load that follows has no reason to lay it again.
async fn a_copy_that_was_under_way_over_a_loss_is_mended_by_the_next_comparison(view: &View) {
    let pair = known_pair(&**view).await;
    let (late, none) = (pair.arrived(1, 10), pair.snapshot([], None));
    apply(&**view, [pair.recalled(1)]).await;
    view.lose(&pair.reader, std::slice::from_ref(&pair.peer)).await;
    load(&**view, &pair.reader, &none).await;
    apply(&**view, [late]).await;
    load(&**view, &pair.reader, &none).await;
    assert_eq!(count(&**view, &pair).await, Some(0));
}

async fn a_merge_forgets_the_tombstones_whose_time_is_over(view: &View) {
    for (later, counted, kept) in [(TOMBSTONE_MS, 0, 1), (TOMBSTONE_MS + 1, 1, 0)] {
        let (pair, now) = (known_pair(&**view).await, NOW.plus(later));
        apply(&**view, [pair.recalled(1)]).await;
        let load = begin(&**view, &pair).await;
        let merged = view.merge(&pair.reader, &load, &Snapshot::default(), now).await.unwrap();
        assert_eq!(merged, Merged::Done { added: 0, removed: 0 });
        assert_eq!(view.tombstones(&pair.reader).await.unwrap_or(kept), kept, "after {later} ms");
        view.apply(&pair.arrived(1, 10), now).await.unwrap();
        assert_eq!(count(&**view, &pair).await, Some(counted), "after {later} ms");
    }
}
