//! What NIM knows: its accounts, what they said, and the notices it took.

use self::accounts::Accounts;
use self::messages::Chat;
use self::notices::Notice;

pub mod accounts;
pub mod messages;
pub mod notices;

/// What NIM knows of the application's users.
pub struct World {
    /// Accounts and friends.
    pub accounts: Accounts,
    /// Messages, receipts, recalls.
    pub chat: Chat,
    /// Notices in the order of arrival.
    pub notices: Vec<Notice>,
}

impl World {
    /// Nobody there yet.
    pub fn new(started_at_ms: i64) -> Self {
        Self { accounts: Accounts::default(), chat: Chat::new(started_at_ms), notices: Vec::new() }
    }
}
