//! What keys must be in view of each other.

use std::time::Duration;

use super::addresses::is_of_v10_alone;
use super::section::Section;
use super::{Auth, AuthMode, Config, ConfigError, NeteaseApi};

impl Config {
    /// Checks each key's bounds, and what keys must be in view of each other.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let fail = |sentence: &str| Err(ConfigError(sentence.to_owned()));
        self.check_bounds()?;
        let Auth { mode, behind_gateway, .. } = self.auth;
        if mode == AuthMode::None && !self.http.listen.ip().is_loopback() && !behind_gateway {
            return fail(
                "auth.mode is \"none\" on an address that others can reach: set auth.mode = \"jwt\", listen on \
                 127.0.0.1, or say auth.behind_gateway = true if something in front checks callers",
            );
        }
        let netease = &self.netease;
        let backup = netease.backup_base_url.as_ref().map(|url| ("backup_base_url", url));
        for (key, url) in [("base_url", &netease.base_url)].into_iter().chain(backup) {
            if netease.api == NeteaseApi::V9 && is_of_v10_alone(url) {
                return fail(&format!(
                    "netease.{key} names a host that serves NetEase's newer server API alone: set netease.api = \"v10\", \
                     or the address of the classic one, such as https://api.yunxinapi.com/nimserver"
                ));
            }
        }
        if self.notifications.lease < self.longest_call() {
            return fail(
                "notifications.lease must be longer than one call to NetEase may take, so that nobody takes over what is \
                 still being sent: netease.attempts times netease.connect_timeout and netease.timeout, and 15s to wait \
                 for its turn",
            );
        }
        Ok(())
    }

    /// Checks what a command needs that opens the stores and calls nobody.
    pub fn validate_stores(&self) -> Result<(), ConfigError> {
        self.accounts.check("accounts")?;
        self.messages.check("messages")?;
        self.unread.check("unread")?;
        self.tls.check("tls")?;
        self.log.check("log")
    }

    /// How long the call of a delivery may take, from its turn in the queue of the quota to the last attempt.
    fn longest_call(&self) -> Duration {
        let attempts = u32::try_from(self.netease.attempts).unwrap_or(u32::MAX);
        let attempt = self.netease.connect_timeout.saturating_add(self.netease.timeout);
        Duration::from_secs(15).saturating_add(attempt.saturating_mul(attempts))
    }
}
