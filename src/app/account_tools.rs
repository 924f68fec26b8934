//! What looking after accounts by hand needs: their rows and NetEase, without the rest of the service.

use std::sync::Arc;

use super::settings::netease;
use super::stores::IfAway;
use super::{StartError, stores};
use crate::commands::register_account::Registrar;
use crate::commands::verify_accounts::AccountVerifier;
use crate::config::Config;
use crate::infra::clock::System;
use crate::ports::clock::{Clock, Ids};

/// Account rows and NetEase.
pub struct AccountTools {
    /// Compares and repairs.
    pub verifier: AccountVerifier,
    /// Makes tokens.
    pub ids: Arc<dyn Ids>,
}

impl AccountTools {
    /// Connects the accounts' database; makes no call to NetEase yet.
    pub async fn connect(config: &Config, set_tokens: bool) -> Result<Self, StartError> {
        config.validate()?;
        let (clock, ids): (Arc<dyn Clock>, Arc<dyn Ids>) = (Arc::new(System), Arc::new(System));
        let (accounts, ..) = stores::accounts(config, IfAway::Fail).await?;
        let gateway = netease(config, &clock, &ids)?.background();
        let registrar =
            Arc::new(Registrar::new(Arc::clone(&accounts), Arc::clone(&gateway), Arc::clone(&ids)));
        Ok(Self { verifier: AccountVerifier { accounts, gateway, registrar, set_tokens }, ids })
    }
}
