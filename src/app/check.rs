//! What `otc-im check` tries: not only that each dependency answers, but that it does what this service will ask of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::store_faults::{scheme, unreachable_store, without_password};
use super::stores::{AccountStore, IfAway, Log, View, accounts, message_log, unread_view};
use super::trust::{accounts_url, authorities, messages_url, view_address};
use super::{App, StartError, Stores, assembly, settings};
use crate::config::Config;
use crate::infra::clock::System;
use crate::infra::redis::{Connection, WhenFull};
use crate::infra::{mongo, sql};
use crate::ports::StoreError;
use crate::ports::clock::{Clock, Ids};
use crate::ports::gateway::GatewayError;

/// How long NetEase has for the one call that is made to it.
const NETEASE_PATIENCE: Duration = Duration::from_secs(5);

/// What came of one step.
#[derive(Debug)]
pub enum Step {
    /// All is well: what was done, in a sentence that begins with the key.
    Fine(String),
    /// The service starts all the same, but somebody may want to know.
    Note(String),
    /// The service would not start, or would not work.
    Failed(StartError),
}

impl Step {
    fn of(outcome: Result<String, StartError>) -> Self {
        outcome.map_or_else(Self::Failed, Self::Fine)
    }
}

impl App {
    /// One real step on each dependency, or several; nothing stays of what they do. With `offline` what is not the
    /// site's own is left alone: NetEase, and the issuer's key set.
    ///
    /// An error is a configuration with which there is nothing to try.
    pub async fn check(config: &Config, offline: bool) -> Result<Vec<Step>, StartError> {
        config.validate()?;
        authorities(config)?;
        let clock: Arc<dyn Clock> = Arc::new(System);
        settings::authenticator(config, &clock)?;
        settings::reserved(config)?;
        let mut steps = vec![Step::Fine("configuration: it is complete".to_owned())];
        let accounts = check_accounts(config, &mut steps).await;
        let log = check_messages(config, &mut steps).await;
        let view = check_unread(config, &mut steps).await;
        if let (Some(accounts), Some(log), Some(view)) = (accounts, log, view) {
            assembly::assemble(config, Stores::of(accounts, log, view))?;
        }
        if offline {
            steps.push(Step::Note("netease, auth: nobody outside is asked, because of --offline".to_owned()));
            return Ok(steps);
        }
        if config.auth.jwks_url.is_some() {
            let keys = settings::probe_keys(config).await;
            steps.push(Step::of(
                keys.map(|()| "auth.jwks_url: the issuer's key set has usable keys".to_owned()),
            ));
        }
        steps.push(ask_netease(config).await?);
        Ok(steps)
    }
}

/// Adds a failure, and answers what there is without one.
fn kept<T>(steps: &mut Vec<Step>, outcome: Result<T, StartError>) -> Option<T> {
    outcome.map_err(|failure| steps.push(Step::Failed(failure))).ok()
}

fn answers(key: &str, url: &str) -> Step {
    Step::Fine(format!("{key}: {} answers, and its schema is up to date", without_password(url)))
}

async fn check_accounts(config: &Config, steps: &mut Vec<Step>) -> Option<AccountStore> {
    let (key, url) = ("accounts.url", &kept(steps, accounts_url(config))?);
    let store = kept(steps, accounts(config, IfAway::Fail).await)?;
    steps.push(answers(key, url));
    let tried = match scheme(url) {
        "mysql" => sql::try_mysql(url).await,
        _ => sql::try_sqlite(url).await,
    };
    steps.push(Step::of(written(key, url, "rows are", tried)));
    if scheme(url) == "mysql" && sql::writes_to_replicas(url).await.is_ok_and(|writes| writes) {
        steps.push(Step::Note(format!(
            "{key}: its user may write to a read-only server, and so to the old primary after a switch-over: take SUPER and \
             READ_ONLY ADMIN from it (docs/operations.md has the rights that it needs)"
        )));
    }
    Some(store)
}

async fn check_messages(config: &Config, steps: &mut Vec<Step>) -> Option<Log> {
    let (key, url) = ("messages.url", &kept(steps, messages_url(config))?);
    let log = kept(steps, message_log(config).await)?;
    steps.push(answers(key, url));
    match scheme(url) {
        "sqlite" => {
            let tried = sql::try_sqlite(url).await;
            steps.push(Step::of(written(key, url, "rows are", tried)));
        }
        _ => {
            let database = mongo::database(url, 1).await.map_err(|e| unreachable_store(key, url, &e));
            let database = kept(steps, database)?;
            let tried = mongo::can_write(&database).await;
            steps.push(Step::of(written(key, url, "documents are", tried)));
            let looked = look_around(key, &database, steps).await;
            mongo::close(database).await;
            kept(steps, looked.map_err(|e| unreachable_store(key, url, &e)))?;
        }
    }
    Some(log)
}

