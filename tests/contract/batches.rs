//! What a message log and a view make of many things given at once: each item ends as it would have ended alone.

use futures_util::future::{join, join_all, join3};
use otc_im::domain::message::{ConvType, Fact, Message, MessageKey};
use otc_im::domain::unread::{Change, Snapshot};
use otc_im::ports::StoreError;
use otc_im::ports::message_log::InsertOutcome::{self, Conflicting, First, Repeated};
use otc_im::ports::message_log::Recorded;
use otc_im::ports::unread_view::UnreadView;

use super::facts::{NOW, Pair, count, id, known_pair, person, with_recalled};
use super::message_log::sorted_snapshot;
use crate::support::backends::{self, Log};

mod of_messages {
    use super::*;

    on_each! {
        [
            a_batch_of_all_kinds_ends_as_its_items_would_alone,
            facts_about_one_another_in_one_batch_see_each_other,
            a_message_that_is_in_a_batch_twice_is_first_and_repeated,
            copies_of_a_batch_that_fill_one_tombstone_are_first_and_repeated,
            a_thousand_messages_are_stored_in_one_batch,
            receipts_of_one_batch_leave_the_newest_mark_of_each_pair,
            batches_that_race_receipts_leave_none_behind,
            batches_that_race_recalls_and_one_another_count_nothing_twice,
            no_items_are_no_trouble,
        ]
        each sqlite: backends::sqlite_log().await;
        each mongo: backends::mongo_log().await;
    }
}

mod of_changes {
    use super::*;
    use crate::support::backends::View;

    on_each! {
        [changes_of_many_readers_are_applied_together, changes_may_be_applied_again,]
        each memory: backends::memory_view();
        each redis: backends::redis_view().await;
        together redis_cluster: backends::cluster_view().await;
    }

    async fn changes_of_many_readers_are_applied_together(view: &View) {
        let mut pairs = Vec::new();
        for _ in 0..20 {
            pairs.push(known_pair(&**view).await);
        }
        let mut changes = Vec::new();
        for pair in &pairs {
            changes.extend((1..=50).map(|n| pair.arrived(n, n)));
            changes.extend([pair.recalled(50), pair.arrived_with_mark(51, 51, 10), pair.read(20)]);
        }
        let applied = apply_at_once(&**view, &changes).await;
        assert_eq!((applied.len(), applied.iter().all(Result::is_ok)), (20 * 53, true));
        for pair in &pairs {
            assert_eq!(count(&**view, pair).await, Some(30), "21 to 49, and 51");
        }
    }

    async fn changes_may_be_applied_again(view: &View) {
        let pair = known_pair(&**view).await;
        let changes = [pair.arrived(1, 10), pair.arrived(1, 10), pair.arrived(2, 5), pair.read(5)];
        for _ in 0..3 {
            assert!(apply_at_once(&**view, &changes).await.iter().all(Result::is_ok));
            assert_eq!(count(&**view, &pair).await, Some(1));
        }
    }
}

#[tokio::test]
async fn a_redis_that_has_forgotten_its_scripts_learns_them_from_changes_that_come_together() {
    let view = backends::redis_view().await;
    let pair = known_pair(&*view).await;
    for numbers in [1..=10, 11..=20] {
        view.redis::<()>(&["SCRIPT", "FLUSH"]).await.unwrap();
        let changes: Vec<_> = numbers.map(|n| pair.arrived(n, n)).collect();
        assert!(apply_at_once(&*view, &changes).await.iter().all(Result::is_ok));
    }
    assert_eq!(count(&*view, &pair).await, Some(20));
    view.close().await;
}

#[tokio::test]
async fn one_change_that_redis_refuses_is_nobody_elses_trouble() {
    let view = backends::redis_view().await;
    let (good, bad) = (known_pair(&*view).await, Pair::fresh());
    let key = backends::redis_key(&bad.reader, "n");
    view.redis::<()>(&["SET", &key, "no hash"]).await.unwrap();
    let applied = apply_at_once(&*view, &[good.arrived(1, 1), bad.arrived(2, 2), good.arrived(3, 3)]).await;
    assert!(matches!(&applied[..], [Ok(()), Err(StoreError::Corrupt { .. }), Ok(())]), "{applied:?}");
    assert_eq!(count(&*view, &good).await, Some(2));
    view.redis::<()>(&["DEL", &key]).await.unwrap();
    view.close().await;
}

/// Gives a view changes as the copies of a flood do.
async fn apply_at_once(view: &dyn UnreadView, changes: &[Change]) -> Vec<Result<(), StoreError>> {
    join_all(changes.iter().map(|change| view.apply(change, NOW))).await
}

fn facts(of: impl IntoIterator<Item = impl Into<Fact>>) -> Vec<Fact> {
    of.into_iter().map(Into::into).collect()
}

