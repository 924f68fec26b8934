//! The bounds of a key, which stand where the key does.
//!
//! Numbers and durations have a range, `1..=500`; they cannot be [`Any`]thing, because every queue, cache, batch, retry
//! and time-out of this service has an end.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use url::Url;

use super::{AuthMode, LogFormat, NeteaseApi, ReconcileMode};
use crate::domain::ids::{LetterCase, UserId};

/// What a key of type `T` may be.
pub(super) trait Bounds<T> {
    /// `value`, or the predicate of a sentence that begins with the key and holds no value.
    fn check(&self, value: &T) -> Result<(), String>;

    /// The bounds as `docs/configuration.md` has them; empty where there is nothing to say.
    fn words(&self) -> String {
        String::new()
    }
}

/// What is not set is within all bounds.
impl<T, B: Bounds<T>> Bounds<Option<T>> for B {
    fn check(&self, value: &Option<T>) -> Result<(), String> {
        value.as_ref().map_or(Ok(()), |value| self.check(value))
    }

    fn words(&self) -> String {
        self.words()
    }
}

/// What is measured.
pub(super) trait Quantity: PartialOrd {
    /// As it is written in a file.
    fn written(&self) -> String;
}

impl<T: Quantity> Bounds<T> for RangeInclusive<T> {
    fn check(&self, value: &T) -> Result<(), String> {
        match self.contains(value) {
            true => Ok(()),
            false => Err(format!("must be from {} to {}", self.start().written(), self.end().written())),
        }
    }

    fn words(&self) -> String {
        format!("{}–{}", self.start().written(), self.end().written())
    }
}

macro_rules! counts {
    ($($type:ty),*) => {
        $(impl Quantity for $type {
            fn written(&self) -> String {
                self.to_string()
            }
        })*
    };
}

counts!(u32, u64, usize);

impl Quantity for Duration {
    fn written(&self) -> String {
        let millis = self.as_millis();
        let units = [(3_600_000, "h"), (60_000, "m"), (1000, "s")];
        let whole = units.iter().find(|(unit, _)| millis != 0 && millis.is_multiple_of(*unit));
        whole.map_or_else(|| format!("{millis}ms"), |(unit, name)| format!("{}{name}", millis / unit))
    }
}

/// Milliseconds.
pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Seconds.
pub(super) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Minutes.
pub(super) const fn mins(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}

/// Hours.
pub(super) const fn hours(hours: u64) -> Duration {
    Duration::from_hours(hours)
}

/// Whatever the type allows.
pub(super) struct Any;

macro_rules! unbounded {
    ($($type:ty),*) => {
        $(impl Bounds<$type> for Any {
            fn check(&self, _: &$type) -> Result<(), String> {
                Ok(())
            }
        })*
    };
}

unbounded!(bool, SocketAddr, AuthMode, LogFormat, LetterCase, NeteaseApi, ReconcileMode);

/// Text that says something, without white space around it.
pub(super) struct Filled;

impl Bounds<String> for Filled {
    fn check(&self, value: &String) -> Result<(), String> {
        filled(value, "is empty: set it, or leave it out")
    }
}

impl Bounds<PathBuf> for Filled {
    fn check(&self, value: &PathBuf) -> Result<(), String> {
        match value == Path::new("") {
            true => Err("is empty: set it, or leave it out".to_owned()),
            false => Ok(()),
        }
    }
}

fn filled(value: &str, empty: &str) -> Result<(), String> {
    match value {
        value if value.trim().is_empty() => Err(empty.to_owned()),
        value if value.trim() != value => Err("begins or ends with white space: write it without".to_owned()),
        _ => Ok(()),
    }
}