/// What is no obstacle now, and may be one later.
async fn look_around(
    key: &str,
    database: &mongodb::Database,
    steps: &mut Vec<Step>,
) -> mongodb::error::Result<()> {
    for index in mongo::foreign_unique_indexes(database).await? {
        steps.push(Step::Note(format!(
            "{key}: the unique index {index} is not one of this service's, and what it refuses is lost to the counts: \
             drop it, or make it one that is not unique"
        )));
    }
    if !mongo::is_replicated(database).await? {
        steps.push(Step::Note(format!(
            "{key}: the server is no member of a replica set, so a message is as safe as this one server's disk; make it \
             one, even if it is of one member (rs.initiate())"
        )));
    }
    Ok(())
}

async fn check_unread(config: &Config, steps: &mut Vec<Step>) -> Option<View> {
    let (key, url) = ("unread.url", &config.unread.url);
    let view = kept(steps, unread_view(config, 0).await)?;
    if scheme(url) == "memory" {
        steps.push(Step::Fine(format!(
            "{key}: the view is in the memory of one process, so run one instance only"
        )));
        return Some(view);
    }
    let done = view.port.ping().await.map_err(|error| {
        let said = error.cause().unwrap_or_else(|| error.to_string());
        let hint = match error {
            StoreError::Refused { .. } => "; docs/operations.md has the rights that its user needs",
            _ => "",
        };
        unusable(key, url, &format_args!("{said}{hint}"))
    });
    let place = without_password(url);
    let fine = format!("{key}: {place} carries out every script and command of polls, copies and loads");
    steps.push(Step::of(done.map(|()| fine)));
    if let Ok(connection) = Connection::open(kept(steps, view_address(config))?).await {
        steps.push(when_full(key, connection.when_full().await));
    }
    Some(view)
}

fn when_full(key: &str, what: WhenFull) -> Step {
    match what {
        WhenFull::Evicts(policy) => Step::Fine(format!(
            "{key}: once it is full it evicts ({policy}): readers are loaded again then, and counts stay right"
        )),
        WhenFull::Unbounded => Step::Fine(format!("{key}: it has no bound of memory (maxmemory 0)")),
        WhenFull::Refuses(policy) => Step::Note(format!(
            "{key}: once it is full it refuses writes ({policy}), and message copies with them: set maxmemory-policy \
             allkeys-lru, or see that it is never full"
        )),
        WhenFull::NotTold => Step::Note(format!(
            "{key}: it does not say what it does once it is full; maxmemory-policy allkeys-lru is right"
        )),
    }
}

/// One call that changes nothing. A key, a secret or a clock that is wrong fails all of them alike.
async fn ask_netease(config: &Config) -> Result<Step, StartError> {
    let (clock, ids): (Arc<dyn Clock>, Arc<dyn Ids>) = (Arc::new(System), Arc::new(System));
    let netease = settings::netease(config, &clock, &ids)?.for_persons();
    let somebody = [settings::system_account(config)?.accid().clone()];
    let nothing =
        |why| Step::Note(format!("netease.base_url: NetEase could not be asked, and may refuse us: {why}"));
    Ok(match timeout(NETEASE_PATIENCE, netease.names(&somebody)).await {
        Ok(Ok(_)) => Step::Fine("netease.base_url: NetEase takes our calls".to_owned()),
        Ok(Err(error @ GatewayError::NotAccepted { .. })) => Step::Failed(StartError::Store(format!(
            "{error}; check netease.app_key, netease.app_secret, the clock of this machine and the list of allowed addresses \
             at NetEase"
        ))),
        Ok(Err(error)) => nothing(error.to_string()),
        Err(_) => nothing(format!("no answer in {NETEASE_PATIENCE:?}")),
    })
}

fn written<E: std::fmt::Display>(
    key: &str,
    url: &str,
    what: &str,
    tried: Result<(), E>,
) -> Result<String, StartError> {
    match tried {
        Ok(()) => Ok(format!("{key}: {what} written, changed and deleted there, and nothing is left of it")),
        Err(error) => Err(unusable(key, url, &error)),
    }
}

fn unusable(key: &str, url: &str, error: &dyn std::fmt::Display) -> StartError {
    let place = without_password(url);
    StartError::Store(format!("{key}: {place} answers, but this service cannot work with it: {error}"))
}
