//! Looking after the counts: recounting, explaining, taking dead letters in again, forgetting, and answering without
//! the view.

use std::slice::from_ref;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use futures_util::TryStreamExt;
use otc_im::commands::forget_old::forget_read;
use otc_im::commands::receive_copy::CopyReceiver;
use otc_im::commands::recount::Recounter;
use otc_im::commands::redrive::{Redriven, redrive};
use otc_im::domain::counting::CountingRules;
use otc_im::domain::ids::{Accid, Millis};
use otc_im::ports::clock::Clock;
use otc_im::ports::dead_letters::DeadLetter;
use otc_im::queries::explain::explain;
use otc_im::queries::unread_counts::UnreadCounts;
use tokio::sync::Semaphore;

use super::facts::{NOW, Pair, apply, count, fresh_accid, load};
use super::watched::{SetClock, WatchedView, counts, projector};
use crate::support::backends::{self, Stack};

on_each! {
    [
        every_reader_is_walked_once_and_in_order,
        a_recount_adds_what_the_view_lacks_and_removes_what_the_log_does_not_count,
        a_recount_of_all_leaves_readers_whom_the_view_does_not_know,
        a_recount_of_nobody_says_so_and_lays_nothing,
        an_explanation_tells_log_from_view,
        a_dead_letter_is_taken_in_again_once_it_can_be_understood,
        dead_letters_are_listed_page_by_page,
        forgetting_read_messages_changes_no_count,
        without_its_view_a_poll_is_answered_by_the_log_or_not_at_all,
    ]
    each embedded: backends::embedded().await;
    each production: backends::production().await;
}

fn recounter(stack: &Stack) -> Recounter {
    Recounter {
        projector: projector(
            stack.view.port.clone(),
            stack.log.messages.clone(),
            Arc::new(SetClock::default()),
        ),
        log: stack.log.messages.clone(),
        upkeep: stack.log.upkeep.clone(),
        view: stack.view.port.clone(),
    }
}

async fn every_reader_is_walked_once_and_in_order(stack: &Stack) {
    let (unread, marked) = (Pair::fresh(), Pair::fresh());
    stack.log.record_one(unread.message(1, 10).into()).await.unwrap();
    stack.log.record_one(unread.message(2, 10).into()).await.unwrap();
    stack.log.record_one(marked.receipt(5).into()).await.unwrap();
    stack.log.record_one(unread.receipt(5).into()).await.unwrap();
    let mut expected = vec![unread.reader, marked.reader];
    expected.sort();
    let mut walked: Vec<Accid> = Vec::new();
    while let Some(reader) = stack.log.upkeep.next_reader(walked.last()).await.unwrap() {
        walked.push(reader);
    }
    assert_eq!(walked, expected);
    assert_eq!(stack.log.upkeep.count_readers(None).await.unwrap(), 2);
    assert_eq!(stack.log.upkeep.count_readers(Some(&expected[0])).await.unwrap(), 1);
}

async fn a_recount_adds_what_the_view_lacks_and_removes_what_the_log_does_not_count(stack: &Stack) {
    let pair = Pair::fresh();
    load(&*stack.view, &pair.reader, &pair.snapshot([], None)).await;
    stack.log.record_one(pair.message(1, 10).into()).await.unwrap();
    stack.log.record_one(pair.message(2, 11).into()).await.unwrap();
    apply(&*stack.view, [pair.arrived(9, 12)]).await;
    assert_eq!(count(&*stack.view, &pair).await, Some(1), "the view has drifted");
    let done: Vec<_> = recounter(stack).all(None).try_collect().await.unwrap();
    assert_eq!(done.len(), 1);
    assert_eq!((done[0].added, done[0].removed, done[0].known), (2, 1, true));
    assert_eq!(count(&*stack.view, &pair).await, Some(2));
    let again = recounter(stack).reader(pair.reader.clone()).await.unwrap().expect("a reader");
    assert_eq!((again.added, again.removed), (0, 0));
}

