//! Sends a custom system notice to a user.

use std::sync::Arc;

use super::register_account::{RegisterError, Registrar};
use crate::domain::ids::UserId;
use crate::ports::clock::Ids;
use crate::ports::gateway::{Gateway, Notice};

/// A notice, within NetEase's limits (checked at the edge).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The recipient.
    pub to: UserId,
    /// The sender, if not the system account.
    pub from: Option<UserId>,
    /// What the client gets, at most 4096 characters.
    pub attach: String,
    /// Text of the push, at most 500 characters.
    pub push_content: Option<String>,
    /// JSON for the push, at most 2048 characters.
    pub payload: Option<String>,
    /// Name of a sound file in the app, at most 30 characters.
    pub sound: Option<String>,
    /// 1: only to those online; 2: kept for those who are not.
    pub save: u8,
    /// Whether it counts in the app's badge.
    pub badge: bool,
    /// Whether the push shows the sender's nickname.
    pub need_push_nick: bool,
    /// Whether NetEase copies it to our webhook.
    pub route: bool,
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
        let notice = Notice {
            from,
            to,
            attach: notification.attach,
            push_content: notification.push_content,
            payload: notification.payload,
            sound: notification.sound,
            save: notification.save,
            badge: notification.badge,
            need_push_nick: notification.need_push_nick,
            route: notification.route,
        };
        self.gateway.send_notice(&notice).await?;
        let id = self.ids.fresh();
        tracing::info!(%id, to = %notice.to, "a notification is sent");
        Ok(id)
    }
}
