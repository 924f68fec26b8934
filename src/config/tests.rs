//! What is refused, and how it is said.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use secrecy::ExposeSecret;

use super::*;

mod addresses;

/// What no error may show.
const HUSH: &str = "tiger";

fn variable((name, value): (&str, &str)) -> (OsString, OsString) {
    (name.into(), value.into())
}

/// The file `text` with these variables over it, read and checked.
fn checked(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let config =
        Config::over(sources::tables("x.toml", text)?, variables.iter().map(|pair| variable(*pair)))?;
    config.validate().map(|()| config)
}

/// A complete file in which `key` has this value, as TOML writes it.
fn with(key: &str, value: &str) -> Result<Config, ConfigError> {
    let mut keys = vec![
        ("netease.base_url", "\"https://nim.example/nimserver\""),
        ("netease.app_key", "\"key\""),
        ("netease.app_secret", "\"secret\""),
    ];
    keys.retain(|(known, _)| *known != key);
    keys.push((key, value));
    let lines: Vec<_> = keys.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    checked(&lines.join("\n"), &[])
}

#[track_caller]
fn refused(outcome: Result<Config, ConfigError>, words: &[&str]) {
    let said = outcome.expect_err(&format!("taken: {words:?}")).to_string();
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    for never in [HUSH, "expected", "invalid type", "enum", "struct", "Error", "\n"] {
        assert!(!said.contains(never), "`{never}` is in: {said}");
    }
}

#[test]
fn defaults_are_complete_but_for_netease() {
    with("log.format", "\"json\"").unwrap();
    refused(checked("", &[]), &["netease.base_url", "https://"]);
}

#[test]
fn every_number_and_duration_has_a_greatest_value() {
    let keys = Config::keys();
    assert!(keys.len() > 50, "{keys:?}");
    let mut bounded = 0;
    for (section, key, _) in keys {
        let key = format!("{section}.{key}");
        // Neither is ever right for a number or a duration, and each is of one of the two types.
        let outcomes = ["9223372036854775807", "\"1000000h\""].map(|value| with(&key, value));
        let said = outcomes.map(|outcome| outcome.err().map(|error| error.to_string()).unwrap_or_default());
        let (number, duration) =
            (said[1].contains("a whole number"), said[0].contains("must be a duration, such as"));
        if number || duration {
            bounded += 1;
            let said = &said[usize::from(duration)];
            assert!(said.starts_with(&format!("{key} must be ")), "{key}: {said}");
        }
    }
    assert!(bounded > 35, "{bounded}");
}

#[test]
fn numbers_and_durations_are_held_to_their_bounds() {
    for (key, low, high, beyond) in [
        ("limits.poll_users", "1", "500", ["0", "501"]),
        ("limits.webhook_body", "1", "15728640", ["0", "15728641"]),
        ("limits.webhook_timeout", "\"100ms\"", "\"4900ms\"", ["\"1ns\"", "\"5s\""]),
        ("limits.webhooks_at_once", "1", "100000", ["0", "9000000000000000000"]),
        ("limits.shutdown", "\"1s\"", "\"10s\"", ["\"0s\"", "\"11s\""]),
        ("messages.retention_days", "1", "36500", ["0", "36501"]),
        ("unread.near_cache_readers", "0", "10000000", ["-1", "10000001"]),
        ("unread.near_cache_staleness", "\"50ms\"", "\"1m\"", ["\"49ms\"", "\"61s\""]),
        ("unread.fallback_at_once", "0", "10000", ["-1", "9000000000000000000"]),
        ("accounts.max_connections", "1", "1000", ["0", "4294967296"]),
        ("netease.calls_per_second", "1", "10000", ["0", "4294967295"]),
        ("netease.timeout", "\"100ms\"", "\"10s\"", ["\"1ns\"", "\"1h\""]),
        ("netease.max_age", "\"10s\"", "\"24h\"", ["\"1ms\"", "\"25h\""]),
    ] {
        for taken in [low, high] {
            with(key, taken).unwrap_or_else(|error| panic!("{error}"));
        }
        for value in beyond {
            refused(with(key, value), &[key, "must be"]);
        }
    }
    refused(with("limits.poll_users", "501"), &["limits.poll_users must be from 1 to 500"]);
    refused(with("limits.shutdown", "\"1m\""), &["limits.shutdown must be from 100ms to 10s"]);
    refused(with("notifications.lease", "\"10s\""), &["notifications.lease", "netease.timeout"]);
}

