//! `Idempotency-Key`: by what a caller can repeat a request without having it done twice. How long a key is remembered:
//! `KEY_LIFETIME_MS` in `domain/outbox.rs`.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::json::read_json;
use super::problem::Problem;
use super::request::Authenticated;
use crate::ports::outbox::IdempotencyKey;

/// IETF draft, httpapi-idempotency-key-header.
pub const HEADER: &str = "Idempotency-Key";
const MAX_CHARS: usize = 255;

/// The key of a request, if it has one, with what it stands for: its caller, and the text of the body.
pub fn order_key(
    headers: &HeaderMap,
    caller: &Authenticated,
    body: &[u8],
) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(key) = key(headers)? else { return Ok(None) };
    let fingerprint = sha256(&comparable(body)?);
    let former_fingerprint = formerly_comparable(body).map(|text| sha256(&text));
    Ok(Some(IdempotencyKey { caller: sha256(caller.0.subject()), key, fingerprint, former_fingerprint }))
}

/// What two requests have in common if one repeats the other: the fields of the body by name, each value as it was
/// written, without the white space between its tokens.
fn comparable(body: &[u8]) -> Result<String, Problem> {
    let fields: BTreeMap<String, &RawValue> = read_json(body)?;
    let mut text = String::with_capacity(body.len());
    for (name, value) in fields {
        text.push_str(&name);
        text.push(':');
        without_blanks(value.get(), &mut text);
        text.push('\n');
    }
    Ok(text)
}

fn without_blanks(json: &str, into: &mut String) {
    let (mut in_string, mut escaped) = (false, false);
    for char in json.chars() {
        if in_string || !char.is_ascii_whitespace() {
            into.push(char);
        }
        in_string ^= char == '"' && !escaped;
        escaped = char == '\\' && !escaped;
    }
}

/// The fingerprint of the previous release, which compared values: numbers have some 17 digits there. Its keys live for
/// 24 h, so the next release can do without.
fn formerly_comparable(body: &[u8]) -> Option<String> {
    serde_json::from_slice(body).ok().map(|body: Value| body.to_string())
}

/// Bare, or in the quotes of a structured field.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut given = headers.get_all(HEADER).iter();
    let Some(first) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return Err(Problem::invalid(HEADER, "must be given once"));
    }
    let text = first.to_str().unwrap_or_default();
    let key = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    if !(1..=MAX_CHARS).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let rule = format!("must have 1 to {MAX_CHARS} visible ASCII characters");
        return Err(Problem::invalid(HEADER, rule));
    }
    Ok(Some(key.to_owned()))
}

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}
