//! What all parts of the simulator share, and under which lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use super::accounts::Accounts;
use super::clock::Clock;
use super::delivery::Delivery;
use super::messages::Chat;
use super::notice_calls::Notice;
use super::quota::{CallLog, Quota, RequestIds};
use super::switchboard::Switchboard;

/// One running simulator's insides. Locks are held for the length of a few statements, never across an await.
pub struct Shared {
    /// The one application the simulator serves.
    pub app_key: String,
    /// Signs copies and judges calls.
    pub app_secret: String,
    /// Time.
    pub clock: Arc<Clock>,
    /// Faults and dice.
    pub switchboard: Arc<Switchboard>,
    /// Accounts, messages, notices.
    pub world: Mutex<World>,
    /// Quotas, `RequestIds`, the log of calls.
    pub gate: Mutex<Gate>,
    /// The way to the webhook.
    pub delivery: Delivery,
    /// Cancelled when the simulator stops.
    pub stopping: CancellationToken,
}

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

/// What stands between a caller and the API.
#[derive(Default)]
pub struct Gate {
    /// By API name.
    pub quotas: BTreeMap<&'static str, Quota>,
    /// `RequestIds` of late.
    pub request_ids: RequestIds,
    /// Calls of late.
    pub log: CallLog,
}
