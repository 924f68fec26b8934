//! The issuer's key set: held, and fetched anew in the background.
//!
//! *Keys in hand are served*, whatever becomes of a fetch: no token whose key is held ever waits for the issuer. Its
//! outage, or its silence, must not become ours, at the price that the removal of a key is noticed only when it is
//! back.
//!
//! *Single-flight:* one fetch at a time, shared by all who need one, and it outlives any of them.
//!
//! *Cool-down:* from the start of one fetch to the next, whatever the flood of invented key names. Only while no keys
//! are held at all is it shorter: a *back-off* that begins at a second and doubles up to the cool-down.
//!
//! A fetch starts when there are no keys, when a token names a key that is not held, and when the keys have aged
//! ([`REFRESH_AGE`]). A token whose key is not held is refused only if a fetch that began after the key's name was
//! first heard of did not bring it: until then the key may just have been published, and the answer is to try again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use moka::sync::Cache;
use tokio::task::AbortHandle;

use super::claims::invalid;
use super::key::VerifyingKey;
use super::key_set::KeySet;
use super::settings::{JwtSettings, JwtSetupError};
use crate::domain::ids::Millis;
use crate::infra::authorities::is_unknown_authority;
use crate::infra::http_client;
use crate::ports::authenticator::AuthError;
use crate::ports::clock::Clock;

/// Keys of this age are fetched anew in the background.
pub const REFRESH_AGE: Duration = Duration::from_mins(10);
/// A longer document is not read to its end, in bytes after decompression.
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

/// While no keys are held, the second fetch begins this long after the first, and each further one after twice as
/// long.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
/// What to say while a fetch is under way: its end is not known.
const SOON: Duration = Duration::from_secs(1);
/// Key names that are remembered although no key of theirs is held; the least used are forgotten first. A name has at
/// most the length of an `Authorization` header.
const MAX_UNKNOWN_NAMES: u64 = 1000;

/// One issuer's key set, shared by all callers.
pub(super) struct Jwks {
    client: reqwest::Client,
    url: reqwest::Url,
    cool_down: Duration,
    wait: Duration,
    clock: Arc<dyn Clock>,
    state: Mutex<Fetches>,
    /// How many fetches had begun when a name was first heard of that no key has.
    unknown_names: Cache<String, u64>,
}

/// What the fetches so far have brought.
#[derive(Default)]
struct Fetches {
    /// The newest set.
    held: Option<HeldKeys>,
    /// Fetches that have begun.
    begun: u64,
    /// When the last of them did.
    last_began: Option<Millis>,
    /// How many have failed since one succeeded.
    failures: u32,
    /// The last fetch: whether it is under way, and its end.
    flight: Option<(AbortHandle, Flight)>,
}

struct HeldKeys {
    keys: Arc<KeySet>,
    /// The number of the fetch that brought it, and when that began.
    fetch: u64,
    since: Millis,
}

/// The end of a fetch.
type Flight = Shared<BoxFuture<'static, ()>>;

