//! The calls of NetEase's server API over HTTP: the classic one (V9) or the newer one (V10), by one transport.

mod answer;
mod breaker;
mod call;
mod caller;
mod counters;
mod endpoints;
mod history;
mod quota;
mod settings;
mod transport;
mod v10;
mod v9;

use std::sync::Arc;

use prometheus_client::registry::Registry;

use caller::Caller;
use quota::Urgency;
use transport::Transport;
use v9::V9;
use v10::V10;

pub use call::ServerApi;
pub use settings::NeteaseSettings;

use super::http_client::HttpClientError;
use crate::domain::ids::Accid;
use crate::ports::clock::{Clock, Ids};
use crate::ports::gateway::Gateway;
use crate::ports::history::History;

/// NetEase, behind its base URLs. Its faces share connections, breakers and quotas.
pub struct Netease {
    server: ServerApi,
    transport: Arc<Transport>,
}

impl Netease {
    /// Makes no call yet.
    pub fn new(
        settings: NeteaseSettings,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, HttpClientError> {
        let server = settings.api;
        // Nobody has to be registered under it.
        let anybody = Accid::from_nim("otc-im").into_iter().collect::<Vec<_>>();
        let harmless = match server {
            ServerApi::V9 => v9::names(&anybody),
            ServerApi::V10 => v10::names(&anybody),
        };
        Ok(Self { server, transport: Arc::new(Transport::new(settings, harmless, clock, ids)?) })
    }

    /// The face for calls that somebody waits for.
    pub fn for_persons(&self) -> Arc<dyn Gateway> {
        self.face(Urgency::Person)
    }

    /// The face for calls that nobody waits for: it leaves a quarter of each quota to the others, and waits longer.
    pub fn background(&self) -> Arc<dyn Gateway> {
        self.face(Urgency::Background)
    }

    /// NetEase's history, which nobody waits for.
    pub fn history(&self) -> Arc<dyn History> {
        let caller = self.caller(Urgency::Background);
        match self.server {
            ServerApi::V9 => Arc::new(V9(caller)),
            ServerApi::V10 => Arc::new(V10(caller)),
        }
    }

    /// Shows what is counted of the calls under `/metrics`.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.transport.counters().register(registry);
    }

    fn face(&self, urgency: Urgency) -> Arc<dyn Gateway> {
        let caller = self.caller(urgency);
        match self.server {
            ServerApi::V9 => Arc::new(V9(caller)),
            ServerApi::V10 => Arc::new(V10(caller)),
        }
    }

    fn caller(&self, urgency: Urgency) -> Caller {
        Caller { transport: Arc::clone(&self.transport), urgency }
    }
}
