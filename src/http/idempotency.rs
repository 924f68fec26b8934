//! `Idempotency-Key`: by what a caller can repeat a request without having it done twice.

use axum::http::HeaderMap;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::problem::Problem;
use super::request::{Authenticated, read_json};
use crate::ports::outbox::IdempotencyKey;

/// IETF draft, httpapi-idempotency-key-header.
pub const HEADER: &str = "Idempotency-Key";
const MAX_CHARS: usize = 255;

/// The key of a request, if it has one, with what it stands for: its caller, and what the body means, whatever its
/// spaces and the order of its fields.
pub fn order_key(
    headers: &HeaderMap,
    caller: &Authenticated,
    body: &[u8],
) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(key) = key(headers)? else { return Ok(None) };
    let body: Value = read_json(body)?;
    let (caller, fingerprint) = (sha256(caller.0.subject()), sha256(&body.to_string()));
    Ok(Some(IdempotencyKey { caller, key, fingerprint }))
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
