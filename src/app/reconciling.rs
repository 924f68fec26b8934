//! The service's own reconciling with NetEase's history: finds gaps, and fills them.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::background::Background;
use super::settings::{counting_rules, millis};
use super::until;
use super::{StartError, Stores};
use crate::commands::copy_flow::{ActiveUsers, CopyFlow};
use crate::commands::find_gaps::GapFinder;
use crate::commands::reconcile::Reconciler;
use crate::commands::reconcile_gaps::{GapReconciler, ReconcileCounters};
use crate::config::{Config, ReconcileMode};
use crate::infra::clock::System;
use crate::infra::netease::Netease;
use crate::infra::paced_history::PacedHistory;

/// What finds gaps, and what fills them unless that is switched off.
pub(super) struct Reconciling {
    finder: GapFinder,
    reconciler: Reconciler,
    gaps: Option<GapReconciler>,
}

impl Reconciling {
    /// As the configuration says; makes no call yet. Wants a runtime around it.
    pub fn new(
        config: &Config,
        stores: &Stores,
        netease: &Netease,
        registry: &mut Registry,
    ) -> Result<Self, StartError> {
        let rules = counting_rules(config)?;
        let counters = ReconcileCounters::default();
        counters.register(registry);
        let pace = config.netease.reconcile_calls_per_second;
        let reconciler = Reconciler {
            history: Arc::new(PacedHistory::new(netease.history(), pace)),
            log: Arc::clone(&stores.log),
            upkeep: Arc::clone(&stores.upkeep),
            view: Arc::clone(&stores.view),
            clock: Arc::new(System),
            rules,
        };
        let gaps = || GapReconciler {
            gaps: Arc::clone(&stores.gaps),
            reconciler: reconciler.clone(),
            ids: Arc::new(System),
            clock: Arc::new(System),
            after_ms: millis(config.netease.reconcile_after),
            counters,
        };
        Ok(Self {
            finder: GapFinder {
                gaps: Arc::clone(&stores.gaps),
                flow: Arc::default(),
                active: Arc::default(),
                clock: Arc::new(System),
                ids: Arc::new(System),
            },
            gaps: (config.netease.reconcile == ReconcileMode::Auto).then(gaps),
            reconciler,
        })
    }

    /// Where is to be noted what comes and who is active.
    pub fn noted(&self) -> (Arc<CopyFlow>, Arc<ActiveUsers>) {
        (Arc::clone(&self.finder.flow), Arc::clone(&self.finder.active))
    }

    /// The same, for whoever asks by hand.
    pub fn by_hand(&self) -> Reconciler {
        self.reconciler.clone()
    }

    /// Both at work until `stop`.
    pub fn start(self, background: &mut Background, tasks: &TaskTracker, stop: &CancellationToken) {
        background.watch("gaps", tasks.spawn(self.finder.run(stop.clone())));
        if let Some(gaps) = self.gaps {
            background.watch("reconciling", tasks.spawn(until(stop.clone(), gaps.run())));
        }
    }
}
