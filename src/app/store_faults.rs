//! Why a store cannot be used, in one sentence that names the key and the way out and shows no password.

use std::error::Error;

use super::StartError;
use crate::config::ConfigError;
use crate::infra::authorities::is_unknown_authority;

/// A store that was tried. What its driver cannot make anything of is a mistake in the URL; its words may quote that.
pub(super) fn unreachable_store(key: &str, url: &str, error: &(dyn Error + 'static)) -> StartError {
    if is_about_the_url(error) {
        let sentence =
            format!("{key} holds a parameter that the driver does not take: correct what follows the ?");
        return ConfigError(sentence).into();
    }
    let place = without_password(url);
    let way_out = match scheme(url) {
        _ if is_unknown_authority(error) => {
            "set tls.ca_file to the certificate of the authority that signed the server's"
        }
        "sqlite" => "make it a file that this user may write",
        "redis+sentinel" | "rediss+sentinel" => "start those servers",
        _ => "start that server",
    };
    StartError::Store(format!("{key}: cannot use {place}: {}; {way_out} or correct {key}", plain(error)))
}

/// A scheme that no adapter has; the configuration refuses it before.
pub(super) fn odd_scheme(key: &str, schemes: &str) -> StartError {
    ConfigError(format!("{key} must begin with {schemes}")).into()
}

pub(super) fn scheme(url: &str) -> &str {
    url.split_once(':').map_or("", |(scheme, _)| scheme)
}

/// The URL as it may be shown: without who logs in and how, and without parameters, which may hold secrets too.
pub(super) fn without_password(url: &str) -> String {
    let scheme = scheme(url);
    match url.split_once("://") {
        _ if scheme == "sqlite" => url.split('?').next().unwrap_or_default().to_owned(),
        None => format!("{scheme}:"),
        Some((_, rest)) => {
            let (place, more) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
            let path = more.split(['?', '#']).next().unwrap_or_default();
            match more.contains('@') {
                // A password that was not encoded, or a secret among the parameters.
                true => format!("{scheme}:"),
                false => format!("{scheme}://{}{path}", place.rsplit('@').next().unwrap_or_default()),
            }
        }
    }
}

fn is_about_the_url(error: &(dyn Error + 'static)) -> bool {
    use mongodb::error::{Error as MongoError, ErrorKind};
    let mysql = error.downcast_ref::<sqlx::Error>();
    let mongo = error.downcast_ref::<MongoError>();
    let redis = error.downcast_ref::<redis::RedisError>();
    mysql.is_some_and(|error| matches!(error, sqlx::Error::Configuration(_)))
        || mongo.is_some_and(|error| matches!(*error.kind, ErrorKind::InvalidArgument { .. }))
        || redis.is_some_and(|error| error.kind() == redis::ErrorKind::InvalidClientConfig)
}

/// The driver's sentence without what MongoDB's appends to each: `, labels: {}, source: None, server response: …`.
fn plain(error: &dyn Error) -> String {
    let said = error.to_string();
    said.split(", labels:").next().unwrap_or_default().trim_start_matches("Kind: ").to_owned()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_url_is_shown_without_what_may_be_a_secret() {
        for (url, shown) in [
            ("mysql://otc:tiger@h:3306/otc_im?ssl-mode=x", "mysql://h:3306/otc_im"),
            ("mysql:otc:tiger@h/otc_im", "mysql:"),
            ("redis:/:tiger@h", "redis:"),
            ("mongodb:/u:tiger@h/x", "mongodb:"),
            ("mongodb://u@h/x?authMechanismProperties=AWS_SESSION_TOKEN:tiger", "mongodb://h/x"),
            ("mongodb://h/x?authMechanismProperties=AWS_SESSION_TOKEN:a@tiger", "mongodb:"),
            ("mongodb://u:ti@ger@a:1,b:2/x", "mongodb://a:1,b:2/x"),
            ("mysql://u:ti/tiger@h/x", "mysql:"),
            ("redis://h", "redis://h"),
            ("redis+sentinel://u:tiger@a:1,b/m/1?sentinel_password=tiger", "redis+sentinel://a:1,b/m/1"),
            ("sqlite:data/otc-im.db?mode=rw", "sqlite:data/otc-im.db"),
            ("tiger", ":"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    fn refused() -> io::Error {
        io::Error::new(io::ErrorKind::ConnectionRefused, "Connection refused")
    }

    #[test]
    fn of_mongodbs_sentence_what_its_driver_appends_is_cut() {
        let error = mongodb::error::Error::from(refused());
        assert!(error.to_string().contains(", labels: "), "{error}: there is something to cut");
        assert_eq!(plain(&error), "I/O error: Connection refused");
        let told = unreachable_store("messages.url", "mongodb://otc:tiger@h/otc_im?x=y", &error).to_string();
        let sentence = "messages.url: cannot use mongodb://h/otc_im: I/O error: Connection refused; \
                        start that server or correct messages.url";
        assert_eq!(told, sentence);
    }

    #[test]
    fn an_unreachable_sqlite_names_a_way_out_that_is_no_server() {
        let error = sqlx::Error::Io(io::Error::new(io::ErrorKind::PermissionDenied, "not allowed"));
        let told = unreachable_store("accounts.url", "sqlite:data/otc-im.db?mode=rw", &error).to_string();
        assert!(told.starts_with("accounts.url: cannot use sqlite:data/otc-im.db: "), "{told}");
        let way_out = "not allowed; make it a file that this user may write or correct accounts.url";
        assert!(told.ends_with(way_out), "{told}");
    }

    #[test]
    fn what_a_driver_cannot_make_anything_of_is_a_mistake_in_the_url_and_not_repeated() {
        let mysql = sqlx::Error::Configuration("tiger is no ssl-mode".into());
        let redis = redis::RedisError::from((redis::ErrorKind::InvalidClientConfig, "tiger"));
        let errors: [(_, &(dyn Error + 'static)); 2] = [("accounts.url", &mysql), ("unread.url", &redis)];
        for (key, error) in errors {
            let told = unreachable_store(key, "mysql://h/x?ssl-mode=tiger", error);
            assert!(matches!(told, StartError::Config(_)), "{told:?}");
            let sentence = "holds a parameter that the driver does not take: correct what follows the ?";
            assert_eq!(told.to_string(), format!("{key} {sentence}"));
        }
    }
}
