//! What NetEase's answers mean: HTTP 200 with `{"code":N, …}`, in any order, `desc` sometimes missing.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::call::Api;
use crate::domain::ids::Accid;
use crate::ports::gateway::GatewayError;

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
    /// NetEase's words; empty where there are none.
    pub fn desc(&self) -> &str {
        self.fields.get("desc").and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether `desc` contains `words`, in any case: 414 says several things in words alone.
    pub fn says(&self, words: &str) -> bool {
        self.desc().to_ascii_lowercase().contains(words)
    }

    /// By the table of codes (NIM server API). 431 is a repeated RequestId, and each attempt has a fresh one.
    pub fn verdict(&self) -> Verdict {
        match self.code {
            416 => Verdict::Closed,
            415 | 431 | 503 | 514 => Verdict::NotDone,
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
                tracing::warn!("NetEase's list of unregistered accids cannot be read; taken for empty");
                Vec::new()
            }
        }
    }

    /// `uinfos` of user/getUinfos: a name for each account that NetEase knows, empty if it has none.
    pub fn names(&self) -> BTreeMap<Accid, String> {
        let uinfos = self.fields.get("uinfos").and_then(Value::as_array);
        let named = |uinfo: &Value| {
            let accid = Accid::from_nim(uinfo.get("accid")?.as_str()?).ok()?;
            let name = uinfo.get("name").and_then(Value::as_str).unwrap_or_default();
            Some((accid, name.to_owned()))
        };
        uinfos.into_iter().flatten().filter_map(named).collect()
    }
}

/// The error for a final answer that is not what was hoped for.
pub(super) fn refused(api: Api, answer: &Answer) -> GatewayError {
    let desc = if answer.desc().is_empty() { "no description" } else { answer.desc() }.to_owned();
    let api = api.name();
    if answer.is_about_us() {
        // Every call fails like this until someone acts, so it must be seen.
        tracing::error!(api, code = answer.code, %desc, "NetEase does not accept this service: check netease.app_key, \
            netease.app_secret, the clock of this machine and the list of allowed addresses at NetEase");
        return GatewayError::NotAccepted { api, code: answer.code, desc };
    }
    GatewayError::Rejected { api, code: answer.code, desc }
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
    fn only_passing_trouble_is_asked_again() {
        let verdict = |code| Answer { code, fields: Map::new() }.verdict();
        for code in [415, 431, 503, 514] {
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
