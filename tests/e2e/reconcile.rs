//! `otc-im reconcile`, as an operator types it, and a service that reconciles by itself.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::process::run;
use crate::support::proxy::Proxy;
use crate::support::service::{Site, eventually};
use crate::support::stores::{Stores, on_both_sets};

on_both_sets!(an_operator_fills_the_log);

/// The unread count that a poll of its own answers.
async fn unread(client: &Client, reader: &str, peer: &str) -> Value {
    let asked = json!({"self": reader, "users": [peer]});
    client.as_user(reader).post("/v1/unread", &asked).await.ok()[peer].clone()
}

/// Two users with accounts at NetEase.
async fn pair(site: &Site, client: &Client) -> (String, String) {
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    client.as_user(&alice).post("/v1/accounts/bind", &json!({"buyer": alice, "seller": bob})).await.ok();
    (alice, bob)
}

async fn an_operator_fills_the_log(stores: Stores) {
    let site = Site::new(stores).await.set("netease.reconcile", "off");
    let service = site.start().await;
    let (alice, bob) = pair(&site, &service.client).await;
    site.netease.faults(json!({"dropNext": 5})).await;
    let lost = json!({"from": bob, "to": alice, "count": 5, "wait": false});
    site.netease.tell("send", lost).await;
    site.netease.faults(json!({})).await;
    site.netease.send(&bob, &alice, 1).await;

    let reconcile = |options: &[&str]| {
        run(&[&["reconcile"], options].concat(), &site.settings(), site.stores.folder.path())
    };
    let (code, out, log) = reconcile(&["--from", "2020-01-01T00:00:00+08:00", "--user", &alice, "--dry-run"]);
    assert_eq!(
        (code, &*out),
        (Some(0), &*format!("{alice}: 5 missing, of 6 messages in 1 conversations\n")),
        "{log}"
    );
    let (code, out, log) = reconcile(&["--from", "1577808000000", "--all"]);
    let said = format!("{alice}: 5 added, of 6 messages in 1 conversations\n");
    assert!(code == Some(0) && out.starts_with(&said), "{out}{log}");
    let all = "users: 2; 5 added, of 6 messages in 1 conversations\n";
    assert!(out.ends_with(all), "each conversation once: {out}");
    let (_, out, _) = reconcile(&["--from", "1577808000000", "--to", "1577808000001", "--user", &bob]);
    assert_eq!(out, format!("{bob}: 0 added, of 0 messages in 1 conversations\n"));
    // A view within the service learns of it by a restart, or by the next recheck.
    drop(service);
    let service = site.start().await;
    assert_eq!(unread(&service.client, &alice, &bob).await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_mistyped_is_named() {
    let site = Site::new(Stores::embedded()).await;
    for (options, words) in [
        (&["--from", "yesterday", "--all"][..], "milliseconds since 1970"),
        (&["--from", "2000", "--to", "1000", "--all"], "--from must be earlier than --to"),
        (&["--from", "1"], "--all"),
        (&["--from", "1", "--user", "alice", "--all"], "cannot be used with"),
        (&["--from", "1", "--user", ""], "--user"),
    ] {
        let (code, out, said) =
            run(&[&["reconcile"], options].concat(), &site.settings(), site.stores.folder.path());
        assert_eq!((code, &*out), (Some(2), ""), "{said}");
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// NetEase gives copies up that were answered 503; the service finds and stores them by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_fills_what_it_could_not_take() {
    let stores = Stores::servers().await;
    let url = stores.url("unread.url").to_owned();
    let proxy = Proxy::of(&url).await;
    let site = Site::new(stores.with("unread.url", proxy.through(&url))).await;
    let site = site.set("netease.reconcile_after", "0s");
    let mut process = site.spawn().await;
    let (alice, bob) = pair(&site, &process.client).await;
    assert_eq!(unread(&process.client, &alice, &bob).await, 0);
    site.netease.faults(json!({"maxAttempts": 1})).await;
    proxy.cut();
    let refused = json!({"from": bob, "to": alice, "count": 3});
    let sent = site.netease.tell("send", refused).await;
    assert_eq!(sent["delivered"], 0, "{sent}");
    proxy.mend();
    let line = process.log_line("reconciled a gap in the flow of copies").await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["cause"], "refused", "{line}");
    eventually("all are counted", async || unread(&process.client, &alice, &bob).await == 3).await;
}