fn copies(recorded: Vec<Result<Recorded, StoreError>>) -> Vec<InsertOutcome> {
    recorded.into_iter().map(|recorded| recorded.unwrap().copy).collect()
}

async fn a_batch_of_all_kinds_ends_as_its_items_would_alone(log: &Log) {
    let pair = Pair::fresh();
    let other = pair.with_another();
    log.record(facts([pair.message(1, 30), pair.message(2, 30)])).await;
    log.record_one(pair.recall(3).into()).await.unwrap();
    log.record_one(pair.recall(2).into()).await.unwrap();
    log.record_one(pair.receipt(20).into()).await.unwrap();
    let team = MessageKey { conv_type: ConvType::Team, server_id: id(1) };
    let batch = [
        pair.message(1, 30),
        pair.message(1, 31),
        pair.message(2, 30),
        pair.message(3, 30),
        pair.message(4, 20),
        pair.message(5, 21),
        other.message(6, 1),
        Message { key: team, ..pair.message(1, 10) },
        Message { withheld: true, ..pair.message(7, 40) },
    ];
    let recorded = log.record(facts(batch.clone())).await.into_iter().map(|recorded| recorded.unwrap());
    let expected = [
        (Repeated, Some(pair.arrived_with_mark(1, 30, 20))),
        (Conflicting, Some(pair.arrived_with_mark(1, 30, 20))),
        (Repeated, Some(pair.recalled(2))),
        (First, Some(pair.recalled(3))),
        (First, Some(pair.arrived_with_mark(4, 20, 20))),
        (First, Some(pair.arrived_with_mark(5, 21, 20))),
        (First, Some(other.arrived(6, 1))),
        (First, None),
        (First, None),
    ];
    assert_eq!(recorded.map(|recorded| (recorded.copy, recorded.change)).collect::<Vec<_>>(), expected);
    for (number, state) in [(1, 0), (4, 1), (5, 0), (6, 0)] {
        assert_eq!(log.state(person(number)).await, Some(state), "message {number}");
    }
    let mut unread = pair.snapshot([(1, 30), (5, 21)], Some(20));
    unread.unread.extend(other.snapshot([(6, 1)], None).unread);
    unread.unread.sort();
    let mut snapshot = sorted_snapshot(&**log, &pair).await;
    snapshot.recalled.sort();
    assert_eq!(snapshot, with_recalled(unread, &pair, &[2, 3]));
}

/// A message, its receipt and its recall, in whatever order they stand.
async fn facts_about_one_another_in_one_batch_see_each_other(log: &Log) {
    for turn in 0..4 {
        let pair = Pair::fresh();
        let number = |n: i64| 10 * turn + n;
        let messages = (1..=4).map(|n| Fact::from(pair.message(number(n), 10 * n)));
        let about_them = [
            pair.receipt(10).into(),
            pair.receipt(20).into(),
            pair.recall(number(2)).into(),
            pair.recall(number(3)).into(),
        ];
        let mut batch: Vec<Fact> = messages.chain(about_them).collect();
        batch.rotate_left(2 * usize::try_from(turn).unwrap());
        let recorded = log.record(batch.clone()).await;
        for (fact, recorded) in batch.iter().zip(recorded) {
            let change = recorded.unwrap().change.unwrap();
            match fact {
                Fact::Message(message) => assert_eq!(change.peer, message.from),
                Fact::Receipt(receipt) => assert_eq!(change, Change::read(receipt.clone())),
                Fact::Recall(recall) => assert_eq!(change.recalled, Some(recall.key.server_id)),
                Fact::Edit(_) => unreachable!("none was recorded"),
            }
        }
        assert_eq!(log.state(person(number(1))).await, Some(1), "turn {turn}");
        let mut snapshot = sorted_snapshot(&**log, &pair).await;
        snapshot.recalled.sort();
        assert_eq!(
            snapshot,
            with_recalled(pair.snapshot([(number(4), 40)], Some(20)), &pair, &[number(2), number(3)]),
            "turn {turn}"
        );
    }
}

async fn a_message_that_is_in_a_batch_twice_is_first_and_repeated(log: &Log) {
    let pair = Pair::fresh();
    let batch = [pair.message(1, 10), pair.message(2, 10), pair.message(1, 10), pair.message(2, 11)];
    assert_eq!(copies(log.record(facts(batch.clone())).await), [First, First, Repeated, Conflicting]);
    assert_eq!(copies(log.record(facts(batch.clone())).await), [Repeated, Repeated, Repeated, Conflicting]);
    assert_eq!(sorted_snapshot(&**log, &pair).await, pair.snapshot([(1, 10), (2, 10)], None));
}

