//! Signs a call, sends it, and repeats it only where that is safe.
//!
//! Each attempt has its own Nonce, CurTime, CheckSum and RequestId: a CheckSum holds for five minutes and NetEase
//! drops a RequestId that it has seen (NIM server API).

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};

use super::answer::{Answer, Verdict};
use crate::domain::signature::call_check_sum;
use crate::infra::http_client::{self, HttpClientError};
use crate::ports::clock::{Clock, Ids};
use crate::ports::gateway::GatewayError;

/// An answer has at most this many bytes; ours are far below.
const MAX_ANSWER: usize = 1024 * 1024;

/// Where NetEase is and who we are there.
pub struct NeteaseSettings {
    /// Up to and with `/nimserver`.
    pub base_url: String,
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
}

/// One call, before it is signed.
pub(super) struct Call {
    /// Its path without `.action`.
    pub api: &'static str,
    /// Whether doing it twice is the same as doing it once.
    repeatable: bool,
    fields: Vec<(&'static str, String)>,
}

impl Call {
    /// A call that may be repeated even when it is not known whether it was done.
    pub fn repeatable(api: &'static str) -> Self {
        Self { api, repeatable: true, fields: Vec::new() }
    }

    /// A call that may be repeated only when it is certain that it was not done.
    pub fn once(api: &'static str) -> Self {
        Self { api, repeatable: false, fields: Vec::new() }
    }

    /// The call with one more form field.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

/// How one attempt failed.
enum Failure {
    /// Certainly not done.
    NotDone(String),
    /// Sent, and no answer that counts.
    Unknown,
    /// This API is closed for a while.
    Closed,
}

/// Signs and sends.
pub(super) struct Transport {
    settings: NeteaseSettings,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl Transport {
    /// Makes no call yet.
    pub fn new(
        settings: NeteaseSettings,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, HttpClientError> {
        let client = http_client::client(settings.connect_timeout, settings.timeout)?;
        Ok(Self { settings, client, clock, ids })
    }

    /// The final answer to `call`, whatever its code.
    pub async fn call(&self, call: Call) -> Result<Answer, GatewayError> {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(1))
            .with_jitter()
            .with_max_times(self.settings.attempts.saturating_sub(1));
        let mut pauses = pauses.build();
        loop {
            let failure = match self.attempt(&call).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let (again, error) = match failure {
                Failure::NotDone(why) => (true, GatewayError::Unavailable(why)),
                // Whether it was done does not matter where doing it again is the same.
                Failure::Unknown if call.repeatable => {
                    (true, GatewayError::Unavailable("no answer".to_owned()))
                }
                Failure::Unknown => (false, GatewayError::OutcomeUnknown(call.api)),
                Failure::Closed => (false, GatewayError::RateLimited(call.api)),
            };
            match pauses.next().filter(|_| again) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    async fn attempt(&self, call: &Call) -> Result<Answer, Failure> {
        let nonce = self.ids.fresh();
        let cur_time = (self.clock.now().0 / 1000).to_string();
        let check_sum = call_check_sum(self.settings.app_secret.expose_secret(), &nonce, &cur_time);
        let request = self
            .client
            .post(format!("{}/{}.action", self.settings.base_url.trim_end_matches('/'), call.api))
            .header("AppKey", &self.settings.app_key)
            .header("Nonce", nonce)
            .header("CurTime", cur_time)
            .header("CheckSum", check_sum)
            .header("RequestId", self.ids.fresh())
            .form(&call.fields);
        let response = request.send().await.map_err(|error| match error.is_connect() {
            true => Failure::NotDone("no connection".to_owned()),
            false => Failure::Unknown,
        })?;
        match response.status() {
            StatusCode::OK => {}
            // NetEase's edge could not pass it on.
            StatusCode::BAD_GATEWAY => return Err(Failure::NotDone("HTTP status 502".to_owned())),
            _ => return Err(Failure::Unknown),
        }
        judge(&read(response).await.ok_or(Failure::Unknown)?)
    }
}

/// The body, if it comes whole and is not out of all proportion.
async fn read(mut response: reqwest::Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}

fn judge(body: &[u8]) -> Result<Answer, Failure> {
    let answer: Answer = serde_json::from_slice(body).map_err(|_| Failure::Unknown)?;
    match answer.verdict() {
        Verdict::Final => Ok(answer),
        Verdict::NotDone => Err(Failure::NotDone(format!("code {}", answer.code))),
        Verdict::Unknown => Err(Failure::Unknown),
        Verdict::Closed => Err(Failure::Closed),
    }
}
