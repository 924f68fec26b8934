//! `/nimserver/im/v2…` and `/im/v2…`: the newer server API (V10), over the same world.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, RawQuery, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;

use self::answer::Answer;
use self::fields::{Fields, Query};
use crate::connection::Line;
use crate::reception::{self, Arrival};
use crate::state::Shared;
use crate::v10_names::{NoCall, V10Api};

mod accounts;
mod answer;
mod conversations;
mod fields;
mod friends;
mod messages;
mod notices;

/// One handler for all calls: verb and path name the call.
pub async fn call(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    method: Method,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match V10Api::of(method.as_str(), &path) {
        Ok((api, id)) => {
            let call = Called { api, id: id.to_lowercase(), query: query.unwrap_or_default(), headers, body };
            reception::receive(&shared, &line, &call).await
        }
        Err(NoCall::Path) => reception::answer(Answer::refused(404, "no such api")),
        Err(NoCall::Verb) => reception::answer(Answer::refused(414, "method not allowed")),
    }
}

/// A call as it came.
struct Called {
    api: V10Api,
    /// The id in the path, in lower case: of an account or a conversation.
    id: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Called {
    fn applied(&self, shared: &Shared) -> Result<Answer, Answer> {
        let query = Query::parse(&self.query)?;
        let fields = || Fields::parse(&self.body);
        match self.api {
            V10Api::AccountsCreate => accounts::create(shared, &fields()?),
            V10Api::AccountsGet => accounts::get(shared, &query),
            V10Api::AccountsUpdate => accounts::update(shared, &self.id, &fields()?),
            V10Api::AccountsRefreshToken => accounts::refresh_token(shared, &self.id),
            V10Api::UsersGet => accounts::get_users(shared, &query),
            V10Api::UsersUpdate => accounts::update_user(shared, &self.id, &fields()?),
            V10Api::FriendsAdd => friends::add(shared, &query, &fields()?),
            V10Api::FriendsGet => friends::get(shared, &query),
            V10Api::NotificationSend => notices::send(shared, &fields()?),
            V10Api::NotificationSendBatch => notices::send_batch(shared, &fields()?),
            V10Api::ConversationsList => conversations::list(shared, &query),
            V10Api::ConversationsGet => conversations::get(shared, &self.id),
            V10Api::ConversationsMessages => conversations::messages(shared, &self.id, &query),
            V10Api::MessagesSend => messages::send(shared, &self.id, &fields()?),
            V10Api::MessagesReadReceipt => messages::read_receipt(shared, &fields()?),
        }
    }
}

impl Arrival for Called {
    type Answer = Answer;

    fn name(&self) -> &'static str {
        self.api.name()
    }

    fn is_batch(&self) -> bool {
        self.api.is_batch()
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn content_type(&self) -> &'static str {
        if self.body.is_empty() { "" } else { "application/json" }
    }

    fn once_header(&self) -> &'static str {
        ""
    }

    fn refused(&self, code: u32, why: &str) -> Answer {
        Answer::refused(code, why)
    }

    fn unsigned(&self, why: &str) -> Answer {
        Answer::refused(403, why)
    }

    fn apply(&self, shared: &Shared) -> Answer {
        self.applied(shared).unwrap_or_else(|refusal| refusal)
    }
}
