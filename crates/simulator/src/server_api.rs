//! `POST /nimserver/….action`: the classic server API (NIM server API).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::HeaderMap;
use axum::response::Response;

use self::params::{Answer, Params};
use crate::api::Api;
use crate::connection::Line;
use crate::reception::{self, Arrival};
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

/// One handler for all APIs: the path names the API.
pub async fn call(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    Path(action): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match Api::named(&action) {
        Some(api) => reception::receive(&shared, &line, &Called { api, headers, body }).await,
        None => reception::answer(Answer::refused(404, "no such api")),
    }
}

/// A call as it came.
struct Called {
    api: Api,
    headers: HeaderMap,
    body: Bytes,
}

impl Arrival for Called {
    type Answer = Answer;

    fn name(&self) -> &'static str {
        self.api.name()
    }

    fn is_batch(&self) -> bool {
        matches!(self.api, Api::SendBatchAttachMsg | Api::SendBatchMsg)
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn content_type(&self) -> &'static str {
        "application/x-www-form-urlencoded"
    }

    fn once_header(&self) -> &'static str {
        "RequestId"
    }

    fn refused(&self, code: u32, why: &str) -> Answer {
        Answer::of(code, why)
    }

    fn unsigned(&self, why: &str) -> Answer {
        Answer::refused(414, why)
    }

    fn apply(&self, shared: &Shared) -> Answer {
        let answer = Params::parse(&self.body).and_then(|params| calls::apply(shared, self.api, &params));
        answer.unwrap_or_else(|refusal| refusal)
    }
}
