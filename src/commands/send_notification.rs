//! Sends a custom system notice to a user.

use std::sync::Arc;

use super::register_account::{RegisterError, Registrar};
use crate::domain::ids::UserId;
use crate::ports::clock::Ids;
use crate::ports::gateway::{Gateway, Notice, NoticeContent};

/// A notice as the site orders it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The recipient.
    pub to: UserId,
    /// The sender, if not the system account.
    pub from: Option<UserId>,
    /// Within NetEase's limits; the edge checks them.
    pub content: NoticeContent,
}

/// Sends notices.
pub struct Notifier {
    /// NetEase.
    pub gateway: Arc<dyn Gateway>,
    /// Makes accounts.
    pub registrar: Arc<Registrar>,
    /// Names notifications.
    pub ids: Arc<dyn Ids>,
    /// Who sends what names no sender.
    pub system_account: UserId,
}

impl Notifier {
    /// Sends it, and answers the id that it goes by here. Sender and recipient are registered when first needed.
    ///
    /// Sent once: after [`crate::ports::gateway::GatewayError::OutcomeUnknown`] the user may have been notified, and
    /// sending again may notify twice.
    pub async fn send(&self, notification: Notification) -> Result<String, RegisterError> {
        let from = notification.from.as_ref().unwrap_or(&self.system_account);
        let from = self.registrar.register(from, None).await?.accid;
        let to = self.registrar.register(&notification.to, None).await?.accid;
        let notice = Notice { from, to, content: notification.content };
        self.gateway.send_notice(&notice).await?;
        let id = self.ids.fresh();
        tracing::info!(%id, to = %notice.to, "a notification is sent");
        Ok(id)
    }
}
