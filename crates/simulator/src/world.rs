//! What NIM knows: its accounts and teams, what they said, who is online, and the notices it took.

use self::accounts::Accounts;
use self::messages::Chat;
use self::notices::Notice;
use self::presence::Presence;
use self::teams::Teams;

pub mod accounts;
pub mod history;
pub mod messages;
pub mod notices;
pub mod presence;
pub mod teams;

/// What NIM knows of the application's users.
pub struct World {
    /// Accounts and friends.
    pub accounts: Accounts,
    /// Messages, receipts, recalls.
    pub chat: Chat,
    /// Notices in the order of arrival.
    pub notices: Vec<Notice>,
    /// Teams.
    pub teams: Teams,
    /// Log-ins and log-outs.
    pub presence: Presence,
}

impl World {
    /// Nobody there yet.
    pub fn new(started_at_ms: i64) -> Self {
        Self {
            accounts: Accounts::default(),
            chat: Chat::new(started_at_ms),
            notices: Vec::new(),
            teams: Teams::default(),
            presence: Presence::default(),
        }
    }
}
