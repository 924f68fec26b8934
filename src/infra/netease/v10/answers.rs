//! What answers of V10 tell in `data`, and those of its codes that are no refusal.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::ids::Accid;
use crate::infra::netease::answer::{Answer, refused, tell_unreadable};
use crate::infra::netease::call::Call;
use crate::ports::gateway::{GatewayError, LeftOut};

/// There is such an account.
pub(super) const ALREADY_REGISTERED: i64 = 102_405;
/// The two are friends.
pub(super) const ALREADY_FRIENDS: i64 = 104_405;
/// There is no such account.
const UNKNOWN: i64 = 102_404;

/// One of `failed_list`: an account that NetEase has done nothing for.
#[derive(Deserialize)]
struct Failed {
    account_id: String,
    error_code: i64,
    #[serde(default)]
    error_msg: Option<String>,
}

impl Failed {
    /// What the call would have been answered, had it been about this account alone.
    fn answer(&self) -> Answer {
        Answer::of(self.error_code, "msg", self.error_msg.as_deref().unwrap_or_default())
    }
}

/// A list of `data`; `None` if there is none.
fn list<'a>(answer: &'a Answer, name: &str) -> Option<&'a Vec<Value>> {
    answer.field("data").get(name)?.as_array()
}

/// Whom a batch of notices did not reach.
pub(super) fn left_out(answer: &Answer) -> Vec<LeftOut> {
    let read = |entry: &Value| {
        let failed = Failed::deserialize(entry).ok()?;
        let refusal = (failed.error_code != UNKNOWN)
            .then(|| format!("code {}, {}", failed.error_code, failed.answer().words()));
        Some(LeftOut { to: Accid::from_nim(&failed.account_id).ok()?, refusal })
    };
    let failed = list(answer, "failed_list").into_iter().flatten();
    failed.map(read).collect::<Option<Vec<_>>>().unwrap_or_else(|| {
        // The notices are out: an error here would have them sent again.
        tell_unreadable();
        Vec::new()
    })
}

/// A name for each account that NetEase knows, empty if it has none. NetEase not knowing an account is its own code; any
/// other one is an error, for it would not be true that NetEase does not know it.
pub(super) fn names_in(call: &Call, answer: &Answer) -> Result<BTreeMap<Accid, String>, GatewayError> {
    let (known, failed) = (list(answer, "success_list"), list(answer, "failed_list"));
    let unreadable = || GatewayError::OutOfReach(format!("its answer to {} cannot be read", call.name()));
    if known.is_none() && failed.is_none() {
        return Err(unreadable());
    }
    for entry in failed.into_iter().flatten() {
        let failed = Failed::deserialize(entry).map_err(|_| unreadable())?;
        if failed.error_code != UNKNOWN {
            return Err(refused(call, &failed.answer()));
        }
    }
    let named = |user: &Value| {
        let accid = Accid::from_nim(user.get("account_id")?.as_str()?).ok()?;
        Some((accid, user.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()))
    };
    known.into_iter().flatten().map(|user| named(user).ok_or_else(unreadable)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::netease::v10::names;

    fn read(data: &str) -> Answer {
        serde_json::from_str(&format!(r#"{{"msg":"success","data":{data},"code":200}}"#)).unwrap()
    }

    fn accid(name: &str) -> Accid {
        Accid::from_nim(name).unwrap()
    }

    #[test]
    fn who_is_left_out_of_a_batch_is_told_with_the_reason() {
        let failed = r#"[{"account_id":"A","error_code":102404,"error_msg":"account not exist"},
            {"account_id":"b","error_code":102426,"error_msg":"account\nbanned","more":1},
            {"account_id":"c","error_code":102434}]"#;
        let left = left_out(&read(&format!(r#"{{"success_list":["d"],"failed_list":{failed}}}"#)));
        let refusals = [None, Some("code 102426, account banned"), Some("code 102434, no description")];
        let all = ["a", "b", "c"].into_iter().zip(refusals);
        let all = all.map(|(to, refusal)| LeftOut { to: accid(to), refusal: refusal.map(str::to_owned) });
        assert_eq!(left, all.collect::<Vec<_>>());
        for nobody in ["{}", r#"{"failed_list":[]}"#, r#"{"failed_list":null}"#, r#"{"failed_list":["odd"]}"#]
        {
            assert_eq!(left_out(&read(nobody)), [], "{nobody}");
        }
    }

    #[test]
    fn an_account_is_unknown_only_if_netease_says_so() {
        let call = names(&[accid("a")]);
        let told = |data: &str| names_in(&call, &read(data));
        let known = r#"[{"account_id":"A","name":"Ann","gender":1},{"account_id":"b"}]"#;
        let unknown = r#"[{"account_id":"c","error_code":102404,"error_msg":"no"}]"#;
        let both = BTreeMap::from([(accid("a"), "Ann".to_owned()), (accid("b"), String::new())]);
        assert_eq!(told(&format!(r#"{{"success_list":{known},"failed_list":{unknown}}}"#)), Ok(both.clone()));
        assert_eq!(told(&format!(r#"{{"success_list":{known}}}"#)), Ok(both));
        assert_eq!(told(&format!(r#"{{"failed_list":{unknown}}}"#)), Ok(BTreeMap::new()));
        for odd in ["{}", "[]", r#"{"success_list":"odd"}"#, r#"{"success_list":[{"id":"a"}]}"#] {
            assert!(matches!(told(odd), Err(GatewayError::OutOfReach(_))), "{odd}");
        }
        let failed =
            |code: i64| told(&format!(r#"{{"failed_list":[{{"account_id":"a","error_code":{code}}}]}}"#));
        assert!(matches!(failed(102_449), Err(GatewayError::Transient { code: 102_449, .. })));
        assert!(matches!(failed(403), Err(GatewayError::NotAccepted { code: 403, .. })));
        assert!(matches!(failed(102_426), Err(GatewayError::Rejected { code: 102_426, .. })));
    }
}
