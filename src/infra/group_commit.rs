//! Group commit: what comes one at a time is done many at a time, and nobody waits for a clock.
//!
//! Whatever gathers while a flush is under way goes together in the next one. So an item that comes alone is flushed at
//! once, alone, and the more come, the more share a flush.

use std::collections::HashSet;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};

use crate::domain::ids::{Accid, Millis, ServerId};
use crate::domain::message::Fact;
use crate::domain::unread::Snapshot;
use crate::log_gate::LogGate;
use crate::ports::StoreError;
use crate::ports::message_log::{MessageLog, Reach, Recorded};

/// An item, and whoever waits for what becomes of it.
type Waiting<T, R> = (T, oneshot::Sender<R>);

/// A queue with one writer, which flushes what has gathered. Dropping the queue ends the writer after its last flush.
pub struct Group<T, R> {
    queue: mpsc::Sender<Waiting<T, R>>,
}

/// The writer panicked, or ended with the process. The item may or may not have been applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the flush that it was part of did not end")]
pub struct WriterGone;

impl<T: Send + 'static, R: Send + 'static> Group<T, R> {
    /// Gives `flush` at most `at_most` items at a time, at least 1. `flush` answers one result for each item, in their
    /// order; it is not told which item belongs to whom.
    ///
    /// Wants a runtime around it, on which the writer lives.
    pub fn new<F, Flushed>(at_most: usize, flush: F) -> Self
    where
        F: Fn(Vec<T>) -> Flushed + Send + Sync + 'static,
        Flushed: Future<Output = Vec<R>> + Send + 'static,
    {
        let (queue, waiting) = mpsc::channel(at_most);
        tokio::spawn(write(waiting, at_most, flush));
        Self { queue }
    }

    /// Queues `item` and answers its result. Waits for room while a whole flush is queued already: callers bound how many
    /// of them there are.
    ///
    /// Not undone by cancellation: an item that is queued is flushed even if its caller is dropped.
    pub async fn submit(&self, item: T) -> Result<R, WriterGone> {
        let (reply, answer) = oneshot::channel();
        self.queue.send((item, reply)).await.map_err(|_| WriterGone)?;
        answer.await.map_err(|_| WriterGone)
    }
}

/// Flushes what waits, for as long as anybody may still give something.
async fn write<T, R, F, Flushed>(mut waiting: mpsc::Receiver<Waiting<T, R>>, at_most: usize, flush: F)
where
    F: Fn(Vec<T>) -> Flushed,
    Flushed: Future<Output = Vec<R>>,
{
    let mut taken = Vec::new();
    while waiting.recv_many(&mut taken, at_most).await > 0 {
        let (items, replies): (Vec<T>, Vec<_>) = taken.drain(..).unzip();
        // Caught, for this writer is needed for whatever comes next. Nothing that a flush may leave half-done is
        // looked at again here, and those who wait hear of it as their replies are dropped.
        let flushed = AssertUnwindSafe(async { flush(items).await }).catch_unwind().await;
        match flushed {
            // Whoever has left does not take the answer.
            Ok(results) => {
                for (reply, result) in replies.into_iter().zip(results) {
                    drop(reply.send(result));
                }
            }
            Err(_) => tell_panicked(replies.len()),
        }
    }
}

fn tell_panicked(items: usize) {
    static PANICKED: LogGate = LogGate::new();
    if let Some(count) = PANICKED.pass() {
        tracing::error!(count, items, "a flush panicked");
    }
}

/// A log whose facts that come at the same time are recorded together.
pub struct GroupedLog {
    inner: Arc<dyn MessageLog>,
    facts: Group<Fact, Result<Recorded, StoreError>>,
}

impl GroupedLog {
    /// Records at most `at_most` facts at once, at least 1, in `inner`. Wants a runtime around it.
    pub fn new(inner: Arc<dyn MessageLog>, at_most: usize) -> Self {
        let log = Arc::clone(&inner);
        let record = move |facts| {
            let log = Arc::clone(&log);
            async move { log.record(facts).await }
        };
        Self { inner, facts: Group::new(at_most, record) }
    }
}

#[async_trait]
impl MessageLog for GroupedLog {
    async fn record(&self, facts: Vec<Fact>) -> Vec<Result<Recorded, StoreError>> {
        join_all(facts.into_iter().map(|fact| self.record_one(fact))).await
    }

    /// What was given to a flush that did not end may be in the log or not.
    async fn record_one(&self, fact: Fact) -> Result<Recorded, StoreError> {
        let lost = |lost: WriterGone| Err(StoreError::unavailable("messages", lost));
        self.facts.submit(fact).await.unwrap_or_else(lost)
    }

    async fn reach(&self, reader: &Accid, peer: &Accid, up_to: Millis) -> Result<Reach, StoreError> {
        self.inner.reach(reader, peer, up_to).await
    }

    async fn snapshot(&self, reader: &Accid) -> Result<Snapshot, StoreError> {
        self.inner.snapshot(reader).await
    }

    async fn unknown(&self, reader: &Accid, ids: &[ServerId]) -> Result<HashSet<ServerId>, StoreError> {
        self.inner.unknown(reader, ids).await
    }

    async fn is_big(&self, reader: &Accid) -> Result<bool, StoreError> {
        self.inner.is_big(reader).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }
}

#[cfg(test)]
mod tests;
