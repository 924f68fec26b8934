//! Where NetEase can be called: its base URL, and a second one for when the first does not answer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{Breaker, Pass};
use super::call::ServerApi;
use super::counters::NeteaseCounters;

/// One or two addresses of the same NetEase, each with its breaker.
pub(super) struct Endpoints {
    all: Vec<Endpoint>,
    counters: NeteaseCounters,
}

/// One address.
pub(super) struct Endpoint {
    /// For the log: an address may tell more than is meant for it.
    name: &'static str,
    base_url: String,
    breaker: Mutex<Breaker>,
}

impl Endpoints {
    /// Base URLs are what paths of calls are appended to.
    pub fn new(server: ServerApi, base_url: &str, backup_base_url: Option<&str>) -> Self {
        let endpoint = |name, url: &str| Endpoint {
            name,
            base_url: url.trim_end_matches('/').to_owned(),
            breaker: Mutex::new(Breaker::new()),
        };
        let backup = backup_base_url.map(|url| endpoint("backup", url));
        let all: Vec<_> = std::iter::once(endpoint("main", base_url)).chain(backup).collect();
        let counters = NeteaseCounters::new(server, all.iter().map(|endpoint| endpoint.name));
        Self { all, counters }
    }

    /// What is counted of the calls to them.
    pub fn counters(&self) -> &NeteaseCounters {
        &self.counters
    }

    /// A way to the first endpoint whose breaker lets a call through; `failed`, an endpoint's name, comes last. Or how
    /// long there is none.
    pub fn pass(&self, failed: Option<&str>) -> Result<Permit<'_>, Duration> {
        let now = Instant::now();
        let (last, first): (Vec<_>, Vec<_>) =
            self.all.iter().partition(|endpoint| Some(endpoint.name) == failed);
        let mut left = Duration::MAX;
        for endpoint in first.into_iter().chain(last) {
            match endpoint.breaker().pass(now) {
                Ok(pass) => return Ok(Permit { endpoint, counters: &self.counters, pass: Some(pass) }),
                Err(rest) => left = left.min(rest),
            }
        }
        Err(left)
    }

    /// How long no call goes to any of them; `None` as soon as one may.
    pub fn circuit_open_for(&self) -> Option<Duration> {
        let now = Instant::now();
        let rests: Option<Vec<_>> =
            self.all.iter().map(|endpoint| endpoint.breaker().circuit_open_for(now)).collect();
        rests?.into_iter().min()
    }
}

impl Endpoint {
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A right to send one call to one endpoint. Dropping it without a word frees the breaker's probe.
pub(super) struct Permit<'a> {
    endpoint: &'a Endpoint,
    counters: &'a NeteaseCounters,
    pass: Option<Pass>,
}

impl Permit<'_> {
    /// Where it leads.
    pub fn endpoint(&self) -> &'static str {
        self.endpoint.name
    }

    /// Whether it is the only call that goes there for now, to see whether it is answered.
    pub fn is_probe(&self) -> bool {
        matches!(self.pass, Some(Pass::Probe(_)))
    }

    /// The address there of a call with this path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.endpoint.base_url)
    }

    /// NetEase answered, whatever it said.
    pub fn answered(mut self) {
        self.pass = None;
        if self.endpoint.breaker().succeeded() {
            self.counters.is_up(self.endpoint.name, true);
            tracing::info!(endpoint = self.endpoint.name, "NetEase answers again");
        }
    }

    /// NetEase did not answer.
    pub fn failed(mut self, why: &str) {
        let Some(pass) = self.pass.take() else { return };
        if self.endpoint.breaker().failed(pass, Instant::now()) {
            let endpoint = self.endpoint.name;
            self.counters.is_up(endpoint, false);
            tracing::warn!(
                endpoint,
                why,
                "NetEase does not answer: calls to it rest, one at a time will try"
            );
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(pass) = self.pass {
            self.endpoint.breaker().abandoned(pass, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(endpoints: &Endpoints, times: usize) {
        for _ in 0..times {
            endpoints.pass(None).unwrap_or_else(|_| panic!("none is open")).failed("test");
        }
    }

    fn next(endpoints: &Endpoints, failed: Option<&str>) -> Option<&'static str> {
        endpoints.pass(failed).ok().map(|permit| permit.endpoint())
    }

    #[tokio::test(start_paused = true)]
    async fn the_backup_is_for_when_the_first_failed_or_rests() {
        let endpoints = Endpoints::new(ServerApi::V9, "http://a/nimserver/", Some("http://b"));
        assert_eq!(next(&endpoints, None), Some("main"));
        assert_eq!(next(&endpoints, Some("main")), Some("backup"));
        assert_eq!(next(&endpoints, Some("backup")), Some("main"));
        let url = |failed| endpoints.pass(failed).unwrap_or_else(|_| panic!()).url("/im/v2/users");
        assert_eq!(url(None), "http://a/nimserver/im/v2/users");
        assert_eq!(url(Some("main")), "http://b/im/v2/users");

        fail(&endpoints, 5);
        assert_eq!(next(&endpoints, Some("backup")), Some("backup"), "the main one rests");
        assert_eq!(endpoints.circuit_open_for(), None);
        tokio::time::advance(Duration::from_millis(500)).await;
        fail(&endpoints, 5);
        assert_eq!(
            endpoints.circuit_open_for(),
            Some(Duration::from_millis(1_500)),
            "the shortest rest counts"
        );
        assert_eq!(next(&endpoints, None), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_nobody_waits_for_is_not_missed() {
        let endpoints = Endpoints::new(ServerApi::V9, "http://a", None);
        fail(&endpoints, 5);
        tokio::time::advance(Duration::from_secs(2)).await;
        let probe = endpoints.pass(None).unwrap_or_else(|_| panic!());
        assert_eq!(next(&endpoints, None), None, "one at a time");
        drop(probe);
        assert_eq!(next(&endpoints, None), Some("main"));
        endpoints.pass(None).unwrap_or_else(|_| panic!()).answered();
        assert_eq!(endpoints.circuit_open_for(), None);
    }
}
