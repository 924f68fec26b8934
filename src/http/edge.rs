//! What all handlers share: the authenticator, limits, letter case, and detached work, which goes on without its request.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::problem::{Code, Problem};
use crate::config::Limits;
use crate::domain::ids::{LetterCase, UserId};
use crate::ports::authenticator::Authenticator;

/// Shared by all surfaces.
pub struct Edge {
    /// Verifies callers.
    pub authenticator: Arc<dyn Authenticator>,
    /// Whether letter case tells users apart.
    pub case: LetterCase,
    /// Bounds of requests.
    pub limits: Limits,
    /// Work under way; shutdown waits for it.
    pub tasks: TaskTracker,
}

impl Edge {
    /// The user whom a request names in `field`.
    pub fn user_id(&self, field: &str, written: &str) -> Result<UserId, Problem> {
        UserId::parse(written, self.case).map_err(|rule| Problem::invalid(field, rule))
    }

    /// Runs `work` to its end even if the caller leaves or `patience` runs out, in which case it is answered 503.
    ///
    /// A handler is dropped when its client goes; work dropped half-way would leave drivers and stores half-way too.
    pub async fn detached<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        match tokio::time::timeout(patience, self.tasks.spawn(work)).await {
            Ok(Ok(outcome)) => outcome,
            // The panic is in the log already.
            Ok(Err(_)) => Err(Problem::new(Code::Internal, "this service failed; see its log")),
            Err(_) => Err(too_slow()),
        }
    }
}

/// The answer when patience runs out.
pub fn too_slow() -> Problem {
    Problem::new(Code::Overloaded, "this took too long; try again shortly")
}
