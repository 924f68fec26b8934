//! A history that is asked slowly.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::domain::ids::{Accid, Millis};
use crate::ports::gateway::GatewayError;
use crate::ports::history::{History, Page, PageStart};

/// Begins so many questions a second at most, each of one request or, where there are pages, several: the rest of NetEase's quota is for others.
pub struct PacedHistory {
    inner: Arc<dyn History>,
    turns: Mutex<Interval>,
}

impl PacedHistory {
    /// Asks `inner`, at most so often. Wants a runtime around it.
    pub fn new(inner: Arc<dyn History>, calls_per_second: u32) -> Self {
        let mut turns = interval(Duration::from_secs(1) / calls_per_second.max(1));
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { inner, turns: Mutex::new(turns) }
    }

    async fn turn(&self) {
        self.turns.lock().await.tick().await;
    }
}

#[async_trait]
impl History for PacedHistory {
    async fn peers(&self, of: &Accid, since: Millis) -> Result<Vec<Accid>, GatewayError> {
        self.turn().await;
        self.inner.peers(of, since).await
    }

    async fn page(&self, of: &Accid, peer: &Accid, from: &PageStart) -> Result<Page, GatewayError> {
        self.turn().await;
        self.inner.page(of, peer, from).await
    }

    fn tells_last_read(&self) -> bool {
        self.inner.tells_last_read()
    }

    async fn last_read(&self, reader: &Accid, peer: &Accid) -> Result<Option<Millis>, GatewayError> {
        self.turn().await;
        self.inner.last_read(reader, peer).await
    }
}
