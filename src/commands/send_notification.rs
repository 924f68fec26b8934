//! Accepts a custom system notice to one user, many or a team: from then on it is owed, and [`DeliveryWorker`] delivers it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::deliver::{DeliveryWorker, Leased};
use crate::domain::ids::UserId;
use crate::domain::outbox::{KEY_LIFETIME_MS, State, with_id};
use crate::ports::StoreError;
use crate::ports::clock::{Clock, Ids};
use crate::ports::gateway::NoticeContent;
use crate::ports::outbox::{
    Accepted, Delivery, IdempotencyKey, NewNotification, NotificationStatus, Notifications, OutboxNotice, Way,
};

/// More recipients than this go by batch calls; up to here each gets a call of their own, and an account if need be.
pub const HANDFUL: usize = 10;

/// A notice as the site orders it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Who gets it.
    pub to: Recipients,
    /// The sender, if not the system account.
    pub from: Option<UserId>,
    /// Within NetEase's limits; the edge checks them.
    pub content: NoticeContent,
    /// By what the caller can repeat the order.
    pub key: Option<IdempotencyKey>,
}

/// Who gets a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipients {
    /// Users, 1 to [`crate::ports::outbox::BATCH`], each once.
    Users(Vec<UserId>),
    /// A team, by its id at NetEase.
    Team(UserId),
}

/// Why an order was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// Too much is owed already.
    #[error("{0} notices wait for NetEase already")]
    Full(u64),
    /// The key came with another order before.
    #[error("this key was used for another request")]
    KeyTaken,
    /// Our own store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An order that was accepted, now or before.
struct AcceptedOrder {
    status: NotificationStatus,
    /// What is leased to this order, to be delivered at once; everything else is the worker's.
    leased: Vec<Leased>,
}

/// Accepts orders.
pub struct Notifier {
    /// Where they are kept.
    pub notifications: Arc<dyn Notifications>,
    /// Delivers them.
    pub worker: Arc<DeliveryWorker>,
    /// Deliveries under way, which go on when their caller has left; shutdown waits for them.
    pub tasks: TaskTracker,
    /// How long the answer to an accepted notice waits for its delivery.
    pub patience: Duration,
    /// Dates them.
    pub clock: Arc<dyn Clock>,
    /// Names them.
    pub ids: Arc<dyn Ids>,
    /// Who sends what names no sender.
    pub system_account: UserId,
    /// Whether a notice whose outcome is not known is sent again, its id inside.
    pub resend_unknown: bool,
    /// Queued deliveries beyond which nothing more is accepted.
    pub max_queued: u64,
}

impl Notifier {
    /// Accepts `order`, which is durable from then on, and delivers it at once if nothing waits before it. Answers how
    /// far it is: what takes longer than `patience` is told as queued, and goes on.
    ///
    /// Not cancel-safe: what was leased and is not delivered waits until its lease has run out.
    pub async fn send(&self, order: Notification) -> Result<NotificationStatus, OrderError> {
        let AcceptedOrder { mut status, leased } = self.accept(order).await?;
        let worker = Arc::clone(&self.worker);
        let deliver = async move { join_all(leased.into_iter().map(|it| worker.deliver(it))).await };
        if let Ok(Ok(outcomes)) = timeout(self.patience, self.tasks.spawn(deliver)).await {
            status.learn(outcomes.into_iter().flatten());
        }
        Ok(status)
    }

    async fn accept(&self, order: Notification) -> Result<AcceptedOrder, OrderError> {
        if self.worker.queued() >= self.max_queued {
            return Err(OrderError::Full(self.worker.queued()));
        }
        let new = self.new_notification(order);
        let lease = self.worker.is_free().then(|| self.worker.lease());
        match self.notifications.accept(&new, lease.as_ref()).await? {
            Accepted::New(claimed) => {
                let leased = lease.map_or_else(Vec::new, |lease| self.worker.leased(&lease, claimed));
                tracing::info!(id = %new.id, recipients = new.to.len(), "a notification is accepted");
                let at_once: usize = leased.iter().map(|leased| leased.claimed.work.entries().len()).sum();
                if at_once < new.to.len() {
                    self.worker.expect((new.to.len() - at_once) as u64);
                }
                Ok(AcceptedOrder { status: new.into(), leased })
            }
            Accepted::Repeated(id) => {
                // A server that lags behind the one that has the key does not have the notification yet.
                let unseen =
                    || StoreError::unavailable("outbox", format!("notification {id} cannot be seen"));
                let status = self.notifications.status(&id).await?.ok_or_else(unseen)?;
                Ok(AcceptedOrder { status, leased: Vec::new() })
            }
            Accepted::KeyTaken => Err(OrderError::KeyTaken),
        }
    }

    fn new_notification(&self, order: Notification) -> NewNotification {
        let Notification { to, from, mut content, key } = order;
        let (id, at) = (self.ids.fresh(), self.clock.now());
        let carries_id = if self.resend_unknown { with_id(&content.attach, &id) } else { None };
        let resendable = carries_id.is_some();
        if let Some(attach) = carries_id {
            content.attach = attach;
        }
        let (to, way) = match to {
            Recipients::Team(id) => (vec![id], Way::Team),
            Recipients::Users(users) if users.len() > HANDFUL => (users, Way::Batch),
            Recipients::Users(users) => (users, Way::Each),
        };
        let from = from.unwrap_or_else(|| self.system_account.clone());
        NewNotification {
            id,
            key,
            keys_since: at.plus(-KEY_LIFETIME_MS),
            from,
            to,
            way,
            notice: OutboxNotice { content, resendable },
            at,
        }
    }
}

impl From<NewNotification> for NotificationStatus {
    fn from(new: NewNotification) -> Self {
        let queued = |to| Delivery { to, state: State::Queued, attempts: 0, last_error: None };
        Self { id: new.id, deliveries: new.to.into_iter().map(queued).collect() }
    }
}
