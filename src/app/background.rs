//! Tasks that run for as long as the service does. One that ends by itself ends the process.

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::task::{JoinError, JoinHandle};

use super::StartError;

/// Tasks that are not to end before the service is told to stop.
#[derive(Default)]
pub struct Background(FuturesUnordered<BoxFuture<'static, (&'static str, Result<(), JoinError>)>>);

impl Background {
    /// Watches one more; `task` is its name in the log.
    pub fn watch(&mut self, task: &'static str, handle: JoinHandle<()>) {
        self.0.push(handle.map(move |ended| (task, ended)).boxed());
    }

    /// Waits for the first of them that ends, for ever if there is none.
    pub async fn failed(&mut self) -> StartError {
        match self.0.next().await {
            Some((task, ended)) => failure(task, ended.err()),
            None => std::future::pending().await,
        }
    }

    /// The first that has panicked by now; to have ended is right once the service was told to stop.
    pub fn panicked(&mut self) -> Option<StartError> {
        while let Some(Some((task, ended))) = self.0.next().now_or_never() {
            if let Some(panic) = ended.err().filter(JoinError::is_panic) {
                return Some(failure(task, Some(panic)));
            }
        }
        None
    }
}

fn failure(task: &'static str, panic: Option<JoinError>) -> StartError {
    let cause = panic.map_or_else(|| "it returned".to_owned(), |panic| panic.to_string());
    tracing::error!(task, cause, "a background task ended by itself: stopping");
    StartError::Background { task, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_or_panics_is_a_failure_that_names_it() {
        let mut background = Background::default();
        background.watch("endless", tokio::spawn(std::future::pending()));
        assert!(background.failed().now_or_never().is_none());
        background.watch("short", tokio::spawn(async {}));
        let failure = background.failed().await.to_string();
        assert!(failure.contains("short"), "{failure}");
        background.watch("broken", tokio::spawn(async { panic!("on purpose") }));
        let failure = background.failed().await.to_string();
        assert!(failure.contains("broken") && failure.contains("on purpose"), "{failure}");
    }

    #[tokio::test]
    async fn after_a_stop_only_a_panic_is_a_failure() {
        let mut background = Background::default();
        background.watch("endless", tokio::spawn(std::future::pending()));
        let (short, broken) = (tokio::spawn(async {}), tokio::spawn(async { panic!("on purpose") }));
        while !(short.is_finished() && broken.is_finished()) {
            tokio::task::yield_now().await;
        }
        background.watch("short", short);
        assert!(background.panicked().is_none());
        background.watch("broken", broken);
        assert!(background.panicked().unwrap().to_string().contains("broken"));
    }
}
