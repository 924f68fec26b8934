//! One call before it is signed, and what is fixed for each.

use reqwest::Method;
use serde_json::Value;

/// Which of NetEase's server APIs is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerApi {
    /// The classic one: forms, posted to `….action`.
    V9,
    /// The newer one: JSON, with paths below `/im/v2`.
    V10,
}

/// The calls that we make, by what they do. Each has a quota of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    /// Registers an account.
    CreateUser,
    /// Sets an account's token.
    SetToken,
    /// Sets the name that others see.
    SetName,
    /// Reads the names of many.
    Names,
    /// Makes two accounts friends.
    AddFriend,
    /// Sends a notice to one.
    SendNotice,
    /// Sends a notice to many.
    SendBatch,
    /// Says that one has read what another wrote.
    TellRead,
    /// Reads with whom somebody has exchanged messages, and in V10 up to when they have read them.
    Sessions,
    /// Reads what two have written to each other.
    History,
}

impl Api {
    /// Every one of them, in the order of their declaration: `ALL[api as usize]` is `api`.
    pub const ALL: [Self; 10] = [
        Self::CreateUser,
        Self::SetToken,
        Self::SetName,
        Self::Names,
        Self::AddFriend,
        Self::SendNotice,
        Self::SendBatch,
        Self::TellRead,
        Self::Sessions,
        Self::History,
    ];

    /// Whether binds make it, so that somebody may wait for it.
    pub fn is_for_persons(self) -> bool {
        matches!(self, Self::CreateUser | Self::SetToken | Self::SetName | Self::AddFriend)
    }

    /// Whether doing it twice is the same as doing it once. If not, it may be repeated only when it is certain that
    /// it was not done.
    pub fn is_repeatable(self) -> bool {
        !matches!(self, Self::SendNotice | Self::SendBatch)
    }
}

impl ServerApi {
    /// What a call goes by in metrics, log lines and errors: of V9 its path without `.action`.
    pub(super) fn name(self, api: Api) -> &'static str {
        match (self, api) {
            (Self::V9, Api::CreateUser) => "user/create",
            (Self::V9, Api::SetToken) => "user/update",
            (Self::V9, Api::SetName) => "user/updateUinfo",
            (Self::V9, Api::Names) => "user/getUinfos",
            (Self::V9, Api::AddFriend) => "friend/add",
            (Self::V9, Api::SendNotice) => "msg/sendAttachMsg",
            (Self::V9, Api::SendBatch) => "msg/sendBatchAttachMsg",
            (Self::V9, Api::TellRead) => "msg/markReadMsg",
            (Self::V9, Api::Sessions) => "history/querySessionList",
            (Self::V9, Api::History) => "history/querySessionMsg",
            (Self::V10, Api::CreateUser) => "v2/accounts.create",
            (Self::V10, Api::SetToken) => "v2/accounts.update",
            (Self::V10, Api::SetName) => "v2/users.update",
            (Self::V10, Api::Names) => "v2/users.get",
            (Self::V10, Api::AddFriend) => "v2.1/friends.add",
            (Self::V10, Api::SendNotice) => "v2/custom_notification.send",
            (Self::V10, Api::SendBatch) => "v2/custom_notification.send_batch",
            (Self::V10, Api::TellRead) => "v2/messages.p2p_read_receipt",
            (Self::V10, Api::Sessions) => "v2.1/conversations.get",
            (Self::V10, Api::History) => "v2.1/conversations.messages",
        }
    }
}

/// One call, before it is signed.
#[derive(Debug)]
pub(super) struct Call {
    /// Of which server API.
    pub server: ServerApi,
    /// Which one.
    pub api: Api,
    /// The verb.
    pub method: Method,
    /// What follows the base URL; begins with a slash, and may end with a query.
    pub path: String,
    /// What is sent along.
    pub body: Body,
}

/// What is sent along with a call.
#[derive(Debug)]
pub(super) enum Body {
    /// Nothing.
    Nothing,
    /// A form of V9.
    Form(Form),
    /// JSON of V10.
    Json(String),
}

/// Names and values of a form.
#[derive(Debug, Default)]
pub(super) struct Form(pub Vec<(&'static str, String)>);

impl Form {
    /// The form with one more field.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.push((name, value.into()));
        self
    }

    /// The form with one more field, if there is a value.
    pub fn with_some(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

impl Call {
    /// A call of V9: a form, posted to its `.action`.
    pub fn v9(api: Api, form: Form) -> Self {
        let server = ServerApi::V9;
        let path = format!("/{}.action", server.name(api));
        Self { server, api, method: Method::POST, path, body: Body::Form(form) }
    }

    /// A call of V10 that changes something, by POST or PATCH.
    pub fn v10(api: Api, method: Method, path: impl Into<String>, body: &Value) -> Self {
        Self { server: ServerApi::V10, api, method, path: path.into(), body: Body::Json(body.to_string()) }
    }

    /// A call of V10 that reads.
    pub fn v10_get(api: Api, path: String) -> Self {
        Self { server: ServerApi::V10, api, method: Method::GET, path, body: Body::Nothing }
    }

    /// What it goes by in metrics, log lines and errors.
    pub fn name(&self) -> &'static str {
        self.server.name(self.api)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_listed_in_the_order_of_their_declaration() {
        for (at, api) in Api::ALL.into_iter().enumerate() {
            assert_eq!(api as usize, at, "{api:?}");
        }
    }
}
