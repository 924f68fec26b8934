//! What all parts of the simulator share, and under which lock.

use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::delivery::Delivery;
use crate::gate::Gate;
use crate::switchboard::Switchboard;
use crate::world::World;

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
