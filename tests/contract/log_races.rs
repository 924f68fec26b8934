//! What a message log makes of facts that come at once.

use futures_util::future::{join, join_all};
use otc_im::ports::message_log::InsertOutcome;

use super::facts::{Pair, person, with_recalled};
use super::message_log::sorted_snapshot;
use crate::support::backends::{self, Log};

on_each! {
    [
        of_fifty_copies_at_once_one_is_the_first,
        of_fifty_copies_that_fill_a_tombstone_one_is_the_first,
        first_receipts_at_once_leave_the_newest_mark,
        a_receipt_that_races_messages_leaves_none_behind,
        a_recall_that_races_its_message_wins,
        recalls_at_once_are_one,
    ]
    each sqlite: backends::sqlite_log().await;
    each mongo: backends::mongo_log().await;
}

async fn firsts_of_fifty(log: &Log, pair: &Pair) -> usize {
    let message = pair.message(1, 10);
    let copies = join_all((0..50).map(|_| log.record_one(message.clone().into()))).await;
    let copies: Vec<InsertOutcome> = copies.into_iter().map(|recorded| recorded.unwrap().copy).collect();
    assert!(!copies.contains(&InsertOutcome::Conflicting), "{copies:?}");
    copies.iter().filter(|copy| **copy == InsertOutcome::First).count()
}

async fn of_fifty_copies_at_once_one_is_the_first(log: &Log) {
    let pair = Pair::fresh();
    assert_eq!(firsts_of_fifty(log, &pair).await, 1);
    assert_eq!(sorted_snapshot(&**log, &pair).await, pair.snapshot([(1, 10)], None));
}

async fn of_fifty_copies_that_fill_a_tombstone_one_is_the_first(log: &Log) {
    let pair = Pair::fresh();
    log.record_one(pair.recall(1).into()).await.unwrap();
    assert_eq!(firsts_of_fifty(log, &pair).await, 1);
    assert_eq!(sorted_snapshot(&**log, &pair).await, with_recalled(pair.snapshot([], None), &pair, &[1]));
}

async fn first_receipts_at_once_leave_the_newest_mark(log: &Log) {
    let pair = Pair::fresh();
    let receipts: Vec<_> = (0..20).map(|n| pair.receipt((n * 7) % 20 + 1)).collect();
    let outcomes = join_all(receipts.iter().map(|receipt| log.record_one(receipt.clone().into()))).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(sorted_snapshot(&**log, &pair).await, pair.snapshot([], Some(20)));
}

async fn a_receipt_that_races_messages_leaves_none_behind(log: &Log) {
    for round in 0..20 {
        let pair = Pair::fresh();
        let number = |n: i64| round * 100 + n;
        let messages: Vec<_> = (1..=8).map(|n| pair.message(number(n), n)).collect();
        let receipts = [pair.receipt(3), pair.receipt(5)];
        let recorded = join_all(messages.iter().map(|message| log.record_one(message.clone().into())));
        let marked = join_all(receipts.iter().map(|receipt| log.record_one(receipt.clone().into())));
        let (recorded, marked) = join(recorded, marked).await;
        assert!(recorded.iter().all(Result::is_ok), "{recorded:?}");
        assert!(marked.iter().all(Result::is_ok), "{marked:?}");
        for n in 1..=8 {
            let state = log.state(person(number(n))).await;
            assert_eq!(state, Some(i64::from(n <= 5)), "message {n} of round {round}");
        }
        let unread = (6..=8).map(|n| (number(n), n));
        assert_eq!(sorted_snapshot(&**log, &pair).await, pair.snapshot(unread, Some(5)));
    }
}

async fn a_recall_that_races_its_message_wins(log: &Log) {
    for round in 1..=20 {
        let pair = Pair::fresh();
        let (message, recall) = (pair.message(round, 10), pair.recall(round));
        let (recorded, recalled) =
            join(log.record_one(message.clone().into()), log.record_one(recall.clone().into())).await;
        recalled.unwrap();
        assert_eq!(recorded.unwrap().copy, InsertOutcome::First);
        assert_eq!(
            sorted_snapshot(&**log, &pair).await,
            with_recalled(pair.snapshot([], None), &pair, &[round])
        );
        assert_eq!(log.record_one(message.clone().into()).await.unwrap().change, Some(pair.recalled(round)));
    }
}

async fn recalls_at_once_are_one(log: &Log) {
    let pair = Pair::fresh();
    let recall = pair.recall(1);
    let outcomes = join_all((0..20).map(|_| log.record_one(recall.clone().into()))).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(log.record_one(pair.message(1, 10).into()).await.unwrap().change, Some(pair.recalled(1)));
    assert_eq!(sorted_snapshot(&**log, &pair).await, with_recalled(pair.snapshot([], None), &pair, &[1]));
}
