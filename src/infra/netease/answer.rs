//! What NetEase's answers mean: HTTP 200 with `{"code":N, …}`, in any order, `desc` sometimes missing.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::call::Api;
use crate::domain::excerpt::excerpt;
use crate::domain::ids::Accid;
use crate::log_gate::LogGate;
use crate::ports::gateway::GatewayError;

/// Characters of NetEase's words that are kept; those that it is known to say are far shorter.
const LONGEST_DESC: usize = 200;

/// An answer that came whole.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Answer {
    /// NetEase's code.
    pub code: i64,
    /// Whatever else there is: `desc`, and what each API tells.
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
    /// NetEase's words, which go into log lines, answers, stores and terminals: so many of them, and no control
    /// characters. Empty where there are none.
    pub fn desc(&self) -> String {
        excerpt(self.said(), LONGEST_DESC)
    }

    /// Whether `desc` contains `words`, in any case: 414 says several things in words alone.
    pub fn says(&self, words: &str) -> bool {
        self.said().to_ascii_lowercase().contains(words)
    }

    fn said(&self) -> &str {
        self.fields.get("desc").and_then(Value::as_str).unwrap_or_default()
    }

    /// By the table of codes (NIM server API). 431 is a repeated RequestId, and each attempt has a fresh one.
    pub fn verdict(&self) -> Verdict {
        match self.code {
            416 => Verdict::Closed,
            398 | 399 | 415 | 431 | 449 | 503 | 511 | 514 => Verdict::NotDone,
            408 | 500 => Verdict::Unknown,
            _ => Verdict::Final,
        }
    }

    /// Whether it is this service that NetEase does not accept, rather than what the call asks for.
    pub fn is_about_us(&self) -> bool {
        self.code == 315
            || self.code == 414 && ["checksum", "appkey", "curtime"].iter().any(|words| self.says(words))
    }

    /// `unregister` of msg/sendBatchAttachMsg: those whom NetEase does not know.
    ///
    /// It is seen as an array, as a string that holds one, and not at all.
    pub fn unregistered(&self) -> Vec<Accid> {
        let given = self.fields.get("unregister").unwrap_or(&Value::Null);
        let held = match given {
            Value::String(text) if text.trim().is_empty() => Value::Null,
            Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| given.clone()),
            other => other.clone(),
        };
        match held {
            Value::Null => Vec::new(),
            Value::Array(accids) => {
                accids.iter().filter_map(|accid| Accid::from_nim(accid.as_str()?).ok()).collect()
            }
            _ => {
                // The notices are out: an error here would have them sent again.
                tell_unreadable();
                Vec::new()
            }
        }
    }

    /// The members of an array, which may stand in `data`; none if it is missing.
    pub fn list(&self, name: &str) -> &[Value] {
        let within = || self.fields.get("data")?.get(name);
        self.fields.get(name).or_else(within).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    /// `uinfos` of user/getUinfos: a name for each account that NetEase knows, empty if it has none.
    pub fn names(&self) -> BTreeMap<Accid, String> {
        let named = |uinfo: &Value| {
            let accid = Accid::from_nim(uinfo.get("accid")?.as_str()?).ok()?;
            let name = uinfo.get("name").and_then(Value::as_str).unwrap_or_default();
            Some((accid, name.to_owned()))
        };
        self.list("uinfos").iter().filter_map(named).collect()
    }
}

/// The error for a final answer that is not what was hoped for.
pub(super) fn refused(api: Api, answer: &Answer) -> GatewayError {
    let desc = match answer.desc() {
        desc if desc.is_empty() => "no description".to_owned(),
        desc => desc,
    };
    let api = api.name();
    if answer.is_about_us() {
        // Every call fails like this until someone acts, so it must be seen.
        tell_not_accepted(api, answer.code, &desc);
        return GatewayError::NotAccepted { api, code: answer.code, desc };
    }
    GatewayError::Rejected { api, code: answer.code, desc }
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

fn tell_unreadable() {
    static UNREADABLE: LogGate = LogGate::new();
    if let Some(count) = UNREADABLE.pass() {
        tracing::warn!(count, "NetEase's list of unregistered accids cannot be read; taken for empty");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Answer {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn key_order_varies_and_desc_may_be_missing() {
        assert_eq!(read(r#"{"code":200,"info":{}}"#).code, 200);
        assert_eq!(read(r#"{"desc":null,"code":500}"#).desc(), "");
        assert!(read(r#"{"desc":"Already Register","code":414}"#).says("already register"));
    }

    #[test]
    fn what_netease_says_is_cut_and_harmless_wherever_it_goes() {
        let said = format!("checksum\n\u{1b}[2J\0{}", "x".repeat(10_000));
        for code in [414, 403] {
            let answer = Answer { code, fields: Map::from_iter([("desc".to_owned(), said.clone().into())]) };
            assert_eq!(answer.desc().chars().count(), LONGEST_DESC);
            let error = refused(Api::UserCreate, &answer);
            assert_eq!(matches!(error, GatewayError::NotAccepted { .. }), code == 414, "{error}");
            let told = error.to_string();
            assert!(told.chars().count() < LONGEST_DESC + 100, "{told}");
            assert!(!told.contains(char::is_control), "{told:?}");
        }
        assert!(read(&format!(r#"{{"code":414,"desc":"{} AppKey"}}"#, "x".repeat(300))).says("appkey"));
    }

    #[test]
    fn only_passing_trouble_is_asked_again() {
        let verdict = |code| Answer { code, fields: Map::new() }.verdict();
        for code in [398, 399, 415, 431, 449, 503, 511, 514] {
            assert_eq!(verdict(code), Verdict::NotDone, "{code}");
        }
        for code in [408, 500] {
            assert_eq!(verdict(code), Verdict::Unknown, "{code}");
        }
        for code in [200, 301, 315, 403, 404, 405, 406, 414, 417, 419, 422, 7101] {
            assert_eq!(verdict(code), Verdict::Final, "{code}");
        }
        assert_eq!(verdict(416), Verdict::Closed);
    }

    #[test]
    fn unregistered_accids_come_in_every_form() {
        let two = vec![Accid::from_nim("a").unwrap(), Accid::from_nim("b").unwrap()];
        for (text, accids) in [
            (r#"{"code":200,"unregister":["a","B"]}"#, &*two),
            (r#"{"code":200,"unregister":"[\"a\",\"b\"]"}"#, &*two),
            (r#"{"code":200,"unregister":[]}"#, &[]),
            (r#"{"code":200,"unregister":"[]"}"#, &[]),
            (r#"{"code":200,"unregister":""}"#, &[]),
            (r#"{"code":200,"unregister":null}"#, &[]),
            (r#"{"code":200,"unregister":"who knows"}"#, &[]),
            (r#"{"code":200}"#, &[]),
        ] {
            assert_eq!(read(text).unregistered(), accids, "{text}");
        }
    }

    #[test]
    fn names_are_empty_where_there_are_none() {
        let answer = read(
            r#"{"uinfos":[{"accid":"A","name":"Ann","icon":"x"},{"accid":"b"},{"name":"?"}],"code":200}"#,
        );
        let names: Vec<_> =
            answer.names().into_iter().map(|(accid, name)| (accid.to_string(), name)).collect();
        assert_eq!(names, [("a".to_owned(), "Ann".to_owned()), ("b".to_owned(), String::new())]);
        assert!(read(r#"{"code":200}"#).names().is_empty());
    }
}
