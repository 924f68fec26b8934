//! What the handlers share, and how they run work that must not end with its request.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::metrics::Metrics;
use super::problem::{Code, Problem};
use super::streams::Streams;
use crate::commands::bind_account::Binder;
use crate::commands::deliver::DeliveryWorker;
use crate::commands::receive_copy::Inbox;
use crate::commands::send_notification::Notifier;
use crate::domain::ids::{Accid, LetterCase, UserId};
use crate::ports::accounts::Accounts;
use crate::ports::authenticator::Authenticator;
use crate::ports::clock::Clock;
use crate::ports::outbox::Notifications;
use crate::ports::unread_changes::UnreadChanges;
use crate::queries::store_health::StoreHealth;
use crate::queries::unread_counts::UnreadCounts;

/// The handlers' state.
pub struct Api {
    /// Takes in message copies.
    pub inbox: Arc<Inbox>,
    /// Binds buyers to sellers.
    pub binder: Arc<Binder>,
    /// Accepts notices.
    pub notifier: Arc<Notifier>,
    /// Delivers them.
    pub worker: Arc<DeliveryWorker>,
    /// Notices and what became of them.
    pub notifications: Arc<dyn Notifications>,
    /// Account rows behind their cache.
    pub accounts: Arc<dyn Accounts>,
    /// Whether letter case tells users apart.
    pub case: LetterCase,
    /// The system account, and others of the site's own that nobody may bind or chat with.
    pub reserved: HashSet<Accid>,
    /// Answers polls.
    pub counts: UnreadCounts,
    /// Hears which readers change.
    pub changes: Arc<dyn UnreadChanges>,
    /// Streams that are open.
    pub streams: Arc<Streams>,
    /// Which stores answer.
    pub health: Arc<StoreHealth>,
    /// Cancelled when the service is about to stop: it is not ready any more, and serves on.
    pub draining: CancellationToken,
    /// Cancelled when the service stops: streams end then, or nothing else would.
    pub winding_down: CancellationToken,
    /// Verifies callers.
    pub authenticator: Arc<dyn Authenticator>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// NetEase's present app secret and those it had before.
    pub app_secrets: Vec<SecretString>,
    /// Bounds of requests.
    pub limits: Limits,
    /// Counters and histograms.
    pub metrics: Arc<Metrics>,
    /// Work under way; shutdown waits for it.
    pub tasks: TaskTracker,
    /// One permit per webhook under way.
    pub webhook_slots: Arc<Semaphore>,
}

/// Bounds of requests.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Users that one poll may ask about.
    pub poll_users: usize,
    /// Bytes of a webhook's body.
    pub webhook_body: usize,
    /// Bytes of any other body.
    pub body: usize,
    /// How long the body of any other request may take to arrive.
    pub body_timeout: Duration,
    /// How long a webhook may take, its body included: less than the 5 s after which NetEase gives up.
    pub webhook_timeout: Duration,
    /// How long a poll may take.
    pub poll_timeout: Duration,
    /// How long a bind or a notification may take.
    pub netease_timeout: Duration,
    /// How long the answer to an accepted notice waits for its delivery.
    pub notice_patience: Duration,
    /// Copies signed longer ago, or further ahead, than this are refused; `None` takes any.
    pub max_age: Option<Duration>,
}

impl Api {
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
