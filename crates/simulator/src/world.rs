//! What NIM knows: its accounts and teams, what they said, who is online, and the notices it took.

use std::sync::Arc;

use self::accounts::Accounts;
use self::messages::{Chat, ConvType, Draft, Keeping, Message};
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

    /// Keeps a notice and returns the message that its copy is made of.
    pub fn take_notice(&mut self, mut notice: Notice, now_ms: i64, one_range: bool) -> Message {
        notice.at = self.chat.take_timestamps(now_ms, 1);
        let (conv_type, msg_type) = match notice.msgtype {
            1 => (ConvType::CustomTeam, "CUSTOM_TEAM_MSG"),
            _ => (ConvType::CustomPerson, "CUSTOM_P2P_MSG"),
        };
        let draft = Draft {
            msgid_client: String::new(),
            from: notice.from.clone(),
            to: notice.to.clone(),
            conv_type,
            msg_type: msg_type.to_owned(),
            blocked: false,
            keeping: Keeping::History,
            said: Arc::default(),
        };
        let message = self.chat.write(draft, notice.at, one_range);
        self.notices.push(notice);
        message
    }
}
