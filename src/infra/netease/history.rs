//! What both server APIs call messages in their history, and what copies call them.

use serde_json::Value;

/// The numbers of message types (NIM server API, history) and what copies call them.
const TYPES: [(i64, &str); 10] = [
    (0, "TEXT"),
    (1, "PICTURE"),
    (2, "AUDIO"),
    (3, "VIDEO"),
    (4, "LOCATION"),
    (5, "NOTIFICATION"),
    (6, "FILE"),
    (10, "TIPS"),
    (12, "NRTC_NETCALL"),
    (100, "CUSTOM"),
];

/// The numbers of clients (NIM server API, history) and what copies call them.
const CLIENTS: [(i64, &str); 8] = [
    (1, "AOS"),
    (2, "IOS"),
    (4, "PC"),
    (8, "WINPHONE"),
    (16, "WEB"),
    (32, "REST"),
    (64, "MAC"),
    (65, "HARMONY"),
];

/// What copies call a message of this type: its number, if it has no name.
pub(super) fn type_name(number: i64) -> String {
    named(&TYPES, number).unwrap_or_else(|| number.to_string())
}

/// What copies call a client.
pub(super) fn client_name(number: i64) -> Option<String> {
    named(&CLIENTS, number)
}

fn named(names: &[(i64, &str)], number: i64) -> Option<String> {
    names.iter().find(|(of, _)| *of == number).map(|(_, name)| (*name).to_owned())
}

/// A number, or text that is one.
pub(super) fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// Text, or a number as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
