//! Polls and loads over real stores: how many loads there are, and what an outage makes of them.

use std::slice;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures_util::future::{join, join_all, join5};
use otc_im::commands::record_facts::record_fact;
use otc_im::domain::unread::{Merged, Reading, Snapshot};
use otc_im::infra::memory::MemoryView;
use otc_im::infra::mongo::{self, MongoLog};
use otc_im::ports::clock::Clock;
use otc_im::ports::dead_letters::{DeadLetter, DeadLetters};
use otc_im::ports::message_log::MessageLog;
use otc_im::ports::unread_view::UnreadView;

use super::facts::{NOW, Pair, apply};
use super::watched::{RECHECK_AFTER, SetClock, WatchedLog, WatchedView, counts, counts_and_loads};
use crate::support::backends::{self, Stack};

const OPEN: usize = 1_000;
/// What runs in the background is done long before.
const PATIENCE: Duration = Duration::from_secs(20);

on_each! {
    [
        a_thousand_polls_of_an_unknown_reader_are_one_load,
        a_load_whose_log_fails_vouches_for_nothing,
        a_view_that_is_down_is_an_error_and_never_a_number,
        a_message_that_reached_the_log_alone_is_mended_by_its_redelivery,
        a_copy_that_comes_after_its_recall_and_a_loss_of_the_view_does_not_count,
        an_old_load_is_compared_with_the_log_in_the_background,
        a_reader_whom_nobody_wrote_to_is_loaded_once,
        a_load_is_dated_by_its_beginning,
        a_load_from_the_future_is_compared_with_the_log,
    ]
    each embedded: backends::embedded().await;
    each production: backends::production().await;
    each near: backends::one_instance().await;
}

async fn two_messages(stack: &Stack) -> Pair {
    let pair = Pair::fresh();
    for number in [1, 2] {
        stack.log.record_one(pair.message(number, 10).into()).await.unwrap();
    }
    pair
}

async fn a_thousand_polls_of_an_unknown_reader_are_one_load(stack: &Stack) {
    let pair = two_messages(stack).await;
    let (log, view) = (WatchedLog::over(&stack.log.messages, 0), WatchedView::over(&stack.view.port));
    let counts = counts(view.clone(), log.clone(), Arc::new(SetClock::default()));
    let polls = join_all((0..1_000).map(|_| counts.of(&pair.reader, slice::from_ref(&pair.peer))));
    let open_when_all_wait = async {
        while view.reads.load(SeqCst) < 1_000 {
            tokio::task::yield_now().await;
        }
        log.gate.add_permits(OPEN);
    };
    let (answers, ()) = join(polls, open_when_all_wait).await;
    assert!(answers.iter().all(|answer| *answer.as_ref().unwrap() == [2]));
    assert_eq!(log.snapshots.load(SeqCst), 1);
}

async fn a_load_whose_log_fails_vouches_for_nothing(stack: &Stack) {
    let pair = two_messages(stack).await;
    let log = WatchedLog::over(&stack.log.messages, OPEN);
    let counts = counts(stack.view.port.clone(), log.clone(), Arc::new(SetClock::default()));
    log.failing.store(true, SeqCst);
    for _ in 0..2 {
        let failed = counts.of(&pair.reader, slice::from_ref(&pair.peer)).await.unwrap_err();
        assert_eq!(failed.store(), "messages");
        assert_eq!(super::facts::count(&*stack.view, &pair).await, None);
    }
    log.failing.store(false, SeqCst);
    assert_eq!(counts.of(&pair.reader, slice::from_ref(&pair.peer)).await.unwrap(), [2]);
    log.failing.store(true, SeqCst);
    let answer = counts.of(&pair.reader, slice::from_ref(&pair.peer)).await;
    assert_eq!(answer.unwrap(), [2], "a known reader needs no log");
}

