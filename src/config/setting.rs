//! How a key's value is read, out of a file or out of the environment, where everything is text.
//!
//! No conversion between TOML's types: what is text has to be in quotes, because `app_secret = 1234567e12` would
//! otherwise become another secret. Errors are predicates that complete a sentence about the key; they never hold a
//! value, which may be a secret in the wrong place.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use toml::Value;

use super::{AuthMode, LogFormat, NeteaseApi, ReconcileMode};
use crate::domain::ids::LetterCase;

/// A type that a key can have.
pub(super) trait Setting: Sized {
    /// Takes a value, or says what it should have been.
    fn read(value: Value) -> Result<Self, String>;
}

impl Setting for String {
    fn read(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(text),
            _ => Err("must be text: put it in quotes".to_owned()),
        }
    }
}

impl Setting for SecretString {
    fn read(value: Value) -> Result<Self, String> {
        String::read(value).map(Into::into)
    }
}

impl Setting for PathBuf {
    fn read(value: Value) -> Result<Self, String> {
        String::read(value).map(Into::into)
    }
}

impl<T: Setting> Setting for Option<T> {
    fn read(value: Value) -> Result<Self, String> {
        T::read(value).map(Some)
    }
}

/// A list, or — as the environment has it — text with commas. Empty text is an empty list.
impl<T: Setting> Setting for Vec<T> {
    fn read(value: Value) -> Result<Self, String> {
        match value {
            Value::Array(entries) => entries.into_iter().map(T::read).collect(),
            Value::String(text) if text.trim().is_empty() => Ok(Self::new()),
            Value::String(text) => {
                text.split(',').map(|entry| T::read(Value::String(entry.trim().to_owned()))).collect()
            }
            _ => Err("must be a list, such as [\"one\", \"another\"]".to_owned()),
        }
    }
}

macro_rules! whole_numbers {
    ($($type:ty),*) => {
        $(impl Setting for $type {
            fn read(value: Value) -> Result<Self, String> {
                let number = match value {
                    Value::Integer(number) => number.try_into().ok(),
                    Value::String(text) => text.parse().ok(),
                    _ => None,
                };
                number.ok_or_else(|| "must be a whole number, not below zero and not out of all proportion".to_owned())
            }
        })*
    };
}

whole_numbers!(u32, u64, usize);

impl Setting for bool {
    fn read(value: Value) -> Result<Self, String> {
        let known = match &value {
            Value::Boolean(known) => Some(*known),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        known.ok_or_else(|| "must be true or false".to_owned())
    }
}

impl Setting for Duration {
    fn read(value: Value) -> Result<Self, String> {
        let known = value.as_str().and_then(|text| humantime::parse_duration(text).ok());
        known.ok_or_else(|| "must be a duration, such as \"500ms\", \"30s\", \"10m\" or \"1h\"".to_owned())
    }
}

impl Setting for SocketAddr {
    fn read(value: Value) -> Result<Self, String> {
        let known = value.as_str().and_then(|text| Self::from_str(text).ok());
        known.ok_or_else(|| {
            "must be an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"".to_owned()
        })
    }
}

/// Reads one of a few words.
fn one_of<T: Copy>(value: &Value, words: &[(&str, T)]) -> Result<T, String> {
    let known = words.iter().find(|(word, _)| value.as_str() == Some(word));
    known.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        format!("must be {}", words.join(" or "))
    })
}

impl Setting for AuthMode {
    fn read(value: Value) -> Result<Self, String> {
        one_of(&value, &[("jwt", Self::Jwt), ("none", Self::None)])
    }
}

impl Setting for ReconcileMode {
    fn read(value: Value) -> Result<Self, String> {
        one_of(&value, &[("auto", Self::Auto), ("off", Self::Off)])
    }
}

impl Setting for LetterCase {
    fn read(value: Value) -> Result<Self, String> {
        one_of(&value, &[("distinct", Self::Distinct), ("fold", Self::Fold)])
    }
}

impl Setting for NeteaseApi {
    fn read(value: Value) -> Result<Self, String> {
        one_of(&value, &[("v9", Self::V9), ("v10", Self::V10)])
    }
}

impl Setting for LogFormat {
    fn read(value: Value) -> Result<Self, String> {
        one_of(&value, &[("pretty", Self::Pretty), ("json", Self::Json)])
    }
}
