//! Starts that fail: an exit code, and one sentence on standard error that names the thing and the way out.

use std::net::TcpListener;

use crate::support::process::run;
use crate::support::service::Site;
use crate::support::stores::{Folder, Settings, Stores};

/// A complete configuration, of which a test spoils one thing.
async fn site() -> Site {
    Site::new(Stores::embedded()).await
}

/// Runs the binary, which has to fail with this code and say one line with all these words.
fn fails(args: &[&str], settings: &Settings, folder: &Folder, code: i32, words: &[&str]) {
    let (ended, out, log) = run(args, settings, folder.path());
    assert_eq!(ended, Some(code), "{args:?}: {out}{log}");
    let said = log.lines().next_back().unwrap_or_default();
    assert!(said.starts_with("otc-im: "), "{args:?} said {log:?}");
    let others: Vec<_> = log.lines().filter(|line| *line != said && !line.starts_with('{')).collect();
    assert!(others.is_empty(), "one sentence will do: {log}");
    for word in words {
        assert!(said.contains(word), "{args:?}: `{word}` is not in: {said}");
    }
}

#[tokio::test]
async fn a_mistake_in_the_configuration_ends_with_2_and_names_the_key() {
    let cases: [(&'static str, &str, &[&str]); 16] = [
        ("http.lisen", "127.0.0.1:0", &["lisen"]),
        ("htp.listen", "127.0.0.1:0", &["htp"]),
        ("http.listen", "localhost", &["http.listen"]),
        ("netease.timeout", "5 bananas", &["netease.timeout"]),
        ("limits.poll_users", "many", &["limits.poll_users"]),
        ("netease.app_secret", "", &["netease.app_secret", "OTC_IM__NETEASE__APP_SECRET"]),
        ("netease.app_key", "", &["netease.app_key"]),
        ("netease.base_url", "api.netease.im", &["netease.base_url", "https://"]),
        ("auth.hs256_secret", "short", &["auth.hs256_secret", "32 bytes"]),
        ("auth.mode", "basic", &["auth.mode"]),
        ("netease.proxy", "socks5://proxy.example:1080", &["netease.proxy", "http: or https:"]),
        ("auth.proxy", "http://proxy.example:3128/x", &["auth.proxy", "http://user:password@host:3128"]),
        ("limits.shutdown", "1m", &["limits.shutdown", "10s"]),
        ("limits.drain", "6m", &["limits.drain", "5m"]),
        ("limits.connections", "0", &["limits.connections", "1000000"]),
        ("log.filter", "otc_im=loud", &["log.filter"]),
    ];
    let folder = Folder::new();
    for (key, value, words) in cases {
        let site = site().await.set(key, value);
        fails(&["serve"], &site.settings(), &folder, 2, words);
    }
}

#[tokio::test]
async fn keys_that_contradict_each_other_end_with_2() {
    let folder = Folder::new();
    let site = site().await.set("auth.mode", "none").set("http.listen", "0.0.0.0:0");
    fails(&["serve"], &site.settings(), &folder, 2, &["auth.mode", "auth.behind_gateway"]);
    let without: Settings =
        site.settings().into_iter().filter(|(key, _)| !key.starts_with("auth.")).collect();
    fails(&["serve"], &without, &folder, 2, &["auth.hs256_secret", "auth.jwks_url"]);
    fails(&["serve"], &Settings::new(), &folder, 2, &["netease.base_url"]);
    let reachable = vec![("http.listen", "0.0.0.0:0".to_owned())];
    fails(&["dev"], &reachable, &folder, 2, &["http.listen", "loopback", "otc-im serve"]);
}

#[tokio::test]
async fn a_store_of_an_unknown_kind_ends_with_2_and_keeps_the_password() {
    let folder = Folder::new();
    let cases = [("accounts.url", "mysql:"), ("messages.url", "mongodb:"), ("unread.url", "redis:")];
    for (key, scheme) in cases {
        let site = site().await;
        let mut settings = site.settings();
        settings.retain(|(known, _)| *known != key);
        settings.push((key, "oracle://scott:tiger@db.example/x".to_owned()));
        fails(&["serve"], &settings, &folder, 2, &[key, scheme]);
        fails(&["migrate"], &settings, &folder, 2, &[key, scheme]);
        let (_, out, log) = run(&["check"], &settings, folder.path());
        assert!(!format!("{out}{log}").contains("tiger"), "{log}");
    }
}

#[tokio::test]
async fn a_store_that_is_down_ends_with_1_and_is_named() {
    let folder = Folder::new();
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cases = [
        ("accounts.url", format!("mysql://otc:hush@{refused}/otc_x")),
        ("messages.url", format!("mongodb://otc:hush@{refused}/otc_x")),
        ("unread.url", format!("redis://otc:hush@{refused}")),
    ];
    for (key, url) in cases {
        let site = site().await;
        let mut settings = site.settings();
        settings.retain(|(known, _)| *known != key);
        settings.push((key, url));
        // The accounts' database is waited for: see late_database.rs.
        for command in ["serve", "check", "migrate"] {
            let waits = command == "serve" && key == "accounts.url";
            let asks = command != "migrate" || key != "unread.url";
            if !waits && asks {
                fails(&[command], &settings, &folder, 1, &[key, "refused", &refused.to_string()]);
            }
        }
        let (_, out, log) = run(&["check"], &settings, folder.path());
        assert!(!format!("{out}{log}").contains("hush"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_not_there_ends_with_1_and_says_how_to_make_it() {
    let sets = [(Stores::embedded(), "messages.url"), (Stores::servers().await, "messages.url")];
    for (stores, key) in sets {
        let site = Site::unmigrated(stores).await;
        fails(&["serve"], &site.settings(), &site.stores.folder, 1, &[key, "otc-im migrate"]);
        fails(&["check"], &site.settings(), &site.stores.folder, 1, &["accounts.url", "otc-im migrate"]);
        for _ in 0..2 {
            assert_eq!(run(&["migrate"], &site.settings(), site.stores.folder.path()).0, Some(0));
        }
        let (code, out, log) = run(&["check"], &site.settings(), site.stores.folder.path());
        assert_eq!(code, Some(0), "{log}");
        assert!(out.lines().all(|line| line.starts_with("ok      ")), "{out}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_ends_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::new();
    let site = site().await.set("http.listen", &address);
    fails(&["serve"], &site.settings(), &folder, 1, &[&address, "http.listen"]);
    fails(&["dev"], &vec![("http.listen", address.clone())], &folder, 1, &[&address, "http.listen"]);
    fails(&["simulator", "--listen", &address], &Settings::new(), &folder, 1, &[&address]);
}

#[tokio::test]
async fn files_are_read_and_the_environment_goes_before_them() {
    let folder = Folder::new();
    fails(&["serve", "--config", "none.toml"], &Settings::new(), &folder, 2, &["none.toml"]);
    std::fs::write(folder.path().join("odd.toml"), "[netease]\napp_kay = 1\n").unwrap();
    fails(&["check", "--config", "odd.toml"], &Settings::new(), &folder, 2, &["app_kay"]);
    std::fs::write(folder.path().join("torn.toml"), "[netease]\napp_secret = \"hush\n").unwrap();
    fails(&["check", "--config", "torn.toml"], &Settings::new(), &folder, 2, &["torn.toml", "line 2"]);
    let (_, _, log) = run(&["check", "--config", "torn.toml"], &Settings::new(), folder.path());
    assert!(!log.contains("hush"), "{log}");
    std::fs::write(folder.path().join("otc-im.toml"), "[netease]\nbase_url = \"ftp://x\"\n").unwrap();
    fails(&["check"], &Settings::new(), &folder, 2, &["netease.base_url"]);
    let environment = vec![("netease.base_url", "http://x/nimserver".to_owned())];
    fails(&["check"], &environment, &folder, 2, &["netease.app_key"]);
}

#[tokio::test]
async fn what_a_driver_does_not_take_of_a_url_ends_with_2() {
    let folder = Folder::new();
    for (key, url) in [
        ("accounts.url", "mysql://otc:hush@127.0.0.1:1/otc_x?ssl-mode=hush"),
        ("messages.url", "mongodb://otc:hush@127.0.0.1:1/otc_x?w=majority&hush=hush"),
    ] {
        let site = site().await.set(key, url);
        fails(&["check"], &site.settings(), &folder, 2, &[key, "parameter"]);
        let (_, _, log) = run(&["migrate"], &site.settings(), folder.path());
        assert!(!log.contains("hush"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_finds_a_wrong_secret_and_is_content_without_netease() {
    let folder = Folder::new();
    let check = |site: &Site| run(&["check"], &site.settings(), folder.path());
    let site = Site::new(Stores::embedded()).await;
    let (code, out, log) = check(&site);
    assert_eq!((code, out.ends_with(": NetEase takes our calls\n")), (Some(0), true), "{out}{log}");
    for key in ["netease.app_key", "netease.app_secret"] {
        let site = Site::new(Stores::embedded()).await.set(key, "another");
        fails(&["check"], &site.settings(), &folder, 1, &["NetEase does not accept this service", key]);
    }
    let site = site.set("netease.base_url", "http://127.0.0.1:1/nimserver");
    let (code, out, log) = check(&site);
    assert_eq!((code, log.contains("otc-im: ")), (Some(0), false), "{out}{log}");
    assert!(out.contains("\nnote    netease.base_url: NetEase could not be asked"), "{out}");
}

#[tokio::test]
async fn check_looks_at_the_key_set() {
    let folder = Folder::new();
    let unusable = r#"{"keys":[{"kid":"k","kty":"EC","crv":"P-384","alg":"ES384","x":"AA","y":"AA"}]}"#;
    let keyless = axum::Router::new()
        .route("/unusable", axum::routing::get(move || async move { unusable }))
        .fallback(|| async { r#"{"keys":[]}"# });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, keyless).await });
    let site = Site::new(Stores::embedded()).await;
    let migrated = tokio::task::spawn_blocking(move || {
        let mut settings = site.settings();
        settings.retain(|(key, _)| !key.starts_with("auth."));
        for (url, words) in [
            (format!("{issuer}/keys"), "holds no key"),
            (
                format!("{issuer}/unusable"),
                "the key with kid \"k\", kty \"EC\", crv \"P-384\", alg \"ES384\" is on another",
            ),
            ("http://127.0.0.1:1/keys".to_owned(), "out of reach"),
        ] {
            let settings = [&settings[..], &[("auth.jwks_url", url)]].concat();
            fails(&["check"], &settings, &folder, 1, &["auth.jwks_url", words]);
        }
    });
    migrated.await.unwrap();
}

#[test]
fn a_file_that_is_there_is_read_or_refused_and_named() {
    let folder = Folder::new();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("folder.toml")).unwrap();
    fails(&["check", "--config", "folder.toml"], &Settings::new(), &folder, 2, &["folder.toml", "read"]);
    let made = std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
    assert!(made.success());
    let pipe = at("pipe");
    let writer = std::thread::spawn(move || std::fs::write(pipe, "[netease]\nbase_url = \"piped\"\n"));
    fails(&["check", "--config", "pipe"], &Settings::new(), &folder, 2, &["netease.base_url", "https://"]);
    writer.join().unwrap().unwrap();

    std::fs::create_dir(at("otc-im.toml")).unwrap();
    fails(&["check"], &Settings::new(), &folder, 2, &["otc-im.toml", "read"]);
    std::fs::remove_dir(at("otc-im.toml")).unwrap();
    std::os::unix::fs::symlink("nowhere", at("otc-im.toml")).unwrap();
    fails(&["check"], &Settings::new(), &folder, 2, &["otc-im.toml", "read"]);
}

#[test]
fn an_unknown_command_ends_with_2_and_lists_the_commands() {
    let folder = Folder::new();
    let (code, _, said) = run(&["sevre"], &Settings::new(), folder.path());
    assert_eq!(code, Some(2));
    assert!(said.contains("sevre") && said.contains("serve"), "{said}");
    let (code, _, said) = run(&[], &Settings::new(), folder.path());
    assert_eq!(code, Some(2));
    assert!(said.contains("migrate"), "{said}");
    fails(&["token", "alice"], &Settings::new(), &folder, 2, &["data/dev-key", "otc-im dev"]);
    let (code, out, _) = run(&["--version"], &Settings::new(), folder.path());
    assert_eq!((code, out.starts_with("otc-im ")), (Some(0), true));
}