async fn a_view_that_is_down_is_an_error_and_never_a_number(stack: &Stack) {
    let pair = two_messages(stack).await;
    let view = WatchedView::over(&stack.view.port);
    let counts = counts(view.clone(), stack.log.messages.clone(), Arc::new(SetClock::default()));
    for _ in 0..2 {
        view.failing.store(true, SeqCst);
        let failed = counts.of(&pair.reader, slice::from_ref(&pair.peer)).await.unwrap_err();
        assert_eq!(failed.store(), "unread");
        view.failing.store(false, SeqCst);
        assert_eq!(counts.of(&pair.reader, slice::from_ref(&pair.peer)).await.unwrap(), [2]);
    }
}

async fn a_copy_that_comes_after_its_recall_and_a_loss_of_the_view_does_not_count(stack: &Stack) {
    let pair = two_messages(stack).await;
    let counts = counts(stack.view.port.clone(), stack.log.messages.clone(), Arc::new(SetClock::default()));
    // Recorded, and then slow on its way to the view: slower than its recall, and than the loss of the view.
    let late = stack.log.record_one(pair.message(3, 30).into()).await.unwrap().change.unwrap();
    record_fact(&*stack.log, &*stack.view, &SetClock::default(), pair.recall(3).into()).await.unwrap();
    stack.view.lose(&pair.reader, slice::from_ref(&pair.peer)).await;
    assert_eq!(counts.of(&pair.reader, slice::from_ref(&pair.peer)).await.unwrap(), [2]);
    apply(&*stack.view, [late]).await;
    assert_eq!(counts.of(&pair.reader, slice::from_ref(&pair.peer)).await.unwrap(), [2]);
}

async fn a_message_that_reached_the_log_alone_is_mended_by_its_redelivery(stack: &Stack) {
    let (pair, clock) = (two_messages(stack).await, SetClock::default());
    let view = WatchedView::over(&stack.view.port);
    let counts = counts(view.clone(), stack.log.messages.clone(), Arc::new(SetClock::default()));
    assert_eq!(counts.of(&pair.reader, slice::from_ref(&pair.peer)).await.unwrap(), [2]);
    let message = pair.message(3, 30);
    view.failing.store(true, SeqCst);
    assert!(record_fact(&*stack.log, &*view, &clock, message.clone().into()).await.is_err());
    view.failing.store(false, SeqCst);
    for _ in 0..2 {
        assert!(record_fact(&*stack.log, &*view, &clock, message.clone().into()).await.is_ok());
        assert_eq!(counts.of(&pair.reader, slice::from_ref(&pair.peer)).await.unwrap(), [3]);
    }
}

async fn an_old_load_is_compared_with_the_log_in_the_background(stack: &Stack) {
    let (pair, clock) = (two_messages(stack).await, Arc::new(SetClock::default()));
    let (counts, loads) =
        counts_and_loads(stack.view.port.clone(), stack.log.messages.clone(), clock.clone());
    assert_eq!(counts.of(&pair.reader, slice::from_ref(&pair.peer)).await.unwrap(), [2]);
    // Drift both ways: the view counts what the log does not know, and lacks what it knows.
    apply(&*stack.view, [pair.arrived(8, 10), pair.arrived(9, 10)]).await;
    stack.log.record_one(pair.message(3, 10).into()).await.unwrap();
    clock.0.store(NOW.plus(RECHECK_AFTER).0, SeqCst);
    assert_eq!(counts.of(&pair.reader, slice::from_ref(&pair.peer)).await.unwrap(), [4], "not old enough");
    assert_eq!(loads.rechecks.get(), 0);
    clock.0.store(NOW.plus(RECHECK_AFTER + 1).0, SeqCst);
    let healed = async {
        while counts.of(&pair.reader, slice::from_ref(&pair.peer)).await.unwrap() != [3]
            || loads.rechecks.get() == 0
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, healed).await.expect("the comparison mends the number");
    assert_eq!((loads.healed_missing.get(), loads.healed_surplus.get()), (1, 2));
}

