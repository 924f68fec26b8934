//! The JSON body and the query of a call of V10, checked against NIM's limits. Lengths are counted in characters.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use percent_encoding::percent_decode_str;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::answer::Answer;

/// The longest account id, in characters.
const LONGEST_ID: usize = 32;

/// An object of a body. Fields that nobody asks for are passed over, as by NIM.
pub struct Fields {
    fields: Map<String, Value>,
}

impl Fields {
    /// Reads a body.
    pub fn parse(body: &[u8]) -> Result<Self, Answer> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self { fields }),
            _ => Err(Answer::bad("body", "is not a JSON object")),
        }
    }

    /// What is there under this name, unless it is null.
    fn given(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// An object that may be missing, and then is empty.
    pub fn object(&self, name: &str) -> Result<Self, Answer> {
        match self.given(name) {
            None => Ok(Self { fields: Map::new() }),
            Some(Value::Object(fields)) => Ok(Self { fields: fields.clone() }),
            Some(_) => Err(Answer::bad(name, "is not an object")),
        }
    }

    /// Text that may be missing; an empty one counts as missing.
    pub fn optional(&self, name: &str, most: usize) -> Result<Option<&str>, Answer> {
        let Some(value) = self.given(name) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| Answer::bad(name, "is not text"))?;
        if text.chars().count() > most {
            return Err(Answer::bad(name, &format!("is longer than {most} characters")));
        }
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// Text that must be there and not empty.
    pub fn text(&self, name: &str, most: usize) -> Result<&str, Answer> {
        self.optional(name, most)?.ok_or_else(|| Answer::bad(name, "is missing"))
    }

    /// Text that, if it is there, is JSON, as it was written.
    pub fn json_text(&self, name: &str, most: usize) -> Result<Option<&str>, Answer> {
        let text = self.optional(name, most)?;
        match text.map(serde_json::from_str::<IgnoredAny>) {
            Some(Err(_)) => Err(Answer::bad(name, "is not JSON")),
            _ => Ok(text),
        }
    }

    /// True or false, and which if it is missing.
    pub fn flag(&self, name: &str, missing: bool) -> Result<bool, Answer> {
        let value = self.given(name);
        value.map_or(Ok(missing), |value| {
            value.as_bool().ok_or_else(|| Answer::bad(name, "is not true or false"))
        })
    }

    /// A number that must be there and be one of a few.
    pub fn choice(&self, name: &str, allowed: &[u64]) -> Result<u64, Answer> {
        let number = self.given(name).and_then(Value::as_u64).filter(|number| allowed.contains(number));
        number.ok_or_else(|| Answer::bad(name, &format!("must be one of {allowed:?}")))
    }

    /// A whole number that may be missing.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Answer> {
        let number = |value: &Value| value.as_u64().ok_or_else(|| Answer::bad(name, "is not a whole number"));
        self.given(name).map(number).transpose()
    }

    /// What is there under this name, as text: JSON that is not text is written as such.
    pub fn any_text(&self, name: &str) -> Option<String> {
        self.given(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// An account id that must be there, lower-cased as NIM does.
    pub fn account(&self, name: &str) -> Result<String, Answer> {
        let id = self.text(name, LONGEST_ID)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_@.-".contains(c);
        match id.chars().all(allowed) {
            true => Ok(id.to_ascii_lowercase()),
            false => Err(Answer::bad(name, "may hold only A-Z a-z 0-9 _ @ . -")),
        }
    }

    /// 1 to `most` account ids, lower-cased.
    pub fn accounts(&self, name: &str, most: usize) -> Result<Vec<String>, Answer> {
        let ids = self.given(name).and_then(Value::as_array).filter(|ids| (1..=most).contains(&ids.len()));
        let ids = ids.and_then(|ids| ids.iter().map(|id| id.as_str().map(str::to_lowercase)).collect());
        ids.ok_or_else(|| Answer::bad(name, &format!("must be a list of 1 to {most} account ids")))
    }
}

/// The query of a call.
pub struct Query {
    parameters: BTreeMap<String, String>,
}

impl Query {
    /// Decodes a query.
    pub fn parse(query: &str) -> Result<Self, Answer> {
        let mut parameters = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value =
                percent_decode_str(value).decode_utf8().map_err(|_| Answer::bad(name, "is not UTF-8"))?;
            parameters.insert(name.to_owned(), value.into_owned());
        }
        Ok(Self { parameters })
    }

    /// A parameter, empty if it is missing.
    pub fn text(&self, name: &str) -> &str {
        self.parameters.get(name).map(String::as_str).unwrap_or_default()
    }

    /// A whole number within bounds; `missing` if it is not there, and refused if that is `None`.
    pub fn number(
        &self,
        name: &str,
        bounds: RangeInclusive<i64>,
        missing: Option<i64>,
    ) -> Result<i64, Answer> {
        let number = match self.text(name) {
            "" => missing,
            text => text.parse().ok().filter(|number| bounds.contains(number)),
        };
        let (least, most) = (bounds.start(), bounds.end());
        number.ok_or_else(|| Answer::bad(name, &format!("must be a whole number within {least} and {most}")))
    }

    /// 1 to `most` account ids with commas between them, lower-cased.
    pub fn accounts(&self, name: &str, most: usize) -> Result<Vec<String>, Answer> {
        let ids: Vec<String> = self.text(name).split(',').map(str::to_lowercase).collect();
        match ids.len() <= most && ids.iter().all(|id| !id.is_empty()) {
            true => Ok(ids),
            false => {
                Err(Answer::bad(name, &format!("must be 1 to {most} account ids with commas between them")))
            }
        }
    }
}
