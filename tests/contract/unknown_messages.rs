//! What the view counts and the log knows nothing of: a few are chance, many are a log that was restored from a backup.

use std::slice;
use std::sync::Arc;

use otc_im::commands::projector::{LoadBounds, Projector, Reloaded};
use otc_im::domain::unread::Merged;
use otc_im::infra::clock::System;

use super::facts::{Pair, apply, count, id};
use super::watched::{REMOVE_UNKNOWN, SetClock, counts, projector};
use crate::support::backends::{self, Stack};

on_each! {
    [
        a_few_unknown_messages_are_removed,
        many_unknown_messages_are_kept_until_somebody_insists,
        messages_that_the_log_knows_to_be_read_or_recalled_are_removed_however_many,
        a_log_tells_which_messages_it_knows_nothing_of,
    ]
    each embedded: backends::embedded().await;
    each production: backends::production().await;
}

/// A reader whom the view knows, and so many messages that only the view knows.
async fn with_unknown(stack: &Stack, many: usize) -> Pair {
    let pair = Pair::fresh();
    stack.log.record_one(pair.message(1, 10).into()).await.unwrap();
    let clock = Arc::new(SetClock::default());
    let counts = counts(stack.view.port.clone(), stack.log.messages.clone(), clock);
    assert_eq!(counts.of(&pair.reader, slice::from_ref(&pair.peer)).await.unwrap(), [1]);
    apply(&*stack.view, (100..).take(many).map(|number| pair.arrived(number, 20))).await;
    pair
}

fn of(stack: &Stack) -> Projector {
    projector(stack.view.port.clone(), stack.log.messages.clone(), Arc::new(SetClock::default()))
}

async fn a_few_unknown_messages_are_removed(stack: &Stack) {
    let pair = with_unknown(stack, REMOVE_UNKNOWN).await;
    let merged = Merged::Done { added: 0, removed: REMOVE_UNKNOWN };
    assert_eq!(of(stack).reconcile(&pair.reader).await.unwrap(), Reloaded { merged, kept_unknown: 0 });
    assert_eq!(count(&*stack.view, &pair).await, Some(1));
}

async fn many_unknown_messages_are_kept_until_somebody_insists(stack: &Stack) {
    let (pair, projector) = (with_unknown(stack, REMOVE_UNKNOWN + 1).await, of(stack));
    stack.log.record_one(pair.message(2, 30).into()).await.unwrap();
    let kept = Reloaded { merged: Merged::Done { added: 1, removed: 0 }, kept_unknown: REMOVE_UNKNOWN + 1 };
    assert_eq!(
        projector.reconcile(&pair.reader).await.unwrap(),
        kept,
        "what is missing is added all the same"
    );
    assert_eq!(projector.counters().kept_unknown.get(), 4);
    assert_eq!(count(&*stack.view, &pair).await, Some(6));
    let (log, view) = (stack.log.messages.clone(), stack.view.port.clone());
    let bounds = LoadBounds { at_once: 1, remove_unknown: None };
    let insisting = Projector::new(log, view, Arc::new(SetClock::default()), Arc::new(System), bounds);
    let removed = Reloaded { merged: Merged::Done { added: 0, removed: 4 }, kept_unknown: 0 };
    assert_eq!(insisting.reconcile(&pair.reader).await.unwrap(), removed);
    assert_eq!(count(&*stack.view, &pair).await, Some(2));
}

async fn messages_that_the_log_knows_to_be_read_or_recalled_are_removed_however_many(stack: &Stack) {
    let pair = with_unknown(stack, 0).await;
    for number in 2..=6 {
        stack.log.record_one(pair.message(number, 10).into()).await.unwrap();
        stack.log.record_one(pair.recall(number).into()).await.unwrap();
    }
    // A view that missed the recalls.
    apply(&*stack.view, (2..=6).map(|number| pair.arrived(number, 10))).await;
    let merged = Merged::Done { added: 0, removed: 5 };
    assert_eq!(of(stack).reconcile(&pair.reader).await.unwrap(), Reloaded { merged, kept_unknown: 0 });
    assert_eq!(count(&*stack.view, &pair).await, Some(1));
}

async fn a_log_tells_which_messages_it_knows_nothing_of(stack: &Stack) {
    let (pair, other) = (Pair::fresh(), Pair::fresh());
    stack.log.record_one(pair.message(1, 10).into()).await.unwrap();
    stack.log.record_one(other.message(2, 10).into()).await.unwrap();
    stack.log.record_one(pair.recall(3).into()).await.unwrap();
    let ids: Vec<_> = (1..=2_500).map(id).collect();
    let unknown = stack.log.messages.unknown(&pair.reader, &ids).await.unwrap();
    assert_eq!((unknown.len(), unknown.contains(&id(1)), unknown.contains(&id(3))), (2_498, false, false));
    assert!(unknown.contains(&id(2)), "a message to somebody else");
    assert!(stack.log.messages.unknown(&pair.reader, &[]).await.unwrap().is_empty());
}