async fn a_load_is_dated_by_its_beginning(stack: &Stack) {
    let (pair, clock) = (two_messages(stack).await, Arc::new(SetClock::default()));
    let log = WatchedLog::over(&stack.log.messages, 0);
    let counts = counts(stack.view.port.clone(), log.clone(), clock.clone());
    let poll = counts.of(&pair.reader, slice::from_ref(&pair.peer));
    let meanwhile = async {
        while log.snapshots.load(SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        // Redis may become another one now, and the load go on there.
        clock.0.store(NOW.plus(5_000).0, SeqCst);
        log.gate.add_permits(1);
    };
    assert_eq!(join(poll, meanwhile).await.0.unwrap(), [2]);
    let loaded = stack.view.read(&pair.reader, &[]).await.unwrap();
    assert_eq!(loaded, Reading::Known { counts: vec![], loaded_at: NOW });
}

async fn a_load_from_the_future_is_compared_with_the_log(stack: &Stack) {
    let (pair, view) = (two_messages(stack).await, &stack.view);
    let load = view.begin_load(&pair.reader, "token").await.unwrap();
    let merged = view.merge(&pair.reader, &load, &Snapshot::default(), NOW.plus(86_400_000)).await.unwrap();
    assert_ne!(merged, Merged::Superseded);
    let counts = counts(view.port.clone(), stack.log.messages.clone(), Arc::new(SetClock::default()));
    let healed = async {
        while counts.of(&pair.reader, slice::from_ref(&pair.peer)).await.unwrap() != [2] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, healed).await.expect("somebody's clock was wrong");
}

async fn a_reader_whom_nobody_wrote_to_is_loaded_once(stack: &Stack) {
    let (pair, log) = (Pair::fresh(), WatchedLog::over(&stack.log.messages, OPEN));
    let counts = counts(stack.view.port.clone(), log.clone(), Arc::new(SetClock::default()));
    for _ in 0..3 {
        assert_eq!(counts.of(&pair.reader, slice::from_ref(&pair.peer)).await.unwrap(), [0]);
        assert_eq!(counts.of(&pair.reader, &[]).await.unwrap(), [0; 0]);
    }
    assert_eq!(log.snapshots.load(SeqCst), 1);
}

#[tokio::test]
async fn a_memory_view_with_room_for_few_answers_rightly_about_many() {
    let log = backends::sqlite_log().await;
    let (view, clock): (Arc<dyn UnreadView>, Arc<dyn Clock>) =
        (Arc::new(MemoryView::new(3)), Arc::new(SetClock::default()));
    let counts = counts(view.clone(), log.messages.clone(), clock.clone());
    let pairs: Vec<Pair> = (0..30).map(|_| Pair::fresh()).collect();
    for round in 1..=3 {
        for (at, pair) in (0..).zip(&pairs) {
            let message = pair.message(round * 100 + at, round);
            assert!(record_fact(&*log, &*view, &*clock, message.clone().into()).await.is_ok());
            let answer = counts.of(&pair.reader, slice::from_ref(&pair.peer)).await.unwrap();
            assert_eq!(answer, [round.unsigned_abs()]);
        }
    }
    log.close().await;
}

#[tokio::test]
async fn a_mongodb_that_is_gone_is_an_error_in_time() {
    let database = mongo::database("mongodb://127.0.0.1:1/otc_nothing", 1).await.unwrap();
    let (log, pair) = (MongoLog::new(database), Pair::fresh());
    let (message, receipt, recall) = (pair.message(1, 10), pair.receipt(10), pair.recall(1));
    let letter = DeadLetter { id: "a".into(), received_at: NOW, reason: "b".into(), raw: "c".into() };
    let calls = join5(
        log.record_one(message.into()),
        log.record_one(receipt.into()),
        log.record_one(recall.into()),
        log.snapshot(&pair.reader),
        log.keep_all(slice::from_ref(&letter)),
    );
    let (record, mark, recall, snapshot, keep) =
        tokio::time::timeout(Duration::from_secs(10), calls).await.expect("each call is bounded");
    assert!(record.is_err() && mark.is_err() && recall.is_err() && snapshot.is_err() && keep.is_err());
    assert_eq!(log.ping().await.unwrap_err().store(), "messages");
}
