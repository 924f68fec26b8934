//! Notices that the application sent over the server API.

use serde::Serialize;
use serde_json::{Value, json};

/// A notice as NIM received it.
#[derive(Clone, Debug, Serialize)]
pub struct Notice {
    /// Accid of the sender.
    pub from: String,
    /// Accid or team id.
    pub to: String,
    /// 0 to a person, 1 to a team.
    pub msgtype: u8,
    /// At most 4096 characters.
    pub attach: String,
    /// At most 500 characters.
    pub pushcontent: Option<String>,
    /// JSON of at most 2048 characters, as it was written.
    pub payload: Option<String>,
    /// At most 30 characters.
    pub sound: Option<String>,
    /// 1 for those online only, 2 to keep for later.
    pub save: u8,
    /// As given, without NIM's defaults.
    pub option: Option<Value>,
    /// When NIM took it, Unix time in milliseconds.
    pub at: i64,
}

impl Notice {
    /// Unless the option `route` is false, a notice is copied to the webhook.
    pub fn is_routed(&self) -> bool {
        let route = self.option.as_ref().and_then(|option| option.get("route"));
        route != Some(&Value::Bool(false)) && route != Some(&json!("false"))
    }
}
