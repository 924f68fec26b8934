//! What `otc-im check` tries on the stores: not only that they answer, but that they do what this service will ask.

use super::store_faults::{scheme, unreachable_store, without_password};
use super::{App, StartError, Stores, assembly, settings};
use crate::config::Config;
use crate::infra::{mongo, sql};

impl App {
    /// Puts everything together, and does a real step on each store that a user may lack the rights for. Nothing stays.
    pub async fn check(config: &Config) -> Result<(), StartError> {
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
            "sqlite" => sql::try_sqlite(url).await.map_err(|e| unusable(key, url, &e)),
            _ => {
                let database = mongo::database(url, 1).await.map_err(|e| unreachable_store(key, url, &e))?;
                let tried = mongo::can_write(&database).await;
                mongo::close(database).await;
                tried.map_err(|e| unusable(key, url, &e))
            }
        }
    }
}

fn unusable(key: &str, url: &str, error: &dyn std::fmt::Display) -> StartError {
    let place = without_password(url);
    StartError::Store(format!(
        "{key}: {place} answers, but this service cannot work with it: {error}; docs/operations.md has the rights that its \
         user needs"
    ))
}
