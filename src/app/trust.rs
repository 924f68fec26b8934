//! Adds `tls.ca_file` to the URL or the options of each driver.

use std::borrow::Cow;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::StartError;
use crate::config::{Config, ConfigError};
use crate::infra::authorities::Authorities;
use crate::infra::redis;

/// The authorities that the configuration names.
pub(super) fn authorities(config: &Config) -> Result<Authorities, StartError> {
    let Some(path) = &config.tls.ca_file else { return Ok(Authorities::default()) };
    let read = Authorities::read(path);
    Ok(read.map_err(|error| ConfigError(format!("tls.ca_file {} {error}", path.display())))?)
}

/// `accounts.url` with the authorities, unless it names its own.
pub(super) fn accounts_url(config: &Config) -> Result<String, StartError> {
    Ok(with_file(&config.accounts.url, &authorities(config)?).into_owned())
}

/// `messages.url` with the authorities, unless it names its own.
pub(super) fn messages_url(config: &Config) -> Result<String, StartError> {
    Ok(with_file(&config.messages.url, &authorities(config)?).into_owned())
}

/// `unread.url` with the authorities.
pub(super) fn view_address(config: &Config) -> Result<redis::RedisAddress, StartError> {
    Ok(redis::RedisAddress::from(&config.unread.url).trusting(&authorities(config)?))
}

/// The file says whom to trust, not whether to use TLS: that is for the URL to say.
fn with_file<'a>(url: &'a str, authorities: &Authorities) -> Cow<'a, str> {
    let Some(file) = authorities.file() else { return url.into() };
    let (place, parameters) = url.split_once('?').unwrap_or((url, ""));
    let parameters = parameters.to_ascii_lowercase();
    let says = |words: &[&str]| parameters.split('&').any(|is| words.iter().any(|word| is.starts_with(word)));
    let parameter = match place.split(':').next().unwrap_or_default() {
        "mysql" if !says(&["ssl-ca=", "sslca="]) => "ssl-ca",
        "mongodb" if says(&["tls=true", "ssl=true"]) && !says(&["tlscafile="]) => "tlsCAFile",
        "mongodb+srv" if !says(&["tls=false", "ssl=false", "tlscafile="]) => "tlsCAFile",
        _ => return url.into(),
    };
    let joint = match (url.contains('?'), parameters.is_empty()) {
        (false, _) => "?",
        (true, true) => "",
        (true, false) => "&",
    };
    format!("{url}{joint}{parameter}={}", utf8_percent_encode(file, NON_ALPHANUMERIC)).into()
}
