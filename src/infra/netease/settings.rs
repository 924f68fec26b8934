//! Where NetEase is, who we are there, and what it allows us.

use std::time::Duration;

use secrecy::SecretString;

use super::call::{Api, ServerApi};
use super::quota::Limit;
use crate::infra::http_client::Egress;

/// How long a call that nobody waits for may wait for a slot of the quota.
const BACKGROUND_PATIENCE: Duration = Duration::from_secs(10);

/// How long a new process keeps background calls back, or one window if that is less.
const START_UP: Duration = Duration::from_secs(1);

/// Everything that [`super::Netease`] has to know.
pub struct NeteaseSettings {
    /// Which of its server APIs is spoken.
    pub api: ServerApi,
    /// Up to and with `/nimserver`, or a host of V10 alone.
    pub base_url: String,
    /// Another address of the same NetEase, for when the first does not answer.
    pub backup_base_url: Option<String>,
    /// The application.
    pub app_key: String,
    /// Signs calls.
    pub app_secret: SecretString,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Attempts of one call, at least 1.
    pub attempts: usize,
    /// How many calls of one API NetEase takes in any second.
    pub calls_per_second: u32,
    /// How many batches of notices it takes in any minute.
    pub batch_calls_per_minute: u32,
    /// Processes like this one that share these, at least 1: each keeps to its part, of at least one call.
    pub instances: u32,
    /// How long an attempt of a call that somebody waits for may wait for a slot of the quota.
    pub patience: Duration,
    /// The way there.
    pub egress: Egress,
}

impl NeteaseSettings {
    /// This process's part of an API's quota. Windows and pauses are NetEase's (NIM server API, limits of calls).
    pub(super) fn limit(&self, api: Api) -> Limit {
        let (calls, window, pause) = match api {
            Api::SendBatch => (self.batch_calls_per_minute, Duration::from_mins(1), Duration::from_mins(1)),
            _ => (self.calls_per_second, Duration::from_secs(1), Duration::from_secs(10)),
        };
        let calls = (calls / self.instances.max(1)).max(1);
        let calls = usize::try_from(calls).unwrap_or(usize::MAX);
        Limit {
            calls,
            background_calls: match api {
                // The service and a command beside it read history by turns.
                Api::Sessions | Api::History => calls.div_ceil(2),
                _ if api.is_for_persons() => three_quarters(calls),
                _ => calls,
            },
            window,
            pause,
            start_up: window.min(START_UP),
            person_patience: self.patience,
            background_patience: BACKGROUND_PATIENCE,
        }
    }
}

/// Rounded up; but one is left, if there is more than one.
fn three_quarters(calls: usize) -> usize {
    calls.saturating_mul(3).div_ceil(4).min(calls.saturating_sub(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn background_calls_leave_a_quarter_to_persons_but_never_nothing_to_themselves() {
        let shares: Vec<_> = [1, 2, 3, 4, 5, 8, 100, 120].map(three_quarters).into();
        assert_eq!(shares, [1, 1, 2, 3, 4, 6, 75, 90]);
    }

    fn calls(api: Api, instances: u32) -> usize {
        let settings = NeteaseSettings {
            api: ServerApi::V9,
            base_url: String::new(),
            backup_base_url: None,
            app_key: String::new(),
            app_secret: "".into(),
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            attempts: 1,
            calls_per_second: 100,
            batch_calls_per_minute: 120,
            instances,
            patience: Duration::from_secs(1),
            egress: Egress::default(),
        };
        settings.limit(api).calls
    }

    #[test]
    fn instances_share_a_quota_without_passing_it() {
        let batch = Api::SendBatch;
        for api in Api::ALL {
            let all = if api == batch { 120 } else { 100 };
            assert_eq!([calls(api, 1), calls(api, 3)], [all, all / 3], "{api:?}");
            assert_eq!(calls(api, 1_000), 1, "one call at least");
        }
    }
}
