//! What filling the log from NetEase's history by hand needs, without the rest of the service.

use std::sync::Arc;

use super::settings::{counting_rules, netease};
use super::{StartError, Stores};
use crate::commands::reconcile::Reconciler;
use crate::config::Config;
use crate::infra::clock::System;
use crate::ports::accounts::Accounts;
use crate::ports::clock::{Clock, Ids};

/// NetEase's history, log and view, and who has an account.
pub struct ReconcileTools {
    /// Fills the log.
    pub reconciler: Reconciler,
    /// Whom `--all` means.
    pub accounts: Arc<dyn Accounts>,
}

impl ReconcileTools {
    /// Connects the stores; makes no call to NetEase yet.
    pub async fn connect(config: &Config) -> Result<Self, StartError> {
        config.validate()?;
        let (clock, ids): (Arc<dyn Clock>, Arc<dyn Ids>) = (Arc::new(System), Arc::new(System));
        let stores = Stores::connect_once(config).await?;
        let history = netease(config, &clock, &ids)?.history();
        let Stores { accounts, log, upkeep, view, .. } = stores;
        let rules = counting_rules(config)?;
        Ok(Self { reconciler: Reconciler { history, log, upkeep, view, clock, rules }, accounts })
    }
}