async fn a_recount_of_all_leaves_readers_whom_the_view_does_not_know(stack: &Stack) {
    let (first, second) = (Pair::fresh(), Pair::fresh());
    for (number, pair) in [(1, &first), (2, &second)] {
        stack.log.record_one(pair.message(number, 10).into()).await.unwrap();
    }
    let done: Vec<_> = recounter(stack).all(None).try_collect().await.unwrap();
    assert_eq!(done.iter().map(|one| one.known).collect::<Vec<_>>(), [false, false]);
    assert_eq!(count(&*stack.view, &first).await, None);
    let rest: Vec<_> = recounter(stack).all(Some(done[0].reader.clone())).try_collect().await.unwrap();
    assert_eq!(rest, done[1..], "an interrupted walk goes on where it was");
    assert!(recounter(stack).reader(first.reader.clone()).await.unwrap().expect("a reader").known);
    assert_eq!(count(&*stack.view, &first).await, Some(1));
}

async fn a_recount_of_nobody_says_so_and_lays_nothing(stack: &Stack) {
    let nobody = fresh_accid();
    assert_eq!(recounter(stack).reader(nobody.clone()).await.unwrap(), None);
    let begun = stack.view.begin_load(&nobody, "first").await.unwrap();
    assert_eq!(begun.token, "first", "no load of theirs has begun");

    let (marked, polled) = (Pair::fresh(), Pair::fresh());
    stack.log.record_one(marked.receipt(5).into()).await.unwrap();
    assert!(recounter(stack).reader(marked.reader).await.unwrap().is_some(), "somebody who has read");
    load(&*stack.view, &polled.reader, &polled.snapshot([], None)).await;
    apply(&*stack.view, [polled.arrived(9, 12)]).await;
    let done = recounter(stack).reader(polled.reader).await.unwrap().expect("somebody whom the view knows");
    assert_eq!((done.added, done.removed), (0, 1));
}

async fn an_explanation_tells_log_from_view(stack: &Stack) {
    let pair = Pair::fresh();
    stack.log.record_one(pair.receipt(5).into()).await.unwrap();
    stack.log.record_one(pair.message(1, 10).into()).await.unwrap();
    apply(&*stack.view, [pair.arrived(9, 12)]).await;
    let unknown = explain(&*stack.log.messages, &*stack.log.upkeep, &*stack.view, &pair.reader, &pair.peer)
        .await
        .unwrap();
    assert_eq!(unknown.answered, None);
    load(&*stack.view, &pair.reader, &pair.snapshot([], None)).await;
    apply(&*stack.view, [pair.arrived(9, 12)]).await;
    let found = explain(&*stack.log.messages, &*stack.log.upkeep, &*stack.view, &pair.reader, &pair.peer)
        .await
        .unwrap();
    assert_eq!((found.answered, found.log_mark, found.view_mark), (Some(1), Some(Millis(5)), None));
    let held: Vec<_> = found.messages.iter().map(|m| (m.at.0, m.in_log, m.in_view, m.unknown)).collect();
    assert_eq!(held, [(10, true, false, false), (12, false, true, true)]);
    assert_eq!((found.missing(), found.surplus()), (1, 1));
}

fn receiver(stack: &Stack) -> CopyReceiver {
    CopyReceiver {
        log: stack.log.messages.clone(),
        view: stack.view.port.clone(),
        dead_letters: stack.log.letters.clone(),
        clock: Arc::new(SetClock::default()),
        active: Arc::default(),
        rules: CountingRules::default(),
        receipt_allowance_ms: 1_000,
    }
}

