//! What is refused, and how it is said.

use super::*;

fn valid() -> Config {
    let mut config = Config::default();
    config.netease.base_url = "https://nim.example/nimserver".into();
    config.netease.app_key = "key".into();
    config.netease.app_secret = "secret".into();
    config
}

fn from_toml(text: &str) -> Result<Config, ::config::ConfigError> {
    let source = File::from_str(text, FileFormat::Toml);
    ::config::Config::builder().add_source(source).build()?.try_deserialize()
}

#[test]
fn defaults_are_complete_but_for_netease() {
    assert!(valid().validate().is_ok());
    let error = Config::default().validate().unwrap_err().to_string();
    assert!(error.contains("netease.base_url"), "{error}");
}

#[test]
fn each_fault_is_named_with_a_way_out() {
    type Fault = fn(&mut Config);
    let faults: [(Fault, &str); 15] = [
        (|c| c.netease.app_key.clear(), "netease.app_key"),
        (|c| c.netease.app_secret = "".into(), "OTC_IM__NETEASE__APP_SECRET"),
        (|c| c.limits.poll_users = 501, "limits.poll_users"),
        (|c| c.messages.group = 0, "messages.group"),
        (|c| c.limits.webhook_body = 16 * 1024 * 1024, "limits.webhook_body"),
        (|c| c.unread.loads_at_once = 0, "unread.loads_at_once"),
        (|c| c.unread.near_cache_staleness = Duration::from_millis(49), "unread.near_cache_staleness"),
        (|c| c.unread.near_cache_readers = 10_000_001, "unread.near_cache_readers"),
        (|c| c.limits.shutdown = Duration::from_secs(11), "limits.shutdown"),
        (|c| c.netease.base_url = "nim.example".into(), "netease.base_url"),
        (|c| c.netease.backup_base_url = Some("nim.example".into()), "netease.backup_base_url"),
        (|c| c.netease.calls_per_second = 0, "netease.calls_per_second"),
        (|c| c.netease.batch_calls_per_minute = 0, "netease.batch_calls_per_minute"),
        (|c| c.netease.instances = 0, "netease.instances"),
        (|c| c.netease.quota_wait = Duration::ZERO, "netease.quota_wait"),
    ];
    for (fault, named) in faults {
        let mut config = valid();
        fault(&mut config);
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn no_authentication_is_for_loopback_or_behind_a_gateway() {
    let mut config = valid();
    config.auth.mode = AuthMode::None;
    assert!(config.validate().is_ok());
    config.http.listen = "0.0.0.0:80".parse().unwrap();
    assert!(config.validate().unwrap_err().to_string().contains("auth.behind_gateway"));
    config.auth.behind_gateway = true;
    assert!(config.validate().is_ok());
}

#[test]
fn unknown_keys_are_refused_and_named() {
    for (text, named) in [("[http]\nlisen = 1", "lisen"), ("[htp]\nlisten = 1", "htp")] {
        let error = from_toml(text).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn secrets_come_as_a_list_or_with_commas() {
    for text in ["previous_app_secrets = [\"a\", \"007\"]", "previous_app_secrets = \"a, 007\""] {
        let config = from_toml(&format!("[netease]\n{text}")).unwrap();
        let secrets: Vec<&str> =
            config.netease.previous_app_secrets.iter().map(secrecy::ExposeSecret::expose_secret).collect();
        assert_eq!(secrets, ["a", "007"], "{text}");
    }
}

#[test]
fn durations_are_written_as_people_do() {
    let config = from_toml("[unread]\nrecheck_after = \"90s\"\n[netease]\nmax_age = \"5m\"").unwrap();
    assert_eq!(config.unread.recheck_after, Duration::from_secs(90));
    assert_eq!(config.netease.max_age, Some(Duration::from_mins(5)));
}