#[test]
fn blank_secrets_and_white_space_around_them_are_refused() {
    let secret = "0123456789abcdef0123456789abcdef";
    for key in ["netease.app_secret", "auth.hs256_secret"] {
        for blank in ["\"\"", "\"  \"", "\"\\n\""] {
            refused(with(key, blank), &[key]);
        }
        for edge in [format!("\" {secret}\""), format!("\"{secret}\\n\"")] {
            refused(with(key, &edge), &[key, "white space"]);
        }
    }
    refused(with("netease.app_secret", "\"\""), &["missing", "OTC_IM__NETEASE__APP_SECRET"]);
    let key = "netease.previous_app_secrets";
    for list in ["[\"\"]", "[\"one\", \" \"]", "\"one,,two\"", "\",\""] {
        refused(with(key, list), &[key, "blank", "number"]);
    }
    refused(with(key, "[\"tiger \"]"), &[key, "white space"]);
    for key in ["auth.issuer", "auth.audience", "auth.public_key_file", "auth.jwks_url"] {
        refused(with(key, "\"\""), &[key, "leave it out"]);
    }
    refused(with("auth.audience", "\" otc-im\""), &["auth.audience", "white space"]);
    refused(with("netease.app_key", "\"\""), &["netease.app_key", "missing"]);
    for odd in ["\"key\\n\"", "\"k y\"", "\"schlüssel\"", "\"k\\u0000\""] {
        refused(with("netease.app_key", odd), &["netease.app_key", "copy it again"]);
    }
}

#[test]
fn secrets_are_text_in_quotes_or_refused() {
    for value in ["123456", "1234567e12", "true", "2020-01-01", "07:32:00", "{ a = 1 }"] {
        refused(with("netease.app_secret", value), &["netease.app_secret", "quotes"]);
        refused(with("auth.audience", value), &["auth.audience", "quotes"]);
        let list = format!("[\"one\", {value}]");
        refused(with("netease.previous_app_secrets", &list), &["netease.previous_app_secrets", "quotes"]);
    }
    refused(with("netease.previous_app_secrets", "7"), &["netease.previous_app_secrets", "list"]);
}

#[test]
fn what_a_value_should_have_been_is_said() {
    for (key, value, words) in [
        ("auth.mode", "\"basic\"", "must be \"jwt\" or \"none\""),
        ("auth.mode", "\"JWT\"", "must be \"jwt\" or \"none\""),
        ("log.format", "\"tiger\"", "must be \"pretty\" or \"json\""),
        ("auth.behind_gateway", "\"tiger\"", "true or false"),
        ("auth.behind_gateway", "1", "true or false"),
        ("limits.poll_users", "\"tiger\"", "a whole number"),
        ("limits.poll_users", "1.5", "a whole number"),
        ("limits.poll_users", "-1", "a whole number"),
        ("netease.timeout", "\"5 tiger\"", "a duration, such as"),
        ("netease.timeout", "5", "a duration, such as"),
        ("http.listen", "\"localhost\"", "127.0.0.1:8080"),
        ("http.listen", "8080", "127.0.0.1:8080"),
        ("notifications.system_account", "\"\"", "empty"),
        ("log.filter", "\"\"", "info,otc_im=debug"),
        ("log.filter", "\"bogus\"", "info,otc_im=debug"),
        ("log.filter", "\"info,\"", "info,otc_im=debug"),
        ("log.filter", "\"otc_im=loud\"", "info,otc_im=debug"),
        ("http.lisen", "1", "listen"),
        ("htp.listen", "1", "[http]"),
        ("listen", "1", "[section]"),
    ] {
        refused(with(key, value), &[key.rsplit_once('.').map_or(key, |(section, _)| section), words]);
    }
    for filter in ["info", "warn,otc_im=debug", "otc_im::http=trace,off", "INFO"] {
        with("log.filter", &format!("\"{filter}\"")).unwrap();
    }
}

#[test]
fn no_authentication_is_for_loopback_or_behind_a_gateway() {
    let mut config = with("auth.mode", "\"none\"").unwrap();
    config.http.listen = "0.0.0.0:80".parse().unwrap();
    assert!(config.validate().unwrap_err().to_string().contains("auth.behind_gateway"));
    config.auth.behind_gateway = true;
    assert!(config.validate().is_ok());
}

