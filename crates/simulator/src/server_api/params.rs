//! The form fields of a server API call, checked against NIM's limits, and the answer to a call.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use percent_encoding::percent_decode;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use crate::reception::Said;

/// The longest accid, in characters (user/create).
const LONGEST_ACCID: usize = 32;

/// NIM's answer: a code and, beside it, whatever else the API tells.
#[derive(Debug)]
pub struct Answer {
    code: u32,
    fields: Map<String, Value>,
}

impl Answer {
    /// `{"code":200}`
    pub fn done() -> Self {
        Self { code: 200, fields: Map::new() }
    }

    /// `{"code":200, name: value}`
    pub fn done_with(name: &str, value: Value) -> Self {
        Self::done().and(name, value)
    }

    /// The same answer with one field more.
    pub fn and(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }

    /// `{"code":code, "desc":desc}`
    pub fn refused(code: u16, desc: &str) -> Self {
        Self::of(code.into(), desc)
    }

    /// The same with any code, such as one of V10 that a fault asks for.
    pub fn of(code: u32, desc: &str) -> Self {
        Self { code, fields: Map::new() }.and("desc", json!(desc))
    }

    /// 414 with a `desc` that starts with the field's name.
    pub fn bad(field: &str, why: &str) -> Self {
        Self::refused(414, &format!("{field} {why}"))
    }

    /// 414 about an accid that is not registered.
    pub fn unknown(field: &str) -> Self {
        Self::bad(field, "is not registered")
    }

    /// 503: there is no room for the copies of this call, which is not applied.
    pub fn queue_full() -> Self {
        Self::refused(503, "the queue of copies is full")
    }
}

impl Said for Answer {
    fn code(&self) -> u32 {
        self.code
    }

    fn into_body(mut self) -> String {
        self.fields.insert("code".to_owned(), json!(self.code));
        Value::Object(self.fields).to_string()
    }
}

/// A decoded `application/x-www-form-urlencoded` body. Lengths are counted in characters.
#[derive(Debug)]
pub struct Params {
    fields: BTreeMap<String, String>,
}

impl Params {
    /// Decodes a body; a field given twice or one that is not UTF-8 is refused.
    pub fn parse(body: &[u8]) -> Result<Self, Answer> {
        let mut fields = BTreeMap::new();
        for pair in body.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |&byte| byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = decode(halves.next().unwrap_or_default())?;
            if fields.insert(name.clone(), value).is_some() {
                return Err(Answer::bad(&name, "is given twice"));
            }
        }
        Ok(Self { fields })
    }

    /// A field that must be there and not empty, of at most `most` characters.
    pub fn text(&self, name: &str, most: usize) -> Result<&str, Answer> {
        self.optional(name, most)?.ok_or_else(|| Answer::bad(name, "is missing"))
    }

    /// A field that may be missing; an empty one counts as missing.
    pub fn optional(&self, name: &str, most: usize) -> Result<Option<&str>, Answer> {
        let Some(value) = self.fields.get(name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        if value.chars().count() > most {
            return Err(Answer::bad(name, &format!("is longer than {most} characters")));
        }
        Ok(Some(value))
    }

    /// A field that, if it is there, is one of a few values.
    pub fn choice<'a>(&'a self, name: &str, allowed: &[&str]) -> Result<Option<&'a str>, Answer> {
        match self.optional(name, 16)? {
            Some(value) if !allowed.contains(&value) => {
                Err(Answer::bad(name, &format!("must be one of {}", allowed.join(", "))))
            }
            other => Ok(other),
        }
    }

    /// A field that, if it is there, is `true` or `false`, in any letter case: Python's clients write `True`.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Answer> {
        let Some(value) = self.optional(name, 5)? else { return Ok(None) };
        let value = value.to_ascii_lowercase().parse();
        value.map(Some).map_err(|_| Answer::bad(name, "must be true or false"))
    }

    /// A field that may be missing, and may be empty, which is another thing.
    pub fn given(&self, name: &str, most: usize) -> Result<Option<&str>, Answer> {
        let empty = self.fields.get(name).filter(|value| value.is_empty());
        Ok(self.optional(name, most)?.or(empty.map(String::as_str)))
    }

    /// A field that, if it is there, is a whole number within bounds.
    pub fn number(&self, name: &str, bounds: RangeInclusive<i64>) -> Result<Option<i64>, Answer> {
        let Some(text) = self.optional(name, 20)? else { return Ok(None) };
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        number.map(Some).ok_or_else(|| {
            Answer::bad(
                name,
                &format!("must be a whole number within {} and {}", bounds.start(), bounds.end()),
            )
        })
    }

    /// A time that must be there: Unix time in milliseconds, 0 included.
    pub fn time(&self, name: &str) -> Result<i64, Answer> {
        self.number(name, 0..=i64::MAX)?.ok_or_else(|| Answer::bad(name, "is missing"))
    }

    /// A field that, if it is there, is JSON.
    pub fn json(&self, name: &str, most: usize) -> Result<Option<Value>, Answer> {
        let Some(text) = self.optional(name, most)? else { return Ok(None) };
        serde_json::from_str(text).map(Some).map_err(|_| Answer::bad(name, "is not JSON"))
    }

    /// A field that, if it is there, is JSON, as it was written.
    pub fn json_text(&self, name: &str, most: usize) -> Result<Option<&str>, Answer> {
        let Some(text) = self.optional(name, most)? else { return Ok(None) };
        match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => Ok(Some(text)),
            Err(_) => Err(Answer::bad(name, "is not JSON")),
        }
    }

    /// An account id that must be there, lower-cased as NIM does.
    pub fn accid(&self, name: &str) -> Result<String, Answer> {
        let accid = self.text(name, LONGEST_ACCID)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_@.-".contains(c);
        if !accid.chars().all(allowed) {
            return Err(Answer::bad(name, "may hold only A-Z a-z 0-9 _ @ . -"));
        }
        Ok(accid.to_ascii_lowercase())
    }

    /// A JSON array of 1 to `most` account ids, lower-cased.
    pub fn accids(&self, name: &str, most: usize) -> Result<Vec<String>, Answer> {
        let text = self.text(name, usize::MAX)?;
        let accids: Vec<String> =
            serde_json::from_str(text).map_err(|_| Answer::bad(name, "is not a JSON array of strings"))?;
        if accids.is_empty() || accids.len() > most {
            return Err(Answer::bad(name, &format!("must hold 1 to {most} accids")));
        }
        Ok(accids.iter().map(|accid| accid.to_lowercase()).collect())
    }
}

fn decode(bytes: &[u8]) -> Result<String, Answer> {
    let spaced: Vec<u8> = bytes.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    let text =
        percent_decode(&spaced).decode_utf8().map_err(|_| Answer::refused(414, "the form is not UTF-8"))?;
    Ok(text.into_owned())
}
