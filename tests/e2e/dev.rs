//! `otc-im dev`, as a newcomer meets it: what it prints is pasted into a shell.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::client::{Client, http};
use crate::support::process::{Process, run};
use crate::support::stores::{Folder, Settings};

fn anywhere() -> Settings {
    vec![("http.listen", "127.0.0.1:0".to_owned())]
}

/// Starts it and reads what it prints.
async fn dev(folder: &Path) -> (Process, Vec<String>) {
    let mut process = Process::spawn(&["dev", "--simulator-listen", "127.0.0.1:0"], &anywhere(), folder);
    let last = process.out_line("/notices?to=").await;
    let printed = [process.heard(), &[last]].concat();
    (process, printed)
}

/// Runs the lines that are meant for a shell, each with its own output.
fn paste(printed: &[String], folder: &Path) -> Vec<String> {
    let lines = printed.iter().map(|line| line.trim());
    let commands: Vec<&str> =
        lines.filter(|line| line.starts_with("TOKEN=") || line.starts_with("curl ")).collect();
    let script = commands.join("\n");
    let output =
        Command::new("bash").args(["-ec", &script]).current_dir(folder).stdin(Stdio::null()).output();
    let output = output.expect("bash is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{said}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn assert_as_promised(outputs: &[String]) {
    let json: Vec<Value> = outputs.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    let [bound, sent, three, read, none, notified, notices] = &json[..] else { panic!("{outputs:#?}") };
    assert_eq!(bound["accid"], "alice");
    assert_eq!(bound["friend"], json!({"accid": "bob", "state": "added"}));
    assert_eq!((&sent["delivered"], &sent["pending"]), (&json!(3), &json!(0)));
    assert_eq!(*three, json!({"bob": 3, "carol": 0}));
    assert_eq!(read["delivered"], 1);
    assert_eq!(*none, json!({"bob": 0, "carol": 0}));
    assert_eq!(notified["state"], "sent");
    let [notice] = &notices["notices"].as_array().unwrap()[..] else { panic!("{notices}") };
    assert_eq!((&notice["to"], &notice["pushcontent"]), (&json!("alice"), &json!("Your goods have shipped")));
    assert_eq!(notice["option"]["route"], false);
    assert!(notice["attach"].as_str().unwrap().contains("\"order\":42"), "{notice}");
}

async fn stop(process: Process) {
    process.terminate();
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}

#[tokio::test]
async fn the_printed_commands_do_what_they_say_the_second_time_as_well() {
    let folder = Folder::new();
    for _ in 0..2 {
        let (process, printed) = dev(folder.path()).await;
        assert_as_promised(&paste(&printed, folder.path()));
        stop(process).await;
    }
    assert!(folder.path().join("data/otc-im.db").is_file());
}

#[tokio::test]
async fn token_prints_a_token_that_works() {
    let folder = Folder::new();
    let (process, printed) = dev(folder.path()).await;
    let (code, token, log) = run(&["token", "bob"], &Settings::new(), folder.path());
    assert_eq!((code, log.as_str()), (Some(0), ""));
    assert_eq!(token.trim().split('.').count(), 3, "the bare token and nothing else: {token}");
    let service = printed.iter().find_map(|line| line.trim().strip_prefix("service ")).unwrap();
    let service = service.split_whitespace().next().unwrap();
    let bob = Client::new(service.to_owned()).with_token(token.trim().to_owned());
    let poll = |reader: &str| json!({"self": reader, "users": ["carol"]});
    assert_eq!(bob.post("/v1/unread", &poll("bob")).await.ok(), json!({"carol": 0}));
    bob.post("/v1/unread", &poll("alice")).await.problem(403, "forbidden");
    bob.post("/v1/notifications", &json!({"to": "alice", "attach": "text"})).await.ok();

    // A browser lets any page post a text to this machine, and says whose page it is.
    for (origin, status) in [("https://evil.example", 403), ("null", 403), (service, 200)] {
        let drain =
            http().post(format!("{service}/demo/simulator/drain")).header("origin", origin).body("{}");
        assert_eq!(drain.send().await.unwrap().status(), status, "{origin}");
    }

    let (_, token, _) =
        run(&["token", "bob", "--scope", "", "--hours", "1"], &Settings::new(), folder.path());
    let bob = bob.with_token(token.trim().to_owned());
    let notice = json!({"to": "alice", "attach": "text"});
    bob.post("/v1/notifications", &notice).await.problem(403, "forbidden");
    stop(process).await;
}

#[tokio::test]
async fn the_data_can_be_elsewhere_and_nobody_else_can_read_the_key() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new();
    let args = ["dev", "--simulator-listen", "127.0.0.1:0", "--data-dir", "my data #1"];
    let mut process = Process::spawn(&args, &anywhere(), folder.path());
    process.out_line("/notices?to=").await;
    let data = folder.path().join("my data #1");
    assert!(data.join("otc-im.db").is_file());
    assert!(!folder.path().join("data").exists());
    let key = std::fs::metadata(data.join("dev-key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    let args = ["token", "alice", "--data-dir", "my data #1"];
    assert_eq!(run(&args, &Settings::new(), folder.path()).0, Some(0));
    stop(process).await;
}

#[tokio::test]
async fn no_token_is_printed_that_the_service_refuses() {
    let folder = Folder::new();
    let secret = ("auth.hs256_secret", "0123456789abcdef0123456789abcdef".to_owned());
    let parties = [("auth.issuer", "https://site".to_owned()), ("auth.audience", "otc-im".to_owned())];
    // With the dev key: what `iss` and `aud` have to be is in the token.
    for more in [&parties[..], &[&parties[..], std::slice::from_ref(&secret)].concat()] {
        let settings = [&anywhere()[..], more].concat();
        let mut process =
            Process::spawn(&["dev", "--simulator-listen", "127.0.0.1:0"], &settings, folder.path());
        let last = process.out_line("/notices?to=").await;
        let printed = [process.heard(), &[last]].concat();
        assert_as_promised(&paste(&printed, folder.path()));
        let (code, out, log) = run(&["token", "bob"], &settings, folder.path());
        let others = printed.iter().any(|line| line.contains("otc-im token"));
        match more.contains(&secret) {
            true => {
                assert_eq!((code, out.as_str(), others), (Some(2), "", false));
                assert!(log.contains("auth.hs256_secret"), "{log}");
            }
            false => {
                assert_eq!((code, log.as_str(), others), (Some(0), "", true));
                let service = printed.iter().find_map(|line| line.trim().strip_prefix("service ")).unwrap();
                let service = service.split_whitespace().next().unwrap();
                let bob = Client::new(service.to_owned()).with_token(out.trim().to_owned());
                let asked = json!({"self": "bob", "users": ["carol"]});
                assert_eq!(bob.post("/v1/unread", &asked).await.ok(), json!({"carol": 0}));
            }
        }
        stop(process).await;
    }
    for (key, value) in [("auth.jwks_url", "http://127.0.0.1:9/keys"), ("auth.mode", "none")] {
        let settings = [&anywhere()[..], &[(key, value.to_owned())]].concat();
        let mut process =
            Process::spawn(&["dev", "--simulator-listen", "127.0.0.1:0"], &settings, folder.path());
        let line = process.out_line("TOKEN=").await;
        assert_eq!(line.trim(), "TOKEN=none");
        assert!(process.heard().iter().any(|line| line.contains(key)), "{:?}", process.heard());
        let (code, out, log) = run(&["token", "bob"], &settings, folder.path());
        assert_eq!((code, out.as_str()), (Some(2), ""));
        assert!(log.contains(key), "{log}");
        stop(process).await;
    }
}

#[tokio::test]
async fn a_torn_key_is_named_with_a_way_out() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let key = folder.path().join("data/dev-key");
    for torn in ["", "\n", "half a key"] {
        std::fs::write(&key, torn).unwrap();
        for args in [&["token", "bob"][..], &["dev", "--simulator-listen", "127.0.0.1:0"]] {
            let (code, _, log) = run(args, &anywhere(), folder.path());
            assert_eq!(code, Some(2), "{log}");
            assert!(log.contains("data/dev-key") && log.contains("delete it"), "{log}");
        }
    }
    std::fs::remove_file(&key).unwrap();
    let (process, _) = dev(folder.path()).await;
    let files = std::fs::read_dir(folder.path().join("data")).unwrap();
    let keys =
        files.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().starts_with("dev-key"));
    assert_eq!(keys.count(), 1, "nothing is left of its making");
    stop(process).await;
}

#[tokio::test]
async fn the_simulator_runs_alone_too() {
    let folder = Folder::new();
    let args = ["simulator", "--listen", "127.0.0.1:0", "--app-key", "a-key"];
    let mut process = Process::spawn(&args, &Settings::new(), folder.path());
    let line = process.out_line("/simulator").await;
    let control = line.split_whitespace().last().unwrap();
    let listing: Value = http().get(control).send().await.unwrap().json().await.unwrap();
    assert!(
        listing.as_array().unwrap().iter().any(|call| call.as_str().unwrap().contains("/simulator/send"))
    );
    let call = control.replace("/simulator", "/nimserver/user/create.action");
    let answer: Value =
        http().post(call).form(&[("accid", "alice")]).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["code"], 414, "it judges signatures: {answer}");
    stop(process).await;
}
