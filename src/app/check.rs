//! What `otc-im check` tries on the stores: not only that they answer, but that they do what this service will ask.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::store_faults::{scheme, unreachable_store, without_password};
use super::{App, StartError, Stores, assembly, settings};
use crate::config::Config;
use crate::infra::clock::System;
use crate::infra::{mongo, sql};
use crate::ports::clock::{Clock, Ids};
use crate::ports::gateway::{Gateway, GatewayError};

/// How long NetEase has for the one call that is made to it.
const NETEASE_PATIENCE: Duration = Duration::from_secs(5);

/// Whether NetEase takes calls of this service, as far as can be told.
#[derive(Debug)]
pub enum NeteaseSays {
    /// It does.
    Welcome,
    /// It did not say, and why. That is no obstacle to a start.
    Nothing(String),
}

impl App {
    /// Puts everything together, does a real step on each store that a user may lack the rights for, and asks NetEase for a
    /// name. Nothing stays.
    pub async fn check(config: &Config) -> Result<NeteaseSays, StartError> {
        config.validate()?;
        let stores = Stores::connect_once(config).await?;
        assembly::assemble(config, stores)?;
        settings::probe_keys(&config.auth).await?;
        let (key, url) = ("accounts.url", &config.accounts.url);
        match scheme(url) {
            "mysql" => sql::try_mysql(url).await.map_err(|e| unusable(key, url, &e))?,
            _ => sql::try_sqlite(url).await.map_err(|e| unusable(key, url, &e))?,
        }
        let (key, url) = ("messages.url", &config.messages.url);
        match scheme(url) {
            "sqlite" => sql::try_sqlite(url).await.map_err(|e| unusable(key, url, &e))?,
            _ => {
                let database = mongo::database(url, 1).await.map_err(|e| unreachable_store(key, url, &e))?;
                let tried = mongo::can_write(&database).await;
                mongo::close(database).await;
                tried.map_err(|e| unusable(key, url, &e))?;
            }
        }
        ask_netease(config).await
    }
}

/// One call that changes nothing. A key, a secret or a clock that is wrong fails all of them alike.
async fn ask_netease(config: &Config) -> Result<NeteaseSays, StartError> {
    let (clock, ids): (Arc<dyn Clock>, Arc<dyn Ids>) = (Arc::new(System), Arc::new(System));
    let netease = settings::netease(config, &clock, &ids)?;
    let somebody = [settings::system_account(config)?.accid().clone()];
    match timeout(NETEASE_PATIENCE, netease.names(&somebody)).await {
        Ok(Ok(_)) => Ok(NeteaseSays::Welcome),
        Ok(Err(error @ GatewayError::NotAccepted { .. })) => Err(StartError::Store(format!(
            "{error}; check netease.app_key, netease.app_secret, the clock of this machine and the list of allowed addresses \
             at NetEase"
        ))),
        Ok(Err(error)) => Ok(NeteaseSays::Nothing(error.to_string())),
        Err(_) => Ok(NeteaseSays::Nothing(format!("no answer in {NETEASE_PATIENCE:?}"))),
    }
}

fn unusable(key: &str, url: &str, error: &dyn std::fmt::Display) -> StartError {
    let place = without_password(url);
    StartError::Store(format!(
        "{key}: {place} answers, but this service cannot work with it: {error}; docs/operations.md has the rights that its \
         user needs"
    ))
}
