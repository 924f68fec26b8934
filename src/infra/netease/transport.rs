//! Signs a call, sends it where NetEase answers and as its quota allows, and repeats it only where that is safe.
//!
//! Each attempt has its own Nonce, CurTime, CheckSum and trace id: a CheckSum holds for five minutes, and V9 drops a
//! RequestId that it has seen (NIM server API).

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use reqwest::header::CONTENT_TYPE;
use reqwest::{RequestBuilder, StatusCode};
use secrecy::ExposeSecret;

use super::answer::{Answer, Verdict};
use super::call::{Api, Body, Call, ServerApi};
use super::counters::{CallOutcome, NeteaseCounters};
use super::endpoints::{Endpoints, Permit};
use super::quota::{Quota, Urgency};
use super::settings::NeteaseSettings;
use crate::domain::signature::call_check_sum;
use crate::infra::authorities::is_unknown_authority;
use crate::infra::http_client::{self, HttpClientError};
use crate::ports::clock::{Clock, Ids};
use crate::ports::gateway::{BeforeSend, GatewayError};

/// An answer has at most this many bytes; 200 profiles that are as long as can be have a quarter.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Why there is no answer.
enum Lost {
    /// The call did not reach NetEase.
    NotSent(&'static str),
    /// Sent, and no answer that can be read.
    NoAnswer(&'static str),
}

/// How one attempt failed.
enum Failure {
    /// It got no slot of the quota, or there is no endpoint to send it to.
    NotTried(GatewayError),
    /// It got no answer from the endpoint of this name.
    Lost(&'static str, Lost),
    /// NetEase, at the endpoint of this name, refused it for a passing reason: not done.
    Transient(&'static str, i64),
    /// NetEase, at the endpoint of this name, stumbled on the way: it may have been done.
    Stumbled(&'static str, i64),
    /// NetEase has closed this API.
    Closed,
}

/// What to do after a failed attempt.
struct Next {
    /// Whether it may be repeated.
    again: bool,
    /// The endpoint that is better avoided then.
    avoid: Option<&'static str>,
    /// What to say if it is not repeated.
    error: GatewayError,
}

/// Signs and sends, for all calls of this process.
pub(super) struct Transport {
    settings: NeteaseSettings,
    /// A call that changes nothing.
    harmless: Call,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    endpoints: Endpoints,
    quotas: [Quota; Api::ALL.len()],
}

impl Transport {
    /// Makes no call yet. `harmless` is one that changes nothing, to find out whether NetEase answers.
    pub fn new(
        settings: NeteaseSettings,
        harmless: Call,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, HttpClientError> {
        let client = http_client::client(settings.connect_timeout, settings.timeout, &settings.egress)?;
        let (api, backup) = (settings.api, settings.backup_base_url.as_deref());
        let endpoints = Endpoints::new(api, &settings.base_url, backup);
        let quotas = Api::ALL.map(|call| Quota::new(api.name(call), settings.limit(call)));
        Ok(Self { settings, harmless, client, clock, ids, endpoints, quotas })
    }

    /// What is counted of the calls.
    pub fn counters(&self) -> &NeteaseCounters {
        self.endpoints.counters()
    }

    /// How long calls will be refused without being sent, because no endpoint answers.
    pub fn circuit_open_for(&self) -> Option<Duration> {
        self.endpoints.circuit_open_for()
    }

    /// The final answer to `call`, whatever its code. Each attempt is made only if `before` allows it.
    pub async fn call(
        &self,
        call: &Call,
        urgency: Urgency,
        before: Option<&dyn BeforeSend>,
    ) -> Result<Answer, GatewayError> {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(1))
            .with_jitter()
            .with_max_times(self.settings.attempts.saturating_sub(1));
        let mut pauses = pauses.build();
        let mut avoid = None;
        loop {
            let next = match self.attempt(call, urgency, before, avoid).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => self.next(call, failure),
            };
            match pauses.next().filter(|_| next.again) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(next.error),
            }
            avoid = next.avoid;
        }
    }

    fn next(&self, call: &Call, failure: Failure) -> Next {
        let (api, repeatable) = (call.name(), call.api.is_repeatable());
        let (again, avoid, error) = match failure {
            Failure::NotTried(error) => (false, None, error),
            Failure::Lost(at, Lost::NotSent(why)) => {
                (true, Some(at), GatewayError::OutOfReach(why.to_owned()))
            }
            // Whether it was done does not matter where doing it again is the same.
            Failure::Lost(at, Lost::NoAnswer(why)) if repeatable => {
                (true, Some(at), GatewayError::OutOfReach(why.to_owned()))
            }
            Failure::Stumbled(at, code) if repeatable => {
                (true, Some(at), GatewayError::Transient { api, code })
            }
            Failure::Lost(..) | Failure::Stumbled(..) => (false, None, GatewayError::OutcomeUnknown(api)),
            // Another endpoint knows nothing of the RequestIds and quotas of this one: what must happen once stays.
            Failure::Transient(at, code) => {
                (true, repeatable.then_some(at), GatewayError::Transient { api, code })
            }
            Failure::Closed => {
                let again_in = self.settings.limit(call.api).pause;
                (false, None, GatewayError::Busy { api, again_in })
            }
        };
        Next { again, avoid, error }
    }

    async fn attempt(
        &self,
        call: &Call,
        urgency: Urgency,
        before: Option<&dyn BeforeSend>,
        avoid: Option<&str>,
    ) -> Result<Answer, Failure> {
        let out_of_reach = |left: Duration| {
            let why = format!("it did not answer; calls rest for another {} ms", left.as_millis());
            Failure::NotTried(GatewayError::OutOfReach(why))
        };
        // Nobody shall wait for a slot that cannot be used.
        if let Some(left) = self.endpoints.circuit_open_for() {
            return Err(out_of_reach(left));
        }
        let quota = &self.quotas[call.api as usize];
        let ended = |outcome| self.counters().ended(call.name(), outcome);
        let mut slot = quota.slot(urgency).await.map_err(|error| {
            ended(CallOutcome::NoSlot);
            Failure::NotTried(error)
        })?;
        let mut permit = self.endpoints.pass(avoid).map_err(out_of_reach)?;
        if permit.is_probe() && !call.api.is_repeatable() {
            self.probe(permit, urgency).await?;
            permit = self.endpoints.pass(avoid).map_err(out_of_reach)?;
        }
        let endpoint = permit.endpoint();
        if let Some(before) = before
            && !before.may_send().await
        {
            return Err(Failure::NotTried(GatewayError::CalledOff(call.name())));
        }
        slot.sending();
        let answer = match self.send(call, permit.url(&call.path)).await {
            Ok(answer) => answer,
            Err(lost) => {
                let (why, outcome) = match lost {
                    Lost::NotSent(why) => (why, CallOutcome::NotSent),
                    Lost::NoAnswer(why) => (why, CallOutcome::NoAnswer),
                };
                ended(outcome);
                permit.failed(why);
                return Err(Failure::Lost(endpoint, lost));
            }
        };
        permit.answered();
        let (outcome, ends) = match answer.verdict() {
            Verdict::Final if answer.code == 200 => (CallOutcome::Done, Ok(answer)),
            Verdict::Final => (CallOutcome::Refused, Ok(answer)),
            Verdict::NotDone => (CallOutcome::Transient, Err(Failure::Transient(endpoint, answer.code))),
            Verdict::Unknown => (CallOutcome::Transient, Err(Failure::Stumbled(endpoint, answer.code))),
            Verdict::Closed => {
                quota.close();
                (CallOutcome::Closed, Err(Failure::Closed))
            }
        };
        ended(outcome);
        ends
    }

    /// Finds out whether an endpoint answers again with a call that does no harm: the outcome of one that must happen
    /// once would be lost, were it not so.
    async fn probe(&self, permit: Permit<'_>, urgency: Urgency) -> Result<(), Failure> {
        let question = &self.harmless;
        let mut slot = self.quotas[question.api as usize].slot(urgency).await.map_err(Failure::NotTried)?;
        slot.sending();
        match self.send(question, permit.url(&question.path)).await {
            Ok(_) => permit.answered(),
            Err(Lost::NotSent(why) | Lost::NoAnswer(why)) => {
                let endpoint = permit.endpoint();
                permit.failed(why);
                return Err(Failure::Lost(endpoint, Lost::NotSent(why)));
            }
        }
        Ok(())
    }

    fn signed(&self, call: &Call, url: String) -> RequestBuilder {
        let nonce = self.ids.fresh();
        let cur_time = (self.clock.now().0 / 1000).to_string();
        let check_sum = call_check_sum(self.settings.app_secret.expose_secret(), &nonce, &cur_time);
        // As NetEase documents them: without the charset a server may take names and notices for Latin-1.
        let (trace_id, content_type) = match call.server {
            ServerApi::V9 => ("RequestId", "application/x-www-form-urlencoded;charset=utf-8"),
            ServerApi::V10 => ("X-custom-traceid", "application/json;charset=UTF-8"),
        };
        let request = self
            .client
            .request(call.method.clone(), url)
            .header("AppKey", &self.settings.app_key)
            .header("Nonce", nonce)
            .header("CurTime", cur_time)
            .header("CheckSum", check_sum)
            .header(trace_id, self.ids.fresh())
            .header(CONTENT_TYPE, content_type);
        match &call.body {
            Body::Nothing => request,
            Body::Form(form) => request.form(&form.0),
            Body::Json(text) => request.body(text.clone()),
        }
    }

    async fn send(&self, call: &Call, url: String) -> Result<Answer, Lost> {
        let request = self.signed(call, url);
        let response = request.send().await.map_err(|error| match () {
            () if error.is_builder() => Lost::NotSent("the request cannot be made: see netease.base_url"),
            () if is_unknown_authority(&error) => Lost::NotSent(
                "no authority that we trust has signed its certificate: set tls.ca_file to the authority's",
            ),
            () if error.is_connect() && self.settings.egress.proxy.is_some() => {
                Lost::NotSent("no connection through netease.proxy")
            }
            () if error.is_connect() => Lost::NotSent("no connection"),
            () => Lost::NoAnswer("no answer"),
        })?;
        match response.status() {
            StatusCode::OK => {}
            // NetEase's edge could not pass it on.
            StatusCode::BAD_GATEWAY => return Err(Lost::NotSent("HTTP status 502")),
            // Somebody on the way waited in vain, for the request or for its answer.
            StatusCode::REQUEST_TIMEOUT => return Err(Lost::NoAnswer("HTTP status 408")),
            // NetEase's own refusals are codes in an answer with HTTP status 200: this is not its API.
            status if status.is_redirection() || status.is_client_error() => {
                return Err(Lost::NotSent("HTTP status 3xx or 4xx: is netease.base_url right?"));
            }
            _ => return Err(Lost::NoAnswer("an HTTP status other than 200")),
        }
        let body = read(response).await.ok_or(Lost::NoAnswer("no whole answer"))?;
        serde_json::from_slice(&body).map_err(|_| Lost::NoAnswer("an answer that is not NetEase's"))
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
