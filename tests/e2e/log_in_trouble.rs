//! A log that cannot be written changes no answer and ends no task.

use std::fs::OpenOptions;
use std::process::Stdio;

use futures_util::future::join_all;
use otc_im::infra::sql;
use serde_json::json;

use crate::support::client::Client;
use crate::support::fresh_name;
use crate::support::process::{Process, command, run};
use crate::support::service::{Site, eventually};
use crate::support::stores::Stores;
use crate::support::webhook::message;

const LOST: &str = "otc_im_log_lines_lost_total";

/// What a service with a broken log answers as ever.
async fn works(site: &Site, client: &Client) {
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let unread = json!({"self": alice, "users": [bob]});
    for round in 0..5 {
        client.post_text("/receiveMsg.action", "{}").await.problem(401, "bad_signature");
        assert_eq!(client.copy("no JSON at all").await.status, 200, "a dead letter");
        let copy = message(&bob, &alice, 7_000_000_000 + round, 1_700_000_000_000).to_string();
        assert_eq!(client.copy(copy).await.status, 200);
        assert_eq!(client.as_user(&alice).post("/v1/unread", &unread).await.ok()[&bob], round + 1);
        client.post("/v1/unread", &unread).await.problem(401, "unauthorized");
        let notice = json!({"to": alice, "attach": "x"});
        assert_eq!(client.as_user("site").post("/v1/notifications", &notice).await.status, 202);
    }
}

/// Makes the loop that carries deliveries log, and sees that it goes on.
async fn deliveries_go_on(site: &Site, client: &Client) {
    let outbox = sql::sqlite(site.stores.url("accounts.url"), 1).await.unwrap();
    let lost = client.counted(LOST).await;
    sqlx::query("ALTER TABLE outbox RENAME TO away").execute(&outbox).await.unwrap();
    eventually("the outbox is missed", async || client.counted(LOST).await > lost).await;
    sqlx::query("ALTER TABLE away RENAME TO outbox").execute(&outbox).await.unwrap();
    site.netease.faults(json!({"failNext": [{"api": "msg/sendAttachMsg", "mode": "503", "count": 1}]})).await;
    let notice = json!({"to": site.user("carol"), "attach": "x"});
    let caller = client.as_user("site");
    let id = caller.post("/v1/notifications", &notice).await.ok()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/notifications/{id}");
    eventually("the notice is sent", async || caller.get(&path).await.ok()["state"] == "sent").await;
}

async fn stops_well(process: Process) {
    process.terminate();
    assert_eq!(process.exit_code().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_log_changes_no_answer() {
    let site = Site::new(Stores::embedded()).await;
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let process = site.spawn_with_log(full.into()).await;
    works(&site, &process.client).await;
    deliveries_go_on(&site, &process.client).await;
    assert!(process.client.counted(LOST).await > 0);
    stops_well(process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_without_a_reader_changes_no_answer() {
    let site = Site::new(Stores::embedded()).await;
    let (reader, log) = std::io::pipe().unwrap();
    drop(reader);
    let process = site.spawn_with_log(log.into()).await;
    works(&site, &process.client).await;
    deliveries_go_on(&site, &process.client).await;
    assert!(process.client.counted(LOST).await > 0);
    stops_well(process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_whose_reader_has_stopped_changes_no_answer() {
    let site = Site::new(Stores::embedded()).await.set("log.filter", "trace");
    let (reader, log) = std::io::pipe().unwrap();
    let process = site.spawn_with_log(log.into()).await;
    // The pipe is full first, then the lines that may wait, and then lines are lost.
    eventually("the log is full", async || {
        loads_of_strangers(&process.client).await;
        process.client.counted(LOST).await > 0
    })
    .await;
    works(&site, &process.client).await;
    deliveries_go_on(&site, &process.client).await;
    stops_well(process).await;
    drop(reader);
}

/// Polls of readers whom nobody knows: each is loaded, and at the finest level each statement is a line.
async fn loads_of_strangers(client: &Client) {
    let polls = (0..200).map(|_| async {
        let reader = fresh_name();
        client.as_user(&reader).post("/v1/unread", &json!({"self": reader, "users": ["bob"]})).await.ok()
    });
    join_all(polls).await;
}

#[test]
fn a_command_whose_output_nobody_reads_ends_quietly() {
    let folder = Stores::embedded().folder;
    let settings = Vec::new();
    std::fs::create_dir_all(folder.path().join("data")).unwrap();
    std::fs::write(folder.path().join("data/dev-key"), "a key of more than thirty-two bytes, for a test")
        .unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let print_to = |out: Stdio| {
        let printed = command(&["token", "alice"], &settings, folder.path()).stdout(out).output().unwrap();
        (printed.status.code(), String::from_utf8(printed.stderr).unwrap())
    };
    assert_eq!(print_to(writer.into()), (Some(1), String::new()));
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (code, said) = print_to(full.into());
    assert_eq!(code, Some(1));
    assert!(said.starts_with("otc-im: standard output cannot be written: "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(run(&["token", "alice"], &settings, folder.path()).0, Some(0));
}