impl Jwks {
    /// Nothing is fetched yet.
    pub(super) fn new(
        url: &str,
        settings: &JwtSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, JwtSetupError> {
        let url = reqwest::Url::parse(url).map_err(|_| JwtSetupError::JwksUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(JwtSetupError::JwksUrl);
        }
        let client = http_client::client(settings.jwks_timeout, settings.jwks_timeout, &settings.egress)?;
        let (cool_down, wait) = (settings.jwks_cool_down, settings.jwks_wait);
        let unknown_names = Cache::new(MAX_UNKNOWN_NAMES);
        Ok(Self { client, url, cool_down, wait, clock, state: Mutex::default(), unknown_names })
    }

    /// The key called `kid`, or the only key if the token names none. Waits for a fetch only if the key is not held.
    pub(super) async fn find(self: &Arc<Self>, kid: Option<&str>) -> Result<Arc<VerifyingKey>, AuthError> {
        let (heard_at, flight) = {
            let mut state = lock(&self.state);
            let now = self.clock.now();
            let found = state.held.as_ref().map(|held| (held.keys.find(kid), apart(held.since, now)));
            match found {
                Some((found, age)) if found.is_ok() || kid.is_none() => {
                    if age >= REFRESH_AGE {
                        self.begin_fetch(&mut state, now);
                    }
                    return found.map_err(invalid);
                }
                _ => {}
            }
            let begun = state.begun;
            let heard_at = kid.map_or(begun, |kid| self.unknown_names.get_with(kid.to_owned(), || begun));
            (heard_at, self.begin_fetch(&mut state, now))
        };
        if let Some(flight) = flight {
            // Past the wait it goes on without us.
            let _ = tokio::time::timeout(self.wait, flight).await;
        }
        let state = lock(&self.state);
        match state.held.as_ref().map(|held| (held.keys.find(kid), held.fetch > heard_at)) {
            Some((Ok(key), _)) => Ok(key),
            Some((Err(reason), true)) => Err(invalid(reason)),
            _ => Err(AuthError::KeysUnavailable { again_in: self.next_fetch_in(&state, self.clock.now()) }),
        }
    }

    /// Fetches the set now, for whoever wants to know whether that works; the error is a predicate.
    pub(super) async fn probe(&self) -> Result<(), String> {
        self.download().await.map(drop).map_err(|error| error.to_string())
    }

    /// The fetch under way, beginning one if it may.
    fn begin_fetch(self: &Arc<Self>, state: &mut Fetches, now: Millis) -> Option<Flight> {
        if let Some((task, flight)) = &state.flight
            && !task.is_finished()
        {
            return Some(flight.clone());
        }
        if !self.next_fetch_in(state, now).is_zero() {
            return None;
        }
        state.begun += 1;
        state.last_began = Some(now);
        let (jwks, fetch) = (Arc::clone(self), state.begun);
        // A task of its own, because a caller may be dropped while others wait for the same fetch.
        let task = tokio::spawn(async move {
            let outcome = jwks.download().await;
            jwks.keep(outcome, fetch, now);
        });
        let alive = task.abort_handle();
        let flight = task.map(drop).boxed().shared();
        state.flight = Some((alive, flight.clone()));
        Some(flight)
    }

    /// How long until a fetch may begin; not zero while one is under way.
    fn next_fetch_in(&self, state: &Fetches, now: Millis) -> Duration {
        if state.flight.as_ref().is_some_and(|(task, _)| !task.is_finished()) {
            return SOON;
        }
        let pause = match (&state.held, state.failures) {
            (None, failures @ 1..) => {
                let doubled = FIRST_BACK_OFF.saturating_mul(2_u32.saturating_pow(failures - 1));
                doubled.min(self.cool_down)
            }
            _ => self.cool_down,
        };
        state.last_began.map_or(Duration::ZERO, |began| pause.saturating_sub(apart(began, now)))
    }

    fn keep(&self, outcome: Result<KeySet, FetchError>, fetch: u64, since: Millis) {
        let mut state = lock(&self.state);
        match outcome {
            Ok(keys) => {
                let passed_over = keys.passed_over();
                tracing::debug!(keys = keys.len(), %passed_over, "fetched the keys that verify tokens");
                state.failures = 0;
                if let Some(old) = &state.held {
                    // What was there and is no more was removed, not published a moment ago.
                    let removed = old.keys.names().filter(|kid| keys.find(Some(kid)).is_err());
                    removed.for_each(|kid| self.unknown_names.insert(kid.to_owned(), fetch - 1));
                }
                state.held = Some(HeldKeys { keys: Arc::new(keys), fetch, since });
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::error!(error, "the keys that verify tokens could not be fetched");
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
        let keys = KeySet::parse(&document).ok_or(FetchError::NotAKeySet)?;
        match keys.passed_over() {
            _ if !keys.is_empty() => Ok(keys),
            none if none.is_empty() => Err(FetchError::NoKey),
            passed_over => Err(FetchError::NoUsableKey(passed_over)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the issuer is out of reach")]
    Call(#[source] reqwest::Error),
    #[error(
        "no authority that we trust has signed the issuer's certificate: set tls.ca_file to the authority's"
    )]
    Untrusted(#[source] reqwest::Error),
    #[error("the issuer answered with status {0}")]
    Status(u16),
    #[error("the issuer's document is longer than {MAX_DOCUMENT_BYTES} bytes")]
    TooLong,
    #[error("the issuer's document is not a key set")]
    NotAKeySet,
    #[error("the issuer's key set holds no key")]
    NoKey,
    /// A set that would refuse every token is a mistake, not a removal of all keys.
    #[error("the issuer's key set holds no key that we can verify with: {0}")]
    NoUsableKey(String),
}

impl FetchError {
    /// The URL may hold credentials, so it stays out of the log.
    fn call(error: reqwest::Error) -> Self {
        let error = error.without_url();
        match is_unknown_authority(&error) {
            true => Self::Untrusted(error),
            false => Self::Call(error),
        }
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

#[cfg(test)]
mod tests;
