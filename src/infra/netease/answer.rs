//! What NetEase's answers mean: HTTP 200 with `{"code":N, …}`, in any order, and words that are sometimes missing, in
//! `desc` of V9 and in `msg` of V10.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::call::{Call, ServerApi};
use crate::domain::excerpt::excerpt;
use crate::log_gate::LogGate;
use crate::ports::gateway::GatewayError;

/// Characters of NetEase's words that are kept; those that it is known to say are far shorter.
const LONGEST_DESC: usize = 200;

/// An answer that came whole.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Answer {
    /// NetEase's code.
    pub code: i64,
    /// Whatever else there is: the words, and what each call tells.
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// What to do about an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is final, good or bad.
    Final,
    /// Nothing happened; asking again soon may help.
    NotDone,
    /// NetEase stumbled on the way; it may have happened.
    Unknown,
    /// This API is closed for a while.
    Closed,
}

impl Answer {
    /// An answer of a code and words, which stand in `field`.
    pub fn of(code: i64, field: &str, words: &str) -> Self {
        Self { code, fields: Map::from_iter([(field.to_owned(), words.into())]) }
    }

    /// What stands beside the code under this name; null if nothing does.
    pub fn field(&self, name: &str) -> &Value {
        self.fields.get(name).unwrap_or(&Value::Null)
    }

    /// NetEase's words, which go into log lines, answers, stores and terminals: so many of them, and no control
    /// characters.
    pub fn words(&self) -> String {
        match excerpt(self.said(), LONGEST_DESC) {
            words if words.is_empty() => "no description".to_owned(),
            words => words,
        }
    }

    /// Whether the words contain `words`, in any case: 414 of V9 says several things in words alone.
    pub fn says(&self, words: &str) -> bool {
        self.said().to_ascii_lowercase().contains(words)
    }

    fn said(&self) -> &str {
        ["desc", "msg"].iter().find_map(|name| self.field(name).as_str()).unwrap_or_default()
    }

    /// By the tables of codes (NIM server API). 431 is a repeated RequestId, and each attempt has a fresh one. Those of
    /// three digits mean the same in V10, which has six for what concerns an account or a friend.
    pub fn verdict(&self) -> Verdict {
        match self.code {
            416 => Verdict::Closed,
            398 | 399 | 415 | 431 | 449 | 503 | 511 | 514 | 102_449 | 104_449 => Verdict::NotDone,
            408 | 500 => Verdict::Unknown,
            _ => Verdict::Final,
        }
    }

    /// Whether it is this service that NetEase does not accept, rather than what the call asks for.
    pub fn is_about_us(&self, server: ServerApi) -> bool {
        match self.code {
            315 => true,
            403 => server == ServerApi::V10,
            414 => ["checksum", "appkey", "curtime"].iter().any(|words| self.says(words)),
            _ => false,
        }
    }
}

/// The error for an answer that is not what was hoped for.
pub(super) fn refused(call: &Call, answer: &Answer) -> GatewayError {
    let (api, code, desc) = (call.name(), answer.code, answer.words());
    if answer.is_about_us(call.server) {
        // Every call fails like this until someone acts, so it must be seen.
        tell_not_accepted(api, code, &desc);
        return GatewayError::NotAccepted { api, code, desc };
    }
    match answer.verdict() {
        Verdict::Final => GatewayError::Rejected { api, code, desc },
        Verdict::NotDone | Verdict::Unknown | Verdict::Closed => GatewayError::Transient { api, code },
    }
}

fn tell_not_accepted(api: &str, code: i64, desc: &str) {
    static NOT_ACCEPTED: LogGate = LogGate::new();
    if let Some(count) = NOT_ACCEPTED.pass() {
        tracing::error!(
            count,
            api,
            code,
            desc,
            "NetEase does not accept this service: check netease.app_key, netease.app_secret, the clock of this machine and \
            the list of allowed addresses at NetEase"
        );
    }
}

/// NetEase's list of those whom a batch did not reach is no such list.
pub(super) fn tell_unreadable() {
    static UNREADABLE: LogGate = LogGate::new();
    if let Some(count) = UNREADABLE.pass() {
        tracing::warn!(count, "NetEase's list of unregistered accids cannot be read; taken for empty");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::netease::call::{Api, Form};

    fn read(text: &str) -> Answer {
        serde_json::from_str(text).unwrap()
    }

    fn call(server: ServerApi) -> Call {
        match server {
            ServerApi::V9 => Call::v9(Api::CreateUser, Form::default()),
            ServerApi::V10 => Call::v10_get(Api::Names, "/".to_owned()),
        }
    }

    #[test]
    fn key_order_varies_and_words_may_be_missing() {
        assert_eq!(read(r#"{"code":200,"info":{}}"#).code, 200);
        assert_eq!(read(r#"{"desc":null,"code":500}"#).words(), "no description");
        assert_eq!(read(r#"{"data":{},"msg":"bad account_id","code":414}"#).words(), "bad account_id");
        assert!(read(r#"{"desc":"Already Register","code":414}"#).says("already register"));
    }

    #[test]
    fn what_netease_says_is_cut_and_harmless_wherever_it_goes() {
        let said = format!("checksum\n\u{1b}[2J\0{}", "x".repeat(10_000));
        for (field, server, ours) in [("desc", ServerApi::V9, 414), ("msg", ServerApi::V10, 403)] {
            for code in [ours, 404] {
                let answer = Answer::of(code, field, &said);
                assert_eq!(answer.words().chars().count(), LONGEST_DESC);
                let error = refused(&call(server), &answer);
                assert_eq!(matches!(error, GatewayError::NotAccepted { .. }), code == ours, "{error}");
                let told = error.to_string();
                assert!(told.chars().count() < LONGEST_DESC + 100, "{told}");
                assert!(!told.contains(char::is_control), "{told:?}");
            }
        }
        assert!(read(&format!(r#"{{"code":414,"desc":"{} AppKey"}}"#, "x".repeat(300))).says("appkey"));
    }

    #[test]
    fn only_passing_trouble_is_asked_again() {
        let verdict = |code| Answer::of(code, "desc", "").verdict();
        for code in [398, 399, 415, 431, 449, 503, 511, 514, 102_449, 104_449] {
            assert_eq!(verdict(code), Verdict::NotDone, "{code}");
        }
        for code in [408, 500] {
            assert_eq!(verdict(code), Verdict::Unknown, "{code}");
        }
        for code in [200, 301, 315, 403, 404, 405, 406, 414, 417, 419, 422, 7101] {
            assert_eq!(verdict(code), Verdict::Final, "{code}");
        }
        for code in [102_404, 102_405, 102_434, 103_451, 104_301, 104_404, 104_405, 104_429, 104_435, 104_451]
        {
            assert_eq!(verdict(code), Verdict::Final, "{code}");
        }
        assert_eq!(verdict(416), Verdict::Closed);
    }

    #[test]
    fn failed_authentication_has_another_code_in_each_api() {
        let is_about_us = |code, server, words| Answer::of(code, "desc", words).is_about_us(server);
        for server in [ServerApi::V9, ServerApi::V10] {
            assert!(is_about_us(315, server, ""));
            assert!(is_about_us(414, server, "CheckSum"));
            assert!(!is_about_us(414, server, "account_id is missing"));
        }
        assert!(is_about_us(403, ServerApi::V10, "forbidden"));
        assert!(!is_about_us(403, ServerApi::V9, "forbidden"), "there it is about what was asked for");
    }
}
