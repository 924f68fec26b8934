//! What becomes of a call before it is applied: faults, content type, signature, quota. Both server APIs are received
//! here; each says it in words of its own.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::connection::Line;
use crate::faults::FailMode;
use crate::gate::Limit;
use crate::lock::lock;
use crate::signing;
use crate::state::Shared;

/// `CheckSum` holds this long, either side of the simulator's clock.
const CHECK_SUM_LIFE_MS: i64 = 5 * 60 * 1_000;
/// The longest Nonce, in characters.
const LONGEST_NONCE: usize = 128;

/// A call of one of the server APIs.
pub trait Arrival: Sync {
    /// What its API answers.
    type Answer: Said;

    /// The name in faults and statistics.
    fn name(&self) -> &'static str;

    /// Whether its quota is that of batches.
    fn is_batch(&self) -> bool;

    /// The headers that came with it.
    fn headers(&self) -> &HeaderMap;

    /// What its body has to be, as a content type; empty if nothing is said.
    fn content_type(&self) -> &'static str;

    /// The header whose value is good for one call; empty if there is none.
    fn once_header(&self) -> &'static str;

    /// A refusal.
    fn refused(&self, code: u32, why: &str) -> Self::Answer;

    /// The refusal of a call that is not signed as it should be.
    fn unsigned(&self, why: &str) -> Self::Answer;

    /// Does what it asks for.
    fn apply(&self, shared: &Shared) -> Self::Answer;
}

/// An answer of one of the server APIs.
pub trait Said {
    /// NIM's code; the HTTP status is 200 whatever it is.
    fn code(&self) -> u32;

    /// The JSON body.
    fn into_body(self) -> String;
}

/// What becomes of a call.
enum Outcome<A> {
    /// HTTP 200 with a body.
    Answered(A),
    /// HTTP 502.
    BadGateway,
    /// No answer at all.
    Cut,
}

/// Takes a call in and answers it, or does not.
pub async fn receive(shared: &Shared, line: &Line, call: &impl Arrival) -> Response {
    lock(&shared.gate).log.arrived(call.name(), shared.clock.now_ms());
    let outcome = outcome_of(shared, call).await;
    let noted = match &outcome {
        Outcome::Answered(answer) => answer.code().to_string(),
        Outcome::BadGateway => "http-502".to_owned(),
        Outcome::Cut => "cut".to_owned(),
    };
    lock(&shared.gate).log.ended(call.name(), noted);
    match outcome {
        Outcome::Answered(body) => answer(body),
        Outcome::BadGateway => StatusCode::BAD_GATEWAY.into_response(),
        Outcome::Cut => {
            line.cut();
            StatusCode::NO_CONTENT.into_response()
        }
    }
}

/// The answer as it goes over the wire.
pub fn answer(said: impl Said) -> Response {
    ([(header::CONTENT_TYPE, "application/json;charset=utf-8")], said.into_body()).into_response()
}

async fn outcome_of<C: Arrival>(shared: &Shared, call: &C) -> Outcome<C::Answer> {
    let (down, latency, stall) =
        shared.switchboard.read(|faults| (faults.api_down, faults.latency_ms, faults.stall_ms));
    if down {
        return Outcome::Cut;
    }
    pause(shared, latency).await;
    let failure = shared.switchboard.failure_of(call.name());
    // These two happen in front of NetEase: it never sees the call, so its `RequestId` stays unused.
    match failure {
        Some(FailMode::RefuseThenCut) => return Outcome::Cut,
        Some(FailMode::BadGateway) => return Outcome::BadGateway,
        _ => {}
    }
    if let Err(refusal) = admit(shared, call) {
        return Outcome::Answered(refusal);
    }
    if let Some(FailMode::Code(code)) = failure {
        return Outcome::Answered(call.refused(code, "as told by the fault switchboard"));
    }
    let answer = call.apply(shared);
    match failure {
        Some(FailMode::LoseReply) => return Outcome::Cut,
        Some(FailMode::Stall) => pause(shared, stall).await,
        _ => {}
    }
    Outcome::Answered(answer)
}

/// Content type, signature, quota, `RequestId`, in this order.
fn admit<C: Arrival>(shared: &Shared, call: &C) -> Result<(), C::Answer> {
    let wanted = call.content_type();
    if !text_of(call.headers(), header::CONTENT_TYPE.as_str()).to_ascii_lowercase().starts_with(wanted) {
        return Err(call.refused(414, &format!("Content-Type must be {wanted}")));
    }
    check_signature(shared, call)?;

    let now_ms = shared.clock.now_ms();
    let limit = limit_of(shared, call.is_batch());
    let mut gate = lock(&shared.gate);
    if !gate.quotas.entry(call.name()).or_default().admit(now_ms, limit) {
        return Err(call.refused(416, "frequency control"));
    }
    let request_id = text_of(call.headers(), call.once_header());
    if !request_id.is_empty() && !gate.request_ids.is_new(request_id, now_ms) {
        return Err(call.refused(431, "duplicate request"));
    }
    Ok(())
}

fn check_signature<C: Arrival>(shared: &Shared, call: &C) -> Result<(), C::Answer> {
    let headers = call.headers();
    if text_of(headers, "AppKey") != shared.app_key {
        return Err(call.unsigned("appkey"));
    }
    let nonce = text_of(headers, "Nonce");
    if nonce.is_empty() || nonce.len() > LONGEST_NONCE {
        return Err(call.unsigned("Nonce must hold 1 to 128 characters"));
    }
    let cur_time = text_of(headers, "CurTime");
    let check_sum = signing::call_check_sum(&shared.app_secret, nonce, cur_time);
    if text_of(headers, "CheckSum") != check_sum {
        return Err(call.unsigned("checksum"));
    }
    // CurTime is in seconds here; milliseconds lie far in the future and fail like a stale one.
    let signed_at_ms = cur_time.parse::<i64>().unwrap_or(0).saturating_mul(1_000);
    let now_ms = shared.clock.now_ms() + shared.switchboard.read(|faults| faults.clock_skew_ms);
    if now_ms.saturating_sub(signed_at_ms).saturating_abs() > CHECK_SUM_LIFE_MS {
        return Err(call.unsigned("CurTime is expired"));
    }
    Ok(())
}

fn limit_of(shared: &Shared, is_batch: bool) -> Limit {
    let ms = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    shared.switchboard.read(|faults| {
        if is_batch {
            let pause_ms = ms(faults.batch_pause_ms);
            Limit { calls: faults.batch_per_minute, window_ms: 60_000, pause_ms }
        } else {
            let pause_ms = ms(faults.quota_pause_ms);
            Limit { calls: faults.quota_per_second, window_ms: 1_000, pause_ms }
        }
    })
}

/// A header's text, empty if it is missing or not ASCII. Header names match in any letter case.
fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn pause(shared: &Shared, ms: u64) {
    if ms == 0 {
        return;
    }
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(ms)) => {}
        () = shared.stopping.cancelled() => {}
    }
}