#[test]
fn the_environment_goes_before_the_file_and_its_mistakes_are_named() {
    let file = "[netease]\nbase_url = \"https://x/nimserver\"\napp_key = \"k\"\napp_secret = \"s\"\n[limits]\npoll_users = 7";
    let of = |name: &str, value: &str| checked(file, &[(name, value)]);
    assert_eq!(checked(file, &[]).unwrap().limits.poll_users, 7);
    assert_eq!(of("OTC_IM__LIMITS__POLL_USERS", "9").unwrap().limits.poll_users, 9);
    assert_eq!(of("OTC_IM__AUTH__AUDIENCE", "2020-01-01").unwrap().auth.audience.unwrap(), "2020-01-01");
    let secrets = of("OTC_IM__NETEASE__PREVIOUS_APP_SECRETS", "a, 007").unwrap().netease.previous_app_secrets;
    assert_eq!(secrets.iter().map(ExposeSecret::expose_secret).collect::<Vec<_>>(), ["a", "007"]);
    assert!(of("OTC_IM__NETEASE__PREVIOUS_APP_SECRETS", "").unwrap().netease.previous_app_secrets.is_empty());

    refused(of("OTC_IM__AUTH__ISSUER", ""), &["auth.issuer", "leave it out"]);
    refused(of("OTC_IM__LIMITS__POLL_USERS", ""), &["limits.poll_users"]);
    refused(of("OTC_IM__LIMITS__POLL_USER", "tiger"), &["limits.poll_user ", "poll_users"]);
    refused(of("OTC_IM__LIMIT__POLL_USERS", "tiger"), &["[limit]", "[limits]"]);
    refused(of("OTC_IM__LIMITS", "tiger"), &["OTC_IM__LIMITS", "two underscores"]);
    for misspelt in ["OTC_IM_AUTH__AUDIENCE", "OTC_IM_AUTH_AUDIENCE", "OTC_IM__AUTH_AUDIENCE"] {
        refused(of(misspelt, "tiger"), &[misspelt, "write OTC_IM__AUTH__AUDIENCE"]);
    }
    refused(of("OTC_IM_AUTH__AUDIENZ", "tiger"), &["OTC_IM_AUTH__AUDIENZ", "OTC_IM__AUTH__AUDIENZ"]);
    refused(of("OTC_IM_HTTP_LISTEN", "tiger"), &["write OTC_IM__HTTP__LISTEN"]);
    for strange in ["OTC_IM_SERVICE_HOST", "OTC_IM_PORT_8080_TCP", "OTC_IM_BIN", "OTC_IMAGE", "PATH"] {
        of(strange, "tiger").unwrap_or_else(|error| panic!("{error}"));
    }

    let odd = [("OTC_IM__NETEASE__APP_SECRET".into(), OsStr::from_bytes(b"tiger\xff").to_owned())];
    refused(Config::of_variables(odd.into_iter()), &["OTC_IM__NETEASE__APP_SECRET", "UTF-8"]);
    let other = [("LS_COLORS".into(), OsStr::from_bytes(b"\xff").to_owned())];
    assert!(Config::of_variables(other.into_iter()).is_ok());
}

#[test]
fn who_is_who_is_read_and_bounded() {
    for list in ["[\"a\", \"客服\"]", "\"a, 客服\""] {
        assert_eq!(with("accounts.reserved", list).unwrap().accounts.reserved, ["a", "客服"]);
    }
    refused(with("accounts.reserved", "\"a,,b\""), &["accounts.reserved", "number 2", "empty"]);
    assert_eq!(with("accounts.case", "\"fold\"").unwrap().accounts.case, LetterCase::Fold);
    refused(with("accounts.case", "\"tiger\""), &["accounts.case", "\"distinct\" or \"fold\""]);
    assert_eq!(Config::default().accounts.case, LetterCase::Distinct);
}

#[test]
fn a_file_that_is_not_toml_is_refused_by_its_line_alone() {
    for (text, line) in [
        ("[netease]\napp_secret = \"tiger\n", "line 2"),
        ("app_secret = tiger", "line 1"),
        ("[netease]\n\napp_key = \"a\"\napp_key = \"tiger\"", "line 4"),
        ("[http]\n[http]\n", "line 2"),
        ("tiger", "line 1"),
    ] {
        refused(checked(text, &[]), &["x.toml", line]);
    }
    refused(checked("http = 1", &[]), &["http", "section"]);
}
