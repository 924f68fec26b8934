//! The answer to a call of V10: `{"code","msg","data"}`.

use serde_json::{Value, json};

use crate::reception::Said;

/// There is no such account.
pub const UNKNOWN_ACCOUNT: u32 = 102_404;
/// There is such an account.
pub const ACCOUNT_EXISTS: u32 = 102_405;
/// There is no such team.
pub const UNKNOWN_TEAM: u32 = 108_404;
/// There is no such message.
pub const UNKNOWN_MESSAGE: u32 = 107_404;
/// A message has this client id already.
pub const MESSAGE_EXISTS: u32 = 107_306;
/// There is no such conversation.
pub const UNKNOWN_CONVERSATION: u32 = 110_404;
/// One of the two has too many friends.
pub const TOO_MANY_FRIENDS: u32 = 104_301;
/// Nobody is their own friend.
pub const OWN_FRIEND: u32 = 104_429;

/// NIM's answer.
#[derive(Debug)]
pub struct Answer {
    code: u32,
    msg: String,
    data: Value,
}

impl Answer {
    /// `{"code":200,"msg":"success","data":data}`
    pub fn done(data: Value) -> Self {
        Self { code: 200, msg: "success".to_owned(), data }
    }

    /// `{"code":code,"msg":why,"data":{}}`
    pub fn refused(code: u32, why: &str) -> Self {
        Self { code, msg: why.to_owned(), data: json!({}) }
    }

    /// 414 with words that start with the field's name.
    pub fn bad(field: &str, why: &str) -> Self {
        Self::refused(414, &format!("{field} {why}"))
    }

    /// The account that this field names is not registered.
    pub fn unknown(field: &str) -> Self {
        Self::refused(UNKNOWN_ACCOUNT, &format!("{field} account not exist"))
    }

    /// 503: there is no room for the copies of this call, which is not applied.
    pub fn queue_full() -> Self {
        Self::refused(503, "the queue of copies is full")
    }

    /// `data` of a call about many accounts, of whom some are not registered.
    pub fn of_many(known: &[Value], unknown: Vec<String>) -> Self {
        let failed = |account_id: String| json!({"account_id": account_id, "error_code": UNKNOWN_ACCOUNT, "error_msg": "account not exist"});
        let failed: Vec<Value> = unknown.into_iter().map(failed).collect();
        Self::done(json!({ "success_list": known, "failed_list": failed }))
    }
}

impl Said for Answer {
    fn code(&self) -> u32 {
        self.code
    }

    fn into_body(self) -> String {
        json!({ "code": self.code, "msg": self.msg, "data": self.data }).to_string()
    }
}
