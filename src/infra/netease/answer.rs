//! What NetEase's answers mean: HTTP 200 with `{"code":N, …}`, in any order, `desc` sometimes missing.

use serde::Deserialize;

use crate::ports::gateway::GatewayError;

/// An answer that came whole.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Answer {
    /// NetEase's code.
    pub code: i64,
    /// Its words, where there are any.
    #[serde(default)]
    pub desc: String,
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
    /// Whether `desc` contains `words`, in any case: 414 says several things in words alone.
    pub fn says(&self, words: &str) -> bool {
        self.desc.to_ascii_lowercase().contains(words)
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
}

/// The error for a final answer that is not what was hoped for.
pub(super) fn refused(api: &'static str, answer: &Answer) -> GatewayError {
    let desc = if answer.desc.is_empty() { "no description".to_owned() } else { answer.desc.clone() };
    let ours = answer.code == 315
        || answer.code == 414 && ["checksum", "appkey", "curtime"].iter().any(|words| answer.says(words));
    if ours {
        // Every call fails like this until someone acts, so it must be seen.
        tracing::error!(api, code = answer.code, %desc, "NetEase does not accept this service: check netease.app_key, \
            netease.app_secret, the clock of this machine and the list of allowed addresses at NetEase");
    }
    GatewayError::Rejected { api, code: answer.code, desc }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_order_varies_and_desc_may_be_missing() {
        let read = |text| serde_json::from_str::<Answer>(text).unwrap();
        assert_eq!(read(r#"{"code":200,"info":{}}"#).code, 200);
        assert!(read(r#"{"desc":"Already Register","code":414}"#).says("already register"));
    }

    #[test]
    fn only_passing_trouble_is_asked_again() {
        let verdict = |code| Answer { code, desc: String::new() }.verdict();
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
}
