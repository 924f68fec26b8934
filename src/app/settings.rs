//! Turns the configuration into the settings of NetEase, deliveries, the authenticator, reserved accounts and the rules of
//! counting.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::StartError;
use super::trust::authorities;
use crate::commands::deliver::DeliveryBounds;
use crate::config::{AuthMode, Config, ConfigError, NeteaseApi};
use crate::domain::counting::CountingRules;
use crate::domain::ids::{Accid, UserId};
use crate::domain::outbox::Policy;
use crate::infra::clock::System;
use crate::infra::http_client::Egress;
use crate::infra::jwt::{JwtAuthenticator, JwtSettings};
use crate::infra::netease::{Netease, NeteaseSettings, ServerApi};
use crate::infra::no_authentication::NoAuthentication;
use crate::ports::authenticator::Authenticator;
use crate::ports::clock::{Clock, Ids};

pub(super) fn netease(
    config: &Config,
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn Ids>,
) -> Result<Netease, StartError> {
    let netease = &config.netease;
    let settings = NeteaseSettings {
        api: match netease.api {
            NeteaseApi::V9 => ServerApi::V9,
            NeteaseApi::V10 => ServerApi::V10,
        },
        base_url: netease.base_url.clone(),
        backup_base_url: netease.backup_base_url.clone(),
        app_key: netease.app_key.clone(),
        app_secret: netease.app_secret.clone(),
        connect_timeout: netease.connect_timeout,
        timeout: netease.timeout,
        attempts: netease.attempts,
        calls_per_second: netease.calls_per_second,
        batch_calls_per_minute: netease.batch_calls_per_minute,
        instances: netease.instances,
        patience: netease.quota_wait,
        egress: egress(config, netease.proxy.as_ref())?,
    };
    let netease = Netease::new(settings, Arc::clone(clock), Arc::clone(ids));
    Ok(netease.map_err(|e| ConfigError(format!("the client for NetEase cannot be made: {e}")))?)
}

fn egress(config: &Config, proxy: Option<&String>) -> Result<Egress, StartError> {
    Ok(Egress { authorities: authorities(config)?, proxy: proxy.map(|url| url.as_str().into()) })
}

pub(super) fn bounds(config: &Config) -> DeliveryBounds {
    let settings = &config.notifications;
    let policy = Policy { attempts: settings.attempts, give_up_after_ms: millis(settings.give_up_after) };
    DeliveryBounds { policy, lease_ms: millis(settings.lease), at_once: settings.at_once }
}

pub(super) fn authenticator(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Authenticator>, StartError> {
    match config.auth.mode {
        AuthMode::None => Ok(Arc::new(NoAuthentication)),
        AuthMode::Jwt => Ok(Arc::new(jwt(config, clock)?)),
    }
}

fn jwt(config: &Config, clock: &Arc<dyn Clock>) -> Result<JwtAuthenticator, StartError> {
    let auth = &config.auth;
    let settings = JwtSettings {
        hs256_secret: auth.hs256_secret.clone(),
        public_key_file: auth.public_key_file.clone(),
        jwks_url: auth.jwks_url.clone(),
        issuer: auth.issuer.clone(),
        audience: auth.audience.clone(),
        egress: egress(config, auth.proxy.as_ref())?,
        ..JwtSettings::default()
    };
    Ok(JwtAuthenticator::new(settings, Arc::clone(clock)).map_err(|e| ConfigError(e.to_string()))?)
}

/// Whether the keys that verify tokens can be had.
pub(super) async fn probe_keys(config: &Config) -> Result<(), StartError> {
    if config.auth.mode == AuthMode::None {
        return Ok(());
    }
    let clock: Arc<dyn Clock> = Arc::new(System);
    let keys = if config.auth.proxy.is_some() { "auth.jwks_url and auth.proxy" } else { "auth.jwks_url" };
    jwt(config, &clock)?.probe().await.map_err(|why| {
        StartError::Store(format!("auth.jwks_url gives no keys: {why}; see to the issuer or correct {keys}"))
    })
}

pub(super) fn system_account(config: &Config) -> Result<UserId, StartError> {
    let system = UserId::parse(&config.notifications.system_account, config.accounts.case);
    Ok(system.map_err(|rule| ConfigError(format!("notifications.system_account {rule}")))?)
}

/// The site's own accounts, which nobody may bind or chat with.
pub(super) fn reserved(config: &Config) -> Result<HashSet<Accid>, StartError> {
    let mut reserved = accids(config, "accounts.reserved", &config.accounts.reserved)?;
    reserved.insert(system_account(config)?.accid().clone());
    Ok(reserved)
}

/// What the site counts.
pub(super) fn counting_rules(config: &Config) -> Result<CountingRules, StartError> {
    let unread = &config.unread;
    Ok(CountingRules {
        ignored_types: unread.ignore_types.iter().cloned().collect(),
        ignored_senders: accids(config, "unread.ignore_senders", &unread.ignore_senders)?,
        reply_reads: unread.reply_reads,
    })
}

/// The accids of the users that a key names.
fn accids(config: &Config, key: &str, users: &[String]) -> Result<HashSet<Accid>, StartError> {
    let accid = |user: &String| {
        let accid = config.accounts.case.accid(user);
        accid.map_err(|rule| ConfigError(format!("{key}: `{user}` {rule}")).into())
    };
    users.iter().map(accid).collect()
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
