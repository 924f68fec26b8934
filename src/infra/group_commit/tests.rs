//! A flush is held by its test: it reports what it was given, then waits for leave.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Poll;

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, yield_now};

use super::*;

/// A group of numbers that are doubled, and its flushes.
struct HeldGroup {
    group: Arc<Group<u32, u32>>,
    flushes: mpsc::UnboundedReceiver<Vec<u32>>,
    leave: Arc<Semaphore>,
    panics: Arc<AtomicBool>,
}

impl HeldGroup {
    fn new(at_most: usize) -> Self {
        let (began, flushes) = mpsc::unbounded_channel();
        let (leave, panics) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicBool::new(false)));
        let (held, failing) = (Arc::clone(&leave), Arc::clone(&panics));
        let group = Group::new(at_most, move |items: Vec<u32>| {
            let (held, failing) = (Arc::clone(&held), Arc::clone(&failing));
            began.send(items.clone()).unwrap();
            async move {
                held.acquire().await.unwrap().forget();
                assert!(!failing.swap(false, SeqCst), "says the test");
                items.into_iter().map(|item| 2 * item).collect()
            }
        });
        Self { group: Arc::new(group), flushes, leave, panics }
    }

    /// Gives an item and does not wait for its answer; it is in the queue when this has returned.
    async fn give(&self, item: u32) -> JoinHandle<Result<u32, WriterGone>> {
        let group = Arc::clone(&self.group);
        let given = tokio::spawn(async move { group.submit(item).await });
        for _ in 0..8 {
            yield_now().await;
        }
        given
    }

    async fn began(&mut self) -> Vec<u32> {
        self.flushes.recv().await.unwrap()
    }
}

#[tokio::test]
async fn an_item_that_comes_alone_is_flushed_at_once() {
    let mut held = HeldGroup::new(10);
    for item in [1, 2, 3] {
        let given = held.give(item).await;
        assert_eq!(held.began().await, [item]);
        held.leave.add_permits(1);
        assert_eq!(given.await.unwrap(), Ok(2 * item));
    }
}

#[tokio::test]
async fn what_gathers_during_a_flush_goes_together_in_the_next() {
    let mut held = HeldGroup::new(10);
    let mut given = vec![held.give(1).await];
    assert_eq!(held.began().await, [1]);
    for item in 2..=5 {
        given.push(held.give(item).await);
    }
    held.leave.add_permits(1);
    assert_eq!(held.began().await, [2, 3, 4, 5]);
    held.leave.add_permits(1);
    let answers: Vec<_> = join_all(given).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, [Ok(2), Ok(4), Ok(6), Ok(8), Ok(10)], "each its own");
}

#[tokio::test]
async fn no_flush_is_larger_than_its_bound_and_whoever_finds_no_room_waits() {
    let mut held = HeldGroup::new(3);
    let mut given = vec![held.give(0).await];
    assert_eq!(held.began().await, [0]);
    for item in 1..=7 {
        given.push(held.give(item).await);
    }
    let mut left_over = pin!(held.group.submit(8));
    let waits = poll_fn(|context| Poll::Ready(left_over.as_mut().poll(context).is_pending())).await;
    assert!(waits && held.group.queue.try_send((9, oneshot::channel().0)).is_err(), "a full queue is full");
    let mut flushes = Vec::new();
    held.leave.add_permits(10);
    assert_eq!(left_over.await, Ok(16));
    assert!(join_all(given).await.into_iter().all(|answer| answer.unwrap().is_ok()));
    while let Ok(flush) = held.flushes.try_recv() {
        assert!(flush.len() <= 3, "{flush:?}");
        flushes.extend(flush);
    }
    assert_eq!(flushes, [1, 2, 3, 4, 5, 6, 7, 8], "in the order in which they came");
}

#[tokio::test]
async fn a_flush_that_panics_takes_its_own_items_and_no_others() {
    let mut held = HeldGroup::new(10);
    let first = held.give(1).await;
    assert_eq!(held.began().await, [1]);
    let others = [held.give(2).await, held.give(3).await];
    held.panics.store(true, SeqCst);
    held.leave.add_permits(2);
    assert_eq!(first.await.unwrap(), Err(WriterGone));
    let answers: Vec<_> = join_all(others).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, [Ok(4), Ok(6)]);
}

#[tokio::test]
async fn a_caller_who_leaves_disturbs_nobody() {
    let mut held = HeldGroup::new(10);
    let first = held.give(1).await;
    assert_eq!(held.began().await, [1]);
    let (leaves, stays) = (held.give(2).await, held.give(3).await);
    first.abort();
    leaves.abort();
    held.leave.add_permits(1);
    assert_eq!(held.began().await, [2, 3], "what was given is flushed");
    held.leave.add_permits(1);
    assert_eq!(stays.await.unwrap(), Ok(6));
}

#[tokio::test]
async fn a_flush_that_answers_too_little_leaves_nobody_waiting() {
    let group = Group::new(10, |items: Vec<u32>| async move { vec![items[0]; items.len() - 1] });
    assert_eq!(group.submit(1).await, Err(WriterGone));
}

#[test]
fn a_writer_that_is_dropped_leaves_nobody_waiting() {
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (writers, callers) = (runtime(), runtime());
    let group = writers.block_on(async { Group::new(1, |_: Vec<u32>| pending::<Vec<u32>>()) });
    let group = Arc::new(group);
    let give = |item| {
        let group = Arc::clone(&group);
        callers.spawn(async move { group.submit(item).await })
    };
    let given: Vec<_> = (0..3).map(give).collect();
    callers.block_on(yield_now());
    writers.block_on(yield_now());
    drop(writers);
    let answers = callers.block_on(join_all(given));
    assert!(answers.into_iter().all(|answer| answer.unwrap() == Err(WriterGone)));
    assert_eq!(callers.block_on(group.submit(4)), Err(WriterGone), "nor whoever comes later");
}