async fn a_dead_letter_is_taken_in_again_once_it_can_be_understood(stack: &Stack) {
    let (pair, receiver) = (Pair::fresh(), receiver(stack));
    let good = format!(
        r#"{{"eventType":"1","convType":"PERSON","to":"{}","fromAccount":"{}","msgTimestamp":"10","msgType":"TEXT",
            "msgidServer":"1"}}"#,
        pair.reader, pair.peer
    );
    for (id, raw) in [("understood-by-now", good.as_str()), ("odd", "{\"eventType\":\"1\"}")] {
        let letter = DeadLetter { id: id.into(), received_at: NOW, reason: "old".into(), raw: raw.into() };
        stack.log.letters.keep_all(from_ref(&letter)).await.unwrap();
    }
    assert_eq!(redrive(&receiver, "understood-by-now").await.unwrap(), Redriven::Done);
    assert_eq!(stack.log.snapshot(&pair.reader).await.unwrap(), pair.snapshot([(1, 10)], None));
    assert_eq!(redrive(&receiver, "understood-by-now").await.unwrap(), Redriven::Unknown);
    assert_eq!(redrive(&receiver, "odd").await.unwrap(), Redriven::StillDead);
    assert!(stack.log.letters.find("odd").await.unwrap().is_some());
}

async fn dead_letters_are_listed_page_by_page(stack: &Stack) {
    let letters = &stack.log.letters;
    for id in ["c", "a", "b"] {
        let letter = DeadLetter { id: id.into(), received_at: NOW, reason: "odd".into(), raw: "[]".into() };
        letters.keep_all(from_ref(&letter)).await.unwrap();
    }
    let page = |after| letters.list(after, 2);
    let ids = |page: Vec<DeadLetter>| page.into_iter().map(|letter| letter.id).collect::<Vec<_>>();
    assert_eq!(ids(page(None).await.unwrap()), ["a", "b"]);
    assert_eq!(ids(page(Some("b")).await.unwrap()), ["c"]);
    letters.remove("a").await.unwrap();
    letters.remove("a").await.unwrap();
    assert_eq!(letters.count().await.unwrap(), 2);
}

async fn forgetting_read_messages_changes_no_count(stack: &Stack) {
    const DAY: i64 = 86_400_000;
    let (pair, clock) = (Pair::fresh(), SetClock::default());
    let old = clock.now().0 - 31 * DAY;
    for (number, at) in [(1, old), (2, old + 1), (3, old + 2), (4, clock.now().0)] {
        stack.log.record_one(pair.message(number, at).into()).await.unwrap();
    }
    stack.log.record_one(pair.receipt(old + 1).into()).await.unwrap();
    let before = stack.log.snapshot(&pair.reader).await.unwrap();
    assert_eq!(before.counts(from_ref(&pair.peer)), [2], "an old message may be unread");
    assert_eq!(forget_read(&*stack.log.upkeep, &clock, 30).await.unwrap(), 2);
    assert_eq!(forget_read(&*stack.log.upkeep, &clock, 30).await.unwrap(), 0);
    assert_eq!(stack.log.snapshot(&pair.reader).await.unwrap(), before);
    let late = stack.log.record_one(pair.message(1, old).into()).await.unwrap();
    assert_eq!(
        late.change,
        Some(pair.arrived_with_mark(1, old, old + 1)),
        "it comes once more, and is still read"
    );
    assert_eq!(stack.log.snapshot(&pair.reader).await.unwrap(), before);
}

async fn without_its_view_a_poll_is_answered_by_the_log_or_not_at_all(stack: &Stack) {
    let (pair, stranger) = (Pair::fresh(), fresh_accid());
    stack.log.record_one(pair.receipt(5).into()).await.unwrap();
    for (number, at) in [(1, 5), (2, 6), (3, 7)] {
        stack.log.record_one(pair.message(number, at).into()).await.unwrap();
    }
    let view = WatchedView::over(&stack.view.port);
    view.failing.store(true, SeqCst);
    let clock = Arc::new(SetClock(AtomicI64::new(NOW.0)));
    let query = counts(view, stack.log.messages.clone(), clock);
    let peers = [pair.peer.clone(), stranger];
    assert!(query.of(&pair.reader, &peers).await.is_err(), "no guess");
    let query = UnreadCounts { fallbacks: Semaphore::new(1), ..query };
    assert_eq!(query.of(&pair.reader, &peers).await.unwrap(), [2, 0]);
    let _busy = query.fallbacks.try_acquire().unwrap();
    assert!(query.of(&pair.reader, &peers).await.is_err(), "no more than there is room for");
}
