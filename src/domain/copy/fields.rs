//! The fields of a JSON object, each as the text that it came as. An event reads those that it asks for; nothing is
//! unescaped, copied or refused on account of the others.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::ids::{Accid, Millis, ServerId};

/// 9999-12-31: beyond it a number is no time of a message, and every time stays exact in a double.
const LAST_MILLIS: i64 = 253_402_300_799_999;

/// As many as the usual copy has.
const USUAL: usize = 24;

/// Name and JSON text of each field, in their order. A name may be there twice.
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, &'a str)>);

/// A string, a number or a boolean, as text.
pub(super) struct Scalar<'a> {
    pub text: Cow<'a, str>,
    pub is_number: bool,
}

impl<'a> Fields<'a> {
    /// Reads one object and nothing after it.
    pub fn of(text: &'a str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The JSON text of a field that a rule looks at: there at most once. An explicit null is absence.
    fn one(&self, name: &str) -> Result<Option<&'a str>, String> {
        let mut found = self.0.iter().filter(|(field, _)| field == name).map(|(_, json)| *json);
        let first = found.next();
        match found.next() {
            None => Ok(first.filter(|json| *json != "null")),
            Some(_) => Err(format!("{name} is there twice")),
        }
    }

    /// A string, or what NetEase sends in its place.
    pub fn scalar(&self, name: &str) -> Result<Option<Scalar<'a>>, String> {
        let Some(json) = self.one(name)? else { return Ok(None) };
        match json.as_bytes().first() {
            Some(b'"') => {
                let text = string(json).ok_or_else(|| format!("{name} is a text that cannot be read"))?;
                Ok(Some(Scalar { text, is_number: false }))
            }
            Some(b'{' | b'[') => Err(format!("{name} is neither text nor a number")),
            _ => Ok(Some(Scalar { text: json.into(), is_number: !matches!(json, "true" | "false") })),
        }
    }

    /// Text, or the JSON that stands where JSON text is documented.
    pub fn json(&self, name: &str) -> Result<Option<Cow<'a, str>>, String> {
        Ok(self.one(name)?.and_then(kept))
    }

    /// What a field holds that no rule looks at, as text.
    pub fn first(&self, name: &str) -> Option<Cow<'a, str>> {
        self.0.iter().find(|(field, _)| field == name).and_then(|(_, json)| kept(json))
    }

    /// Whether it is there, whatever it holds.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(field, json)| field == name && *json != "null")
    }

    pub fn need(&self, name: &str) -> Result<Cow<'a, str>, String> {
        self.scalar(name)?.map(|scalar| scalar.text).ok_or_else(|| format!("{name} is missing"))
    }

    pub fn accid(&self, name: &str) -> Result<Accid, String> {
        Accid::from_nim(&self.need(name)?).map_err(|e| format!("{name} {e}"))
    }

    pub fn server_id(&self, name: &str) -> Result<ServerId, String> {
        let id = self.need(name)?.parse().ok().and_then(ServerId::new);
        id.ok_or_else(|| format!("{name} is not a number from 1 to 2^63-1"))
    }

    pub fn millis(&self, name: &str) -> Result<Millis, String> {
        match self.need(name)?.parse() {
            Ok(ms @ 0..=LAST_MILLIS) => Ok(Millis(ms)),
            _ => Err(format!("{name} is not a time in milliseconds")),
        }
    }

    /// Name and value of every field that says anything, in their order.
    pub fn into_texts(self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        self.0.into_iter().filter_map(|(name, json)| Some((name, kept(json)?)))
    }
}

/// A value as text: a string is what it holds, all else its JSON text; so is a string that is none (half of a surrogate
/// pair). A null is absence.
fn kept(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first() {
        Some(b'"') => Some(string(json).unwrap_or(Cow::Borrowed(json))),
        _ => (json != "null").then_some(Cow::Borrowed(json)),
    }
}

/// What a JSON string holds. One without an escape holds what stands between its quotes.
fn string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(json).ok().map(Cow::Owned) } else { Some(inner.into()) }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(USUAL);
                while let Some((Name(name), json)) = map.next_entry::<_, &RawValue>()? {
                    fields.push((name, json.get()));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// The name of a field, borrowed where it has no escape.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}
