//! What the types of the configuration do not say.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::{Auth, AuthMode, Config, ConfigError};

/// No duration that can be set is longer.
const LONGEST: Duration = Duration::from_hours(24);
/// Five heartbeats fall within it; a busy machine could not keep up with more of them.
const SHORTEST_STALENESS: Duration = Duration::from_millis(50);
/// Nobody wants an order page to lag more.
const LONGEST_STALENESS: Duration = Duration::from_mins(1);
/// More readers than this do not fit into any memory.
const MOST_NEAR: usize = 10_000_000;

impl Config {
    /// Checks what the types do not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let fail = |sentence: &str| Err(ConfigError(sentence.to_owned()));
        let Auth { mode, behind_gateway, .. } = self.auth;
        if mode == AuthMode::None && !self.http.listen.ip().is_loopback() && !behind_gateway {
            return fail(
                "auth.mode is \"none\" on an address that others can reach: set auth.mode = \"jwt\", listen on \
                 127.0.0.1, or say auth.behind_gateway = true if something in front checks callers",
            );
        }
        self.validate_netease()?;
        let ranges = [
            ("limits.poll_users", self.limits.poll_users, 500),
            ("messages.group", self.messages.group, 1_000),
            // MongoDB takes no document above 16 MiB, nor whatever was to be written together with one.
            ("limits.webhook_body", self.limits.webhook_body, 15 * 1024 * 1024),
        ];
        if let Some((key, _, most)) = ranges.iter().find(|(_, count, most)| !(1..=*most).contains(count)) {
            return fail(&format!("{key} must be from 1 to {most}"));
        }
        if self.unread.receipt_allowance > LONGEST {
            return fail("unread.receipt_allowance must be at most a day");
        }
        if self.notifications.lease < self.longest_call() {
            return fail(
                "notifications.lease must be longer than one call to NetEase may take, so that nobody takes over what is \
                 still being sent: netease.attempts times netease.connect_timeout and netease.timeout, and 15s to wait \
                 for its turn",
            );
        }
        self.near_cache()?;
        if self.limits.shutdown > Duration::from_secs(10) {
            return fail("limits.shutdown must be at most 10s");
        }
        if let Some((key, _)) = self.durations().iter().find(|(_, d)| d.is_zero() || *d > LONGEST) {
            return fail(&format!("{key} must be above zero and at most a day"));
        }
        if self.messages.retention_days == Some(0) {
            return fail(
                "messages.retention_days must be at least 1; leave it out to keep messages for ever",
            );
        }
        match self.counts().iter().find(|(_, count)| *count == 0) {
            Some((key, _)) => fail(&format!("{key} must be at least 1")),
            None => Ok(()),
        }
    }

    fn near_cache(&self) -> Result<(), ConfigError> {
        let fault = match &self.unread {
            unread if !(SHORTEST_STALENESS..=LONGEST_STALENESS).contains(&unread.near_cache_staleness) => {
                "unread.near_cache_staleness must be from 50ms to 1m"
            }
            unread if unread.near_cache_readers > MOST_NEAR => {
                "unread.near_cache_readers must be at most 10000000; 0 turns the near cache off"
            }
            _ => return Ok(()),
        };
        Err(ConfigError(fault.to_owned()))
    }

    /// What must be at least 1.
    fn counts(&self) -> [(&'static str, u64); 16] {
        [
            ("accounts.max_connections", u64::from(self.accounts.max_connections)),
            ("messages.max_connections", u64::from(self.messages.max_connections)),
            ("unread.max_readers", self.unread.max_readers),
            ("unread.loads_at_once", self.unread.loads_at_once as u64),
            ("netease.attempts", self.netease.attempts as u64),
            ("netease.calls_per_second", u64::from(self.netease.calls_per_second)),
            ("netease.batch_calls_per_minute", u64::from(self.netease.batch_calls_per_minute)),
            ("netease.instances", u64::from(self.netease.instances)),
            ("limits.webhooks_at_once", self.limits.webhooks_at_once as u64),
            ("notifications.at_once", self.notifications.at_once as u64),
            ("notifications.attempts", u64::from(self.notifications.attempts)),
            ("notifications.max_queued", self.notifications.max_queued),
            ("notifications.keep_days", u64::from(self.notifications.keep_days)),
            ("limits.streams", self.limits.streams as u64),
            ("limits.streams_per_reader", self.limits.streams_per_reader as u64),
            ("limits.body", self.limits.body as u64),
        ]
    }

    /// What must be above zero and at most a day.
    fn durations(&self) -> [(&'static str, Duration); 14] {
        [
            ("netease.max_age", self.netease.max_age.unwrap_or(LONGEST)),
            ("limits.shutdown", self.limits.shutdown),
            ("accounts.cache_ttl", self.accounts.cache_ttl),
            ("unread.recheck_after", self.unread.recheck_after),
            ("netease.connect_timeout", self.netease.connect_timeout),
            ("netease.timeout", self.netease.timeout),
            ("notifications.patience", self.notifications.patience),
            ("notifications.give_up_after", self.notifications.give_up_after),
            ("notifications.lease", self.notifications.lease),
            ("netease.quota_wait", self.netease.quota_wait),
            ("limits.body_timeout", self.limits.body_timeout),
            ("limits.webhook_timeout", self.limits.webhook_timeout),
            ("limits.poll_timeout", self.limits.poll_timeout),
            ("limits.netease_timeout", self.limits.netease_timeout),
        ]
    }

    /// Where NetEase is, and who we are there.
    fn validate_netease(&self) -> Result<(), ConfigError> {
        let fail = |sentence: &str| Err(ConfigError(sentence.to_owned()));
        if !is_http(&self.netease.base_url) {
            return fail(
                "netease.base_url is missing or no URL: set it, such as https://api.netease.im/nimserver",
            );
        }
        if self.netease.backup_base_url.as_deref().is_some_and(|url| !is_http(url)) {
            return fail(
                "netease.backup_base_url is no URL: leave it out, or set it, such as \
                 https://api-sg.netease.im/nimserver",
            );
        }
        if self.netease.app_key.is_empty() {
            return fail(
                "netease.app_key is missing: set it, or OTC_IM__NETEASE__APP_KEY, to the key of your app",
            );
        }
        if self.netease.app_secret.expose_secret().is_empty() {
            return fail(
                "netease.app_secret is missing: set OTC_IM__NETEASE__APP_SECRET to the secret of your app",
            );
        }
        Ok(())
    }

    /// How long the call of a delivery may take, from its turn in the queue of the quota to the last attempt.
    fn longest_call(&self) -> Duration {
        let attempts = u32::try_from(self.netease.attempts).unwrap_or(u32::MAX);
        let attempt = self.netease.connect_timeout.saturating_add(self.netease.timeout);
        Duration::from_secs(15).saturating_add(attempt.saturating_mul(attempts))
    }
}

fn is_http(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}
