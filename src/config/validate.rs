//! What the types of the configuration do not say.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::{Auth, AuthMode, Config, ConfigError};

/// No duration that can be set is longer.
const LONGEST: Duration = Duration::from_hours(24);

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
        if !self.netease.base_url.starts_with("http://") && !self.netease.base_url.starts_with("https://") {
            return fail(
                "netease.base_url is missing or no URL: set it, such as https://api.netease.im/nimserver",
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
        if !(1..=500).contains(&self.limits.poll_users) {
            return fail("limits.poll_users must be from 1 to 500");
        }
        if self.unread.receipt_allowance > LONGEST {
            return fail("unread.receipt_allowance must be at most a day");
        }
        if self.limits.shutdown > Duration::from_secs(10) {
            return fail("limits.shutdown must be at most 10s");
        }
        let counts = [
            ("accounts.max_connections", u64::from(self.accounts.max_connections)),
            ("messages.max_connections", u64::from(self.messages.max_connections)),
            ("unread.max_readers", self.unread.max_readers),
            ("unread.loads_at_once", self.unread.loads_at_once as u64),
            ("netease.attempts", self.netease.attempts as u64),
            ("limits.webhooks_at_once", self.limits.webhooks_at_once as u64),
            ("limits.webhook_body", self.limits.webhook_body as u64),
            ("limits.body", self.limits.body as u64),
        ];
        let durations = [
            ("netease.max_age", self.netease.max_age.unwrap_or(LONGEST)),
            ("limits.shutdown", self.limits.shutdown),
            ("accounts.cache_ttl", self.accounts.cache_ttl),
            ("unread.recheck_after", self.unread.recheck_after),
            ("netease.connect_timeout", self.netease.connect_timeout),
            ("netease.timeout", self.netease.timeout),
            ("limits.body_timeout", self.limits.body_timeout),
            ("limits.webhook_timeout", self.limits.webhook_timeout),
            ("limits.poll_timeout", self.limits.poll_timeout),
            ("limits.netease_timeout", self.limits.netease_timeout),
        ];
        if let Some((key, _)) = durations.iter().find(|(_, d)| d.is_zero() || *d > LONGEST) {
            return fail(&format!("{key} must be above zero and at most a day"));
        }
        if self.messages.retention_days == Some(0) {
            return fail(
                "messages.retention_days must be at least 1; leave it out to keep messages for ever",
            );
        }
        match counts.iter().find(|(_, count)| *count == 0) {
            Some((key, _)) => fail(&format!("{key} must be at least 1")),
            None => Ok(()),
        }
    }
}
