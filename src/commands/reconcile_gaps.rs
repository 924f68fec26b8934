//! Reconciles the gaps that were found, one after another, for the users who were active.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::find_gaps::day_of;
use super::reconcile::{Mode, PairsRead, ReconcileError, Reconciled, Reconciler, Window};
use crate::domain::ids::{Accid, Millis};
use crate::log_gate::LogGate;
use crate::ports::clock::{Clock, Ids};
use crate::ports::gaps::{ClaimedGap, GapCause, Gaps};

/// How often it looks for a gap, and how long it rests after a failure.
const EVERY: Duration = Duration::from_secs(5);
/// How long a gap is one instance's without a word of it.
const LEASE_MS: i64 = 600_000;
/// Users that are looked up at once.
const PAGE: u32 = 100;
/// Clocks differ, and a copy is sent some time after its message: a gap is read with so much more on either side.
const MARGIN_MS: i64 = 120_000;
/// Whoever was active on one of so many days before a gap is read.
const DAYS: i64 = 3;

/// What came of reconciling.
#[derive(Debug, Clone, Default)]
pub struct ReconcileCounters {
    gaps: Family<CauseLabels, Counter>,
    messages: Counter,
    users: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabels {
    cause: &'static str,
}

impl ReconcileCounters {
    /// Shows them under `/metrics`, each cause from the start.
    pub fn register(&self, registry: &mut Registry) {
        for cause in GapCause::ALL {
            drop(self.gaps.get_or_create(&CauseLabels { cause: cause.as_str() }));
        }
        let Self { gaps, messages, users } = self.clone();
        registry.register("gaps_reconciled", "Gaps in the flow of copies that were reconciled", gaps);
        registry.register(
            "reconciled_messages",
            "Messages that NetEase's history had and the log lacked",
            messages,
        );
        registry.register("reconciled_users", "Users whose conversations were read for a gap", users);
    }
}

/// What reconciling by itself needs.
pub struct GapReconciler {
    /// The gaps, and who was active.
    pub gaps: Arc<dyn Gaps>,
    /// Fills the log; its history keeps to a few calls a second.
    pub reconciler: Reconciler,
    /// Says who holds a gap.
    pub ids: Arc<dyn Ids>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// How long after its end a gap is reconciled, in milliseconds: until then NetEase sends many copies again.
    pub after_ms: i64,
    /// What came of it.
    pub counters: ReconcileCounters,
}

impl GapReconciler {
    /// Looks for gaps, for ever.
    pub async fn run(self) {
        static FAILED: LogGate = LogGate::new();
        loop {
            match self.next().await {
                Ok(true) => {}
                Ok(false) => tokio::time::sleep(EVERY).await,
                Err(error) => {
                    if let Some(count) = FAILED.pass() {
                        tracing::warn!(count, %error, "a gap could not be reconciled; trying again");
                    }
                    tokio::time::sleep(EVERY).await;
                }
            }
        }
    }

    /// Reconciles the oldest gap that is over; answers whether there was one. After a failure it goes on where it was
    /// once its lease has ended.
    pub async fn next(&self) -> Result<bool, ReconcileError> {
        let now = self.clock.now();
        let (over, lease) = (now.plus(-self.after_ms), now.plus(LEASE_MS));
        let Some(mut gap) = self.gaps.claim(&self.ids.fresh(), over, now, lease).await? else {
            return Ok(false);
        };
        let Window { from, to } = Window { from: gap.gap.from, to: gap.gap.to };
        let cause = gap.gap.cause.as_str();
        let mut found = Reconciled::default();
        let (mut users, mut shown) = (0_usize, 0_usize);
        let mut read = PairsRead::default();
        let since = day_of(from) - DAYS;
        loop {
            let page = self.gaps.active(since, gap.after.as_ref(), PAGE).await?;
            if page.is_empty() {
                break;
            }
            users += page.len();
            for user in page {
                let of_user = self.user(&gap, &user, &mut read).await?;
                shown += usize::from(of_user.refused == 0 || of_user.pairs > 0);
                found = found.and(of_user);
                gap.after = Some(user);
                if !self.gaps.progress(&gap, self.clock.now().plus(LEASE_MS)).await? {
                    return Ok(true);
                }
            }
        }
        if users > 0 && shown == 0 {
            // That is no history without messages: it begins again once the lease has ended.
            gap.after = None;
            self.gaps.progress(&gap, self.clock.now().plus(LEASE_MS)).await?;
            return Err(ReconcileError::AllRefused);
        }
        self.gaps.close(&gap).await?;
        self.counters.gaps.get_or_create(&CauseLabels { cause }).inc();
        let Reconciled { seen, added, conflicting, refused, not_in_history, .. } = found;
        let (from_ms, to_ms) = (from.0, to.0);
        tracing::info!(
            cause,
            from_ms,
            to_ms,
            users,
            seen,
            added,
            conflicting,
            refused,
            not_in_history,
            "reconciled a gap in the flow of copies with NetEase's history"
        );
        Ok(true)
    }

    async fn user(
        &self,
        gap: &ClaimedGap,
        user: &Accid,
        read: &mut PairsRead,
    ) -> Result<Reconciled, ReconcileError> {
        let to = Millis(gap.gap.to.plus(MARGIN_MS).0.min(self.clock.now().0));
        let window = Window { from: gap.gap.from.plus(-MARGIN_MS), to };
        let found = self.reconciler.user(user, window, Mode::Store, read).await?;
        self.counters.users.inc();
        self.counters.messages.inc_by(found.added as u64);
        Ok(found)
    }
}
