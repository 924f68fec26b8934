//! What answers of V9 tell beside their code.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::domain::ids::Accid;
use crate::infra::netease::answer::{Answer, tell_unreadable};

/// `unregister` of msg/sendBatchAttachMsg: those whom NetEase does not know.
///
/// It is seen as an array, as a string that holds one, and not at all.
pub(super) fn unregistered(answer: &Answer) -> Vec<Accid> {
    let given = answer.field("unregister");
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

/// `uinfos` of user/getUinfos: a name for each account that NetEase knows, empty if it has none.
pub(super) fn names_in(answer: &Answer) -> BTreeMap<Accid, String> {
    let named = |uinfo: &Value| {
        let accid = Accid::from_nim(uinfo.get("accid")?.as_str()?).ok()?;
        let name = uinfo.get("name").and_then(Value::as_str).unwrap_or_default();
        Some((accid, name.to_owned()))
    };
    answer.field("uinfos").as_array().into_iter().flatten().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Answer {
        serde_json::from_str(text).unwrap()
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
            assert_eq!(unregistered(&read(text)), accids, "{text}");
        }
    }

    #[test]
    fn names_are_empty_where_there_are_none() {
        let answer = read(
            r#"{"uinfos":[{"accid":"A","name":"Ann","icon":"x"},{"accid":"b"},{"name":"?"}],"code":200}"#,
        );
        let names: Vec<_> =
            names_in(&answer).into_iter().map(|(accid, name)| (accid.to_string(), name)).collect();
        assert_eq!(names, [("a".to_owned(), "Ann".to_owned()), ("b".to_owned(), String::new())]);
        assert!(names_in(&read(r#"{"code":200}"#)).is_empty());
    }
}
