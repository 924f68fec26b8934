//! What a token claims, and whether we believe it. Only claims under a verified signature come here.

use std::slice;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::ids::Millis;
use crate::ports::authenticator::{AuthError, Caller};

/// By how many seconds the issuer's clock and ours may differ: `exp` is taken as this much later, `nbf` as this much
/// earlier.
pub const LEEWAY_SECS: f64 = 30.0;

/// The last second of the year 9999. What lies beyond was not meant as seconds: today's milliseconds are.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// In what respect a token is not ours: the end of a sentence, without a word from the token.
pub(super) type Reason = &'static str;

/// The port's error for a reason.
pub(super) fn invalid(reason: Reason) -> AuthError {
    AuthError::Invalid(reason.to_owned())
}

/// The claims that we read (RFC 7519, 4.1; `scope`: RFC 8693, 4.2; `scp`: what some issuers call it). A claim given
/// twice is a parse error.
///
/// They are taken as any JSON first, so that a claim of the wrong type gets a reason of its own.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Claims {
    sub: Value,
    exp: Value,
    nbf: Value,
    iss: Value,
    aud: Value,
    scope: Value,
    scp: Value,
}

impl Claims {
    /// `exp` must be there and ahead, `nbf` may be there and must be past, give or take [`LEEWAY_SECS`]; both in
    /// seconds.
    pub(super) fn check_times(&self, now: Millis) -> Result<(), Reason> {
        let now = seconds(now);
        let expires = match &self.exp {
            Value::Null => return Err("its exp does not say when it expires"),
            exp => exp.as_f64().ok_or("its exp is not a number")?,
        };
        if expires > LAST_SECOND {
            return Err("its exp is not in seconds since 1970");
        }
        if now >= expires + LEEWAY_SECS {
            return Err("its exp is past: it has expired");
        }
        let begins = match &self.nbf {
            Value::Null => return Ok(()),
            nbf => nbf.as_f64().ok_or("its nbf is not a number")?,
        };
        if begins > LAST_SECOND {
            return Err("its nbf is not in seconds since 1970");
        }
        if now < begins - LEEWAY_SECS {
            return Err("its nbf is ahead: it is not valid yet");
        }
        Ok(())
    }

    /// `iss` must be `issuer`, and `aud` must be or hold `audience`, where these are given.
    pub(super) fn check_parties(&self, issuer: Option<&str>, audience: Option<&str>) -> Result<(), Reason> {
        if issuer.is_some_and(|ours| self.iss.as_str() != Some(ours)) {
            return Err("its iss is not our issuer");
        }
        let names = |ours: &str| match &self.aud {
            Value::Array(all) => all.iter().any(|one| one.as_str() == Some(ours)),
            one => one.as_str() == Some(ours),
        };
        if audience.is_some_and(|ours| !names(ours)) {
            return Err("its aud is not our audience");
        }
        Ok(())
    }

    /// The caller that `sub` names, a text or an integer, with the words of `scope` and of `scp`, texts or lists.
    /// What cannot be read of those two gives no scope: a call that needs one says so.
    pub(super) fn into_caller(self) -> Result<Caller, Reason> {
        let subject = match self.sub {
            Value::String(subject) if !subject.is_empty() => subject,
            Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
            Value::Null | Value::String(_) => return Err("its sub does not say whom it is for"),
            _ => return Err("its sub is neither a text nor an integer"),
        };
        let scopes = words(&self.scope).chain(words(&self.scp)).map(str::to_owned).collect();
        Ok(Caller::Token {
            subject,
            scopes,
            expires_at: millis(self.exp.as_f64().unwrap_or_default() + LEEWAY_SECS),
        })
    }
}

/// The words of a text, or of the texts of a list.
fn words(claim: &Value) -> impl Iterator<Item = &str> {
    let texts = claim.as_array().map_or_else(|| slice::from_ref(claim), Vec::as_slice);
    texts.iter().filter_map(Value::as_str).flat_map(str::split_ascii_whitespace)
}

/// A time that is no number of milliseconds is cut to the nearest one that is.
#[expect(clippy::cast_possible_truncation, reason = "saturates, which is what is wanted")]
fn millis(seconds: f64) -> Millis {
    Millis((seconds * 1000.0) as i64)
}

#[expect(clippy::cast_precision_loss, reason = "exact for any time up to the year 287396")]
fn seconds(now: Millis) -> f64 {
    now.0 as f64 / 1000.0
}