async fn copies_of_a_batch_that_fill_one_tombstone_are_first_and_repeated(log: &Log) {
    let pair = Pair::fresh();
    log.record_one(pair.recall(1).into()).await.unwrap();
    let recorded = log.record(facts([pair.message(1, 10), pair.message(1, 10), pair.message(1, 11)])).await;
    assert!(recorded.iter().all(|one| one.as_ref().unwrap().change == Some(pair.recalled(1))));
    assert_eq!(copies(recorded), [First, Repeated, Conflicting]);
}

async fn a_thousand_messages_are_stored_in_one_batch(log: &Log) {
    let pair = Pair::fresh();
    log.record_one(pair.receipt(400).into()).await.unwrap();
    log.record_one(pair.message(500, 500).into()).await.unwrap();
    let batch: Vec<_> = (1..=1_000).map(|n| pair.message(n, n)).collect();
    let copies = copies(log.record(facts(batch.clone())).await);
    assert_eq!(copies.iter().filter(|copy| **copy == First).count(), 999);
    assert_eq!(copies[499], Repeated);
    let unread = (401..=1_000).map(|n| (n, n));
    assert_eq!(sorted_snapshot(&**log, &pair).await, pair.snapshot(unread, Some(400)));
}

async fn receipts_of_one_batch_leave_the_newest_mark_of_each_pair(log: &Log) {
    let pair = Pair::fresh();
    let other = pair.with_another();
    let messages: Vec<_> = (1..=5).flat_map(|n| [pair.message(n, n), other.message(10 + n, n)]).collect();
    log.record(facts(messages.clone())).await;
    let batch = [pair.receipt(2), other.receipt(5), pair.receipt(4), pair.receipt(3)];
    for _ in 0..2 {
        let marked = log.record(facts(batch.clone())).await;
        assert_eq!((marked.len(), marked.iter().all(Result::is_ok)), (4, true), "{marked:?}");
        let mut expected = pair.snapshot([(5, 5)], Some(4));
        expected.marks.extend(other.snapshot([], Some(5)).marks);
        expected.marks.sort();
        assert_eq!(sorted_snapshot(&**log, &pair).await, expected);
    }
}

/// Neither the message nor the receipt may be the one that does not see the other.
async fn batches_that_race_receipts_leave_none_behind(log: &Log) {
    for round in 0..20 {
        let pair = Pair::fresh();
        let number = |n: i64| round * 100 + n;
        let batch: Vec<_> = (1..=40).map(|n| pair.message(number(n), n)).collect();
        let receipts = [pair.receipt(10), pair.receipt(25)];
        let (early, late) = batch.split_at(20);
        let (one, other, marked) = join3(
            log.record(facts(early.to_vec())),
            log.record(facts(late.to_vec())),
            log.record(facts(receipts.clone())),
        )
        .await;
        assert!(one.iter().chain(&other).all(Result::is_ok), "{one:?} {other:?}");
        assert!(marked.iter().all(Result::is_ok), "{marked:?}");
        let unread = (26..=40).map(|n| (number(n), n));
        assert_eq!(sorted_snapshot(&**log, &pair).await, pair.snapshot(unread, Some(25)), "round {round}");
        for n in 1..=25 {
            assert_eq!(log.state(person(number(n))).await, Some(1), "message {n} of round {round}");
        }
    }
}

async fn batches_that_race_recalls_and_one_another_count_nothing_twice(log: &Log) {
    for round in 0..20 {
        let pair = Pair::fresh();
        let number = |n: i64| round * 100 + n;
        let batch: Vec<_> = (1..=10).map(|n| pair.message(number(n), n)).collect();
        let turned: Vec<_> = batch.iter().rev().cloned().collect();
        let [one, other] = [3, 7].map(|n| pair.recall(number(n)).into());
        let recalled = join(log.record_one(one), log.record_one(other));
        let (one, other, recalled) =
            join3(log.record(facts(batch.clone())), log.record(facts(turned.clone())), recalled).await;
        assert!(recalled.0.is_ok() && recalled.1.is_ok(), "{recalled:?}");
        let both = copies(one.into_iter().chain(other).collect());
        assert_eq!(both.iter().filter(|copy| **copy == First).count(), 10, "round {round}: {both:?}");
        assert!(!both.contains(&Conflicting), "round {round}: {both:?}");
        let unread = [1, 2, 4, 5, 6, 8, 9, 10].map(|n| (number(n), n));
        let mut snapshot = sorted_snapshot(&**log, &pair).await;
        snapshot.recalled.sort();
        assert_eq!(snapshot, with_recalled(pair.snapshot(unread, None), &pair, &[number(3), number(7)]));
    }
}

async fn no_items_are_no_trouble(log: &Log) {
    assert!(log.record(Vec::new()).await.is_empty());
    assert_eq!(log.snapshot(&Pair::fresh().reader).await.unwrap(), Snapshot::default());
}
