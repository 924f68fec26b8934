//! The order page's question: how many messages from each of these users has this reader not read? And how many in all?

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use crate::domain::ids::{Accid, Millis};
use crate::domain::unread::{Reading, Snapshot, Total};
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::message_log::MessageLog;
use crate::ports::unread_view::UnreadView;
use crate::ports::view_loader::ViewLoader;

/// How often a view may lose a reader while that reader is loaded before the poll gives up.
const ROUNDS: usize = 3;

/// The view's name in errors.
const VIEW: &str = "unread";
/// A load dated further ahead came from a clock that was wrong. It is rechecked, or it would count as new until our
/// clock has caught up.
const CLOCKS_APART_MS: i64 = 5_000;

/// Answers from the view; loads what it does not know from the log.
pub struct UnreadCounts {
    /// What is asked.
    pub view: Arc<dyn UnreadView>,
    /// The truth, for when the view is out of reach.
    pub log: Arc<dyn MessageLog>,
    /// Fills the view.
    pub view_loader: Arc<dyn ViewLoader>,
    /// Tells how old a load is.
    pub clock: Arc<dyn Clock>,
    /// A load older than this many milliseconds is repeated in the background, to find drift.
    pub recheck_after_ms: i64,
    /// So is a load from before this moment, the start of this process: what ended before it may have died between
    /// the log and the view.
    pub started_at: Millis,
    /// Polls that may read the log at once while the view is out of reach.
    pub fallbacks: Semaphore,
}

impl UnreadCounts {
    /// One count per peer, in the order asked. An outage is an error, never a zero.
    pub async fn of(&self, reader: &Accid, peers: &[Accid]) -> Result<Vec<u64>, Arc<StoreError>> {
        self.ask(reader, || self.view.read(reader, peers), |log| log.counts(peers)).await
    }

    /// All that this reader has not read, in the same way.
    pub async fn total(&self, reader: &Accid) -> Result<Total, Arc<StoreError>> {
        self.ask(reader, || self.view.total(reader), Snapshot::total).await
    }

    async fn ask<'a, T>(
        &self,
        reader: &Accid,
        view: impl Fn() -> BoxFuture<'a, Result<Reading<T>, StoreError>>,
        log: impl FnOnce(&Snapshot) -> T,
    ) -> Result<T, Arc<StoreError>> {
        for _ in 0..ROUNDS {
            match view().await {
                Ok(Reading::Known { counts, loaded_at }) => {
                    self.recheck_if_old(reader, loaded_at);
                    return Ok(counts);
                }
                Ok(Reading::Unknown) => match self.view_loader.load(reader).await {
                    Err(error) if error.store() == VIEW => {
                        return self.fall_back(reader, log, error.again()).await;
                    }
                    loaded => loaded?,
                },
                Err(error) => return self.fall_back(reader, log, error).await,
            }
        }
        Err(Arc::new(StoreError::unavailable(VIEW, "the view keeps losing this reader while it is loaded")))
    }

    fn recheck_if_old(&self, reader: &Accid, loaded_at: Millis) {
        let now = self.clock.now();
        if loaded_at < self.started_at.max(self.view.trusted_since())
            || now.since(loaded_at) > self.recheck_after_ms
            || loaded_at.since(now) > CLOCKS_APART_MS
        {
            self.view_loader.recheck(reader);
        }
    }

    /// The answer of the log itself, if there is room for one more such poll; else the view's error.
    async fn fall_back<T>(
        &self,
        reader: &Accid,
        log: impl FnOnce(&Snapshot) -> T,
        error: StoreError,
    ) -> Result<T, Arc<StoreError>> {
        let Ok(_slot) = self.fallbacks.try_acquire() else { return Err(Arc::new(error)) };
        Ok(log(&self.log.snapshot(reader).await?))
    }
}
