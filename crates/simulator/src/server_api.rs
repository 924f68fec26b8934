//! `POST /nimserver/….action`: the gate every call goes through before it is applied (NIM server API).

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use self::params::{Answer, Params};
use crate::api::Api;
use crate::connection::Line;
use crate::faults::FailMode;
use crate::gate::Limit;
use crate::lock::lock;
use crate::signing;
use crate::state::Shared;

mod actor;
mod calls;
mod friend_calls;
mod history_calls;
mod message_calls;
mod notice_calls;
mod params;
mod relation_calls;
mod standing_calls;
mod team_calls;

/// `CheckSum` holds this long, either side of the simulator's clock.
const CHECK_SUM_LIFE_MS: i64 = 5 * 60 * 1_000;
/// The longest Nonce, in characters.
const LONGEST_NONCE: usize = 128;

/// What becomes of a call.
enum Outcome {
    /// HTTP 200 with a body.
    Answered(Answer),
    /// HTTP 502.
    BadGateway,
    /// No answer at all.
    Cut,
}

/// One handler for all APIs: the path names the API.
pub async fn call(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    Path(action): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(api) = Api::named(&action) else {
        return answer(Answer::refused(404, "no such api"));
    };
    lock(&shared.gate).log.arrived(api.name(), shared.clock.now_ms());
    let outcome = outcome_of(&shared, api, &headers, &body).await;
    let noted = match &outcome {
        Outcome::Answered(answer) => answer.code.to_string(),
        Outcome::BadGateway => "http-502".to_owned(),
        Outcome::Cut => "cut".to_owned(),
    };
    lock(&shared.gate).log.ended(api.name(), noted);
    match outcome {
        Outcome::Answered(body) => answer(body),
        Outcome::BadGateway => StatusCode::BAD_GATEWAY.into_response(),
        Outcome::Cut => {
            line.cut();
            StatusCode::NO_CONTENT.into_response()
        }
    }
}

async fn outcome_of(shared: &Shared, api: Api, headers: &HeaderMap, body: &[u8]) -> Outcome {
    let (down, latency, stall) =
        shared.switchboard.read(|faults| (faults.api_down, faults.latency_ms, faults.stall_ms));
    if down {
        return Outcome::Cut;
    }
    pause(shared, latency).await;
    let failure = shared.switchboard.failure_of(api.name());
    // These two happen in front of NetEase: it never sees the call, so its `RequestId` stays unused.
    match failure {
        Some(FailMode::RefuseThenCut) => return Outcome::Cut,
        Some(FailMode::BadGateway) => return Outcome::BadGateway,
        _ => {}
    }
    if let Err(refusal) = admit(shared, api, headers) {
        return Outcome::Answered(refusal);
    }
    if let Some(FailMode::Code(code)) = failure {
        return Outcome::Answered(Answer::refused(code, "as told by the fault switchboard"));
    }
    let answer = apply(shared, api, body);
    match failure {
        Some(FailMode::LoseReply) => return Outcome::Cut,
        Some(FailMode::Stall) => pause(shared, stall).await,
        _ => {}
    }
    Outcome::Answered(answer)
}

fn apply(shared: &Shared, api: Api, body: &[u8]) -> Answer {
    let answer = Params::parse(body).and_then(|params| calls::apply(shared, api, &params));
    answer.unwrap_or_else(|refusal| refusal)
}

/// Content type, signature, quota, `RequestId`, in this order.
fn admit(shared: &Shared, api: Api, headers: &HeaderMap) -> Result<(), Answer> {
    let content_type = text_of(headers, header::CONTENT_TYPE.as_str()).to_ascii_lowercase();
    if !content_type.starts_with("application/x-www-form-urlencoded") {
        return Err(Answer::bad("Content-Type", "must be application/x-www-form-urlencoded"));
    }
    check_signature(shared, headers)?;

    let now_ms = shared.clock.now_ms();
    let limit = limit_of(shared, api);
    let mut gate = lock(&shared.gate);
    if !gate.quotas.entry(api.name()).or_default().admit(now_ms, limit) {
        return Err(Answer::refused(416, "frequency control"));
    }
    let request_id = text_of(headers, "RequestId");
    if !request_id.is_empty() && !gate.request_ids.is_new(request_id, now_ms) {
        return Err(Answer::refused(431, "duplicate request"));
    }
    Ok(())
}

fn check_signature(shared: &Shared, headers: &HeaderMap) -> Result<(), Answer> {
    if text_of(headers, "AppKey") != shared.app_key {
        return Err(Answer::refused(414, "appkey"));
    }
    let nonce = text_of(headers, "Nonce");
    if nonce.is_empty() || nonce.len() > LONGEST_NONCE {
        return Err(Answer::bad("Nonce", "must hold 1 to 128 characters"));
    }
    let cur_time = text_of(headers, "CurTime");
    let check_sum = signing::call_check_sum(&shared.app_secret, nonce, cur_time);
    if text_of(headers, "CheckSum") != check_sum {
        return Err(Answer::refused(414, "checksum"));
    }
    // CurTime is in seconds here; milliseconds lie far in the future and fail like a stale one.
    let signed_at_ms = cur_time.parse::<i64>().unwrap_or(0).saturating_mul(1_000);
    let now_ms = shared.clock.now_ms() + shared.switchboard.read(|faults| faults.clock_skew_ms);
    if now_ms.saturating_sub(signed_at_ms).saturating_abs() > CHECK_SUM_LIFE_MS {
        return Err(Answer::refused(414, "CurTime is expired"));
    }
    Ok(())
}

fn limit_of(shared: &Shared, api: Api) -> Limit {
    let ms = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    shared.switchboard.read(|faults| {
        if matches!(api, Api::SendBatchAttachMsg | Api::SendBatchMsg) {
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

fn answer(answer: Answer) -> Response {
    ([(header::CONTENT_TYPE, "application/json;charset=utf-8")], answer.into_body()).into_response()
}
