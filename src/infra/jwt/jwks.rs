//! The issuer's key set, fetched when it is needed and no more often than the cool-down allows.
//!
//! A fetch starts when there are no keys, when a token names a key that is not held, and when the keys have aged. All
//! who need one share the one in flight, which outlives any of them. Whatever the flood of invented names and however
//! fetches end, the next one starts no sooner than a cool-down after the last: until then unknown names are refused.
//!
//! A key that the issuer removes is refused [`MAX_AGE`] later at the latest, and with tokens coming in steadily soon
//! after [`REFRESH_AGE`], as long as the issuer can be reached. When it cannot, the keys that are held stay in force:
//! its outage must not become ours, at the price that a removal is noticed only when the issuer is back (and a
//! cool-down has passed).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::claims::invalid;
use super::key::VerifyingKey;
use super::key_set::KeySet;
use super::settings::JwtSetupError;
use crate::domain::ids::Millis;
use crate::infra::http_client;
use crate::ports::authenticator::AuthError;
use crate::ports::clock::Clock;

/// Keys of this age are fetched anew in the background, while tokens are still verified with them.
pub const REFRESH_AGE: Duration = Duration::from_mins(10);
/// Tokens wait for the fetch when the keys are of this age.
pub const MAX_AGE: Duration = Duration::from_mins(15);
/// A longer document is not read to its end, in bytes after decompression.
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

/// One issuer's key set, shared by all callers.
pub(super) struct Jwks {
    client: reqwest::Client,
    url: reqwest::Url,
    cool_down: Duration,
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
    last_fetch: Mutex<LastFetch>,
}

/// What the fetches so far have brought.
#[derive(Default)]
struct Held {
    /// The newest set, and when its fetch began.
    keys: Option<(Arc<KeySet>, Millis)>,
    /// Whether the last fetch failed: then a name that is not held may be a good one.
    out_of_reach: bool,
}

struct LastFetch {
    began: Option<Millis>,
    /// Closed when the fetch has ended, however it did.
    ended: watch::Receiver<()>,
}

impl Jwks {
    /// Nothing is fetched yet.
    pub(super) fn new(
        url: &str,
        cool_down: Duration,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, JwtSetupError> {
        let url = reqwest::Url::parse(url).map_err(|_| JwtSetupError::JwksUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(JwtSetupError::JwksUrl);
        }
        let client = http_client::client(timeout, timeout)?;
        let (_, ended) = watch::channel(());
        let last_fetch = Mutex::new(LastFetch { began: None, ended });
        Ok(Self { client, url, cool_down, clock, held: Mutex::default(), last_fetch })
    }

    /// The key called `kid`, or the only key if the token names none. Waits for a fetch where that may help.
    pub(super) async fn find(self: &Arc<Self>, kid: Option<&str>) -> Result<Arc<VerifyingKey>, AuthError> {
        let found = self.fresh_keys().await?.find(kid);
        if found.is_ok() || kid.is_none() {
            return found.map_err(invalid);
        }
        self.fetch().await;
        let held = lock(&self.held);
        match held.keys.as_ref().map(|(keys, _)| keys.find(kid)) {
            Some(Ok(key)) => Ok(key),
            Some(Err(reason)) if !held.out_of_reach => Err(invalid(reason)),
            _ => Err(AuthError::KeysUnavailable),
        }
    }

    /// The keys held, brought up to date first if their age demands it.
    async fn fresh_keys(self: &Arc<Self>) -> Result<Arc<KeySet>, AuthError> {
        let held = lock(&self.held).keys.clone();
        match held.map(|(keys, since)| (keys, apart(since, self.clock.now()))) {
            Some((keys, age)) if age < REFRESH_AGE => return Ok(keys),
            Some((keys, age)) if age < MAX_AGE => {
                self.begin_fetch();
                return Ok(keys);
            }
            _ => self.fetch().await,
        }
        lock(&self.held).keys.clone().map(|(keys, _)| keys).ok_or(AuthError::KeysUnavailable)
    }

    /// Waits for the end of the fetch in flight, beginning one if it may.
    async fn fetch(self: &Arc<Self>) {
        // Nothing is ever sent: the only news is that the sender is gone.
        let _ = self.begin_fetch().changed().await;
    }

    /// Begins a fetch unless one is in flight or the last began less than a cool-down ago. Answers the last one's end.
    fn begin_fetch(self: &Arc<Self>) -> watch::Receiver<()> {
        let mut last = lock(&self.last_fetch);
        // Read under the lock: an older reading than the last fetch's own would look like a clock that jumped.
        let now = self.clock.now();
        let in_flight = last.ended.has_changed().is_ok();
        if !in_flight && last.began.is_none_or(|began| apart(began, now) >= self.cool_down) {
            let (in_flight, ended) = watch::channel(());
            *last = LastFetch { began: Some(now), ended };
            let jwks = Arc::clone(self);
            // Spawned, because a caller may be dropped while others wait for the same fetch.
            tokio::spawn(async move {
                let outcome = jwks.download().await;
                jwks.keep(outcome, now);
                drop(in_flight);
            });
        }
        last.ended.clone()
    }

    fn keep(&self, outcome: Result<KeySet, FetchError>, began: Millis) {
        let mut held = lock(&self.held);
        held.out_of_reach = outcome.is_err();
        match outcome {
            Ok(keys) => {
                tracing::debug!(keys = keys.len(), "fetched the keys that verify tokens");
                held.keys = Some((Arc::new(keys), began));
            }
            Err(error) => {
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::warn!(error, "the keys that verify tokens could not be fetched");
            }
        }
    }

    async fn download(&self) -> Result<KeySet, FetchError> {
        let mut response = self.client.get(self.url.clone()).send().await.map_err(FetchError::call)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let mut document = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(FetchError::call)? {
            if document.len() + chunk.len() > MAX_DOCUMENT_BYTES {
                return Err(FetchError::TooLong);
            }
            document.extend_from_slice(&chunk);
        }
        KeySet::parse(&document).ok_or(FetchError::NotAKeySet)
    }
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the issuer is out of reach")]
    Call(#[source] reqwest::Error),
    #[error("the issuer answered with status {0}")]
    Status(u16),
    #[error("the issuer's document is longer than {MAX_DOCUMENT_BYTES} bytes")]
    TooLong,
    #[error("the issuer's document is not a key set")]
    NotAKeySet,
}

impl FetchError {
    /// The URL may hold credentials, so it stays out of the log.
    fn call(error: reqwest::Error) -> Self {
        Self::Call(error.without_url())
    }
}

/// How far two readings of a wall clock lie apart. One that jumped back far enough counts as time passed: waiting for
/// it to catch up could take for ever.
fn apart(one: Millis, other: Millis) -> Duration {
    Duration::from_millis(one.0.abs_diff(other.0))
}

/// What is guarded here is whole at any time, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