/// A secret: not blank, and without the white space or line feed that a file or a copy leaves at its end. Holds what to
/// say of one that is blank.
pub(super) struct Secret(pub &'static str);

impl Bounds<SecretString> for Secret {
    fn check(&self, value: &SecretString) -> Result<(), String> {
        filled(value.expose_secret(), self.0)
    }
}

impl Bounds<Vec<SecretString>> for Secret {
    fn check(&self, value: &Vec<SecretString>) -> Result<(), String> {
        each(self, value)
    }
}

/// Whether every entry of a list is within the bounds of one.
fn each<T>(bounds: &impl Bounds<T>, entries: &[T]) -> Result<(), String> {
    entries.iter().enumerate().try_for_each(|(at, entry)| {
        bounds.check(entry).map_err(|predicate| format!("has an entry, number {}, that {predicate}", at + 1))
    })
}

/// The app key, which each call carries as a header.
pub(super) struct AppKey;

impl Bounds<String> for AppKey {
    fn check(&self, value: &String) -> Result<(), String> {
        if value.is_empty() {
            return Err("is missing: set it, or OTC_IM__NETEASE__APP_KEY, to the key of your app".to_owned());
        }
        match value.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(()),
            false => Err("holds white space or a character that no app key has: copy it again".to_owned()),
        }
    }
}

/// A user id of the site.
pub(super) struct User;

impl Bounds<String> for User {
    fn check(&self, value: &String) -> Result<(), String> {
        UserId::check(value).map_err(|rule| rule.to_string())
    }
}

impl Bounds<Vec<String>> for User {
    fn check(&self, value: &Vec<String>) -> Result<(), String> {
        each(self, value)
    }
}

/// A msgType as NetEase writes them: `TIPS`, `NOTIFICATION`.
pub(super) struct MsgType;

impl Bounds<String> for MsgType {
    fn check(&self, value: &String) -> Result<(), String> {
        let known_form = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        match (1..=64).contains(&value.len()) && value.bytes().all(known_form) {
            true => Ok(()),
            false => Err(
                "must be a msgType as NetEase writes it, such as TIPS: upper-case letters, digits and _, at \
                          most 64"
                    .to_owned(),
            ),
        }
    }
}

impl Bounds<Vec<String>> for MsgType {
    fn check(&self, value: &Vec<String>) -> Result<(), String> {
        each(self, value)
    }
}

/// An origin as a browser sends it, or `loopback`.
pub(super) struct Origin;

impl Bounds<Vec<String>> for Origin {
    fn check(&self, value: &Vec<String>) -> Result<(), String> {
        each(self, value)
    }
}

impl Bounds<String> for Origin {
    fn check(&self, value: &String) -> Result<(), String> {
        let is_origin = |url: &Url| {
            matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == *value
        };
        match value == super::LOOPBACK || Url::parse(value).as_ref().is_ok_and(is_origin) {
            true => Ok(()),
            false => Err("must be an origin as browsers send it, such as https://shop.example (lower case, no path, no \
                          slash at its end, no port 443), or loopback"
                .to_owned()),
        }
    }
}

/// Log levels by module.
pub(super) struct LogFilter;

impl Bounds<String> for LogFilter {
    /// A word alone must be a level: tracing itself takes it for the name of a module, and then logs nothing else.
    fn check(&self, value: &String) -> Result<(), String> {
        let has_level = |directive: &str| {
            let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level).trim();
            !level.is_empty() && level.parse::<LevelFilter>().is_ok()
        };
        match value.split(',').all(has_level) && EnvFilter::try_new(value).is_ok() {
            true => Ok(()),
            false => {
                Err("must be a level (error, warn, info, debug, trace or off) or levels by module, such as \
                          info,otc_im=debug"
                    .to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_msg_type_is_written_as_netease_writes_it() {
        for taken in ["TIPS", "NRTC_NETCALL", "X2", &"X".repeat(64)] {
            assert_eq!(MsgType.check(&taken.to_owned()), Ok(()));
        }
        for refused in ["", "tips", "TIPS ", "提醒", "A,B", &"X".repeat(65)] {
            let said = MsgType.check(&vec!["TIPS".to_owned(), refused.to_owned()]).unwrap_err();
            assert!(said.starts_with("has an entry, number 2, that must be a msgType"), "{said}");
        }
    }
}
