//! Reading a request's JSON, and saying in one sentence what is wrong with it.
//!
//! What is passed on as it was written is a `&RawValue` in a request: reading it as a value would lose digits.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::problem::{Code, Problem, quoted};

/// Reads a JSON object, borrowing from `body`. Broken text is unreadable; a wrong type, an unknown or a missing field
/// is invalid and named.
pub fn read_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    let text = str::from_utf8(body).map_err(|_| not_json("it is not UTF-8"))?;
    // Keeping track of the path costs more than reading does: only what cannot be read is read once more that way.
    match serde_json::from_str(text) {
        Ok(Object(read)) => Ok(read),
        Err(_) => read_tracked(text),
    }
}

fn read_tracked<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Problem> {
    let whole: &RawValue = serde_json::from_str(text).map_err(not_json)?;
    let mut deserializer = serde_json::Deserializer::from_str(whole.get());
    match serde_path_to_error::deserialize(&mut deserializer) {
        Ok(Object(read)) => Ok(read),
        Err(error) => Err(fault(&error.path().to_string(), error.inner())),
    }
}

/// For a field that may be left out or `null`, and else is a JSON object.
pub fn optional_object<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.map(|Object(read)| read))
}

/// A JSON object, read as a `T`. By itself serde takes an array of a struct's fields for the struct.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields))
    }
}

/// What is wrong at `path` of a text that is JSON. Serde says it in words alone, and some of them are Rust's.
fn fault(path: &str, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let said = text.rsplit_once(" at line ").map_or(&*text, |(said, _)| said);
    if let Some(field) = named(said, "missing field `") {
        return invalid(&within(path, field), "is missing");
    }
    if let Some(field) = named(said, "duplicate field `") {
        return invalid(&within(path, field), "is there more than once");
    }
    // What was found may be quoted from the request; what was expected never is.
    let (found, expected) = said.rsplit_once(", expected ").unwrap_or((said, ""));
    if found.starts_with("unknown field `") {
        let known = expected.strip_prefix("one of ").unwrap_or(expected).replace("` or `", "` and `");
        return invalid(path, &format!("is not a field of this call, which knows {known}"));
    }
    let expected = match expected {
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "u8" | "u16" | "u32" | "u64" | "i8" | "i16" | "i32" | "i64" => "a whole number",
        other => other,
    };
    if let Some(found) = found.strip_prefix("invalid type: ") {
        invalid(path, &format!("must be {expected}; it is {}", kind(found)))
    } else if found.starts_with("invalid value: ") {
        invalid(path, &format!("must be {expected} within bounds"))
    } else if said == "number out of range" {
        invalid(path, "is a number that is out of range")
    } else if error.is_data() {
        invalid(path, "is not as this call wants it")
    } else {
        half_an_escape(path)
    }
}

/// A text of JSON fails in nothing else once the body is known to be JSON.
pub fn half_an_escape(path: &str) -> Problem {
    let what = if path == "." { "the body".to_owned() } else { format!("`{}`", quoted(path)) };
    let detail = format!("{what} has an escape of \\ud800 to \\udfff that is not half of a pair");
    Problem::new(Code::Unreadable, detail)
}

fn named<'a>(said: &'a str, words: &str) -> Option<&'a str> {
    said.strip_prefix(words)?.strip_suffix('`')
}

fn within(path: &str, field: &str) -> String {
    let inside = path.strip_suffix(field).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    match path {
        "." => field.to_owned(),
        _ if inside => path.to_owned(),
        _ => format!("{path}.{field}"),
    }
}

fn kind(found: &str) -> &'static str {
    match found.split(' ').next() {
        Some("null") => "null",
        Some("boolean") => "true or false",
        Some("string") => "a string",
        Some("sequence") => "an array",
        Some("map") => "an object",
        Some("floating") => "a number with a fraction or an exponent",
        _ => "a number",
    }
}

fn invalid(path: &str, predicate: &str) -> Problem {
    match path {
        "." => Problem::new(Code::Invalid, format!("the body {predicate}")),
        _ => Problem::invalid(path, predicate),
    }
}

fn not_json(why: impl fmt::Display) -> Problem {
    Problem::new(Code::Unreadable, format!("the body is not JSON: {why}"))
}
