//! From the first bind to the last recall, against `migrate` and `serve`.

use serde_json::{Value, json};

use crate::support::process::{Process, run};
use crate::support::service::Site;
use crate::support::stores::{Stores, on_both_sets};

on_both_sets!(
    a_buyer_chats_with_a_seller,
    copies_twice_late_and_in_any_order_end_in_the_right_counts,
    a_restart_loses_no_count,
);

/// A migrated site with the real binary serving.
async fn serving(stores: Stores) -> (Site, Process) {
    let site = Site::unmigrated(stores).await;
    let (code, out, log) = run(&["migrate"], &site.settings(), site.stores.folder.path());
    assert_eq!((code, out.as_str()), (Some(0), "the schemas are up to date\n"), "{log}");
    let process = site.spawn().await;
    (site, process)
}

async fn counts(process: &Process, reader: &str, peers: &[&str]) -> Value {
    let body = json!({"self": reader, "users": peers});
    process.client.as_user(reader).post("/v1/unread", &body).await.ok()
}

async fn a_buyer_chats_with_a_seller(stores: Stores) {
    let (site, process) = serving(stores).await;
    let (alice, bob, carol) = (site.user("alice"), site.user("bob"), site.user("carol"));
    let body = json!({"buyer": alice, "buyerName": "Alice", "seller": bob});
    let bound = process.client.as_user(&alice).post("/v1/accounts/bind", &body).await.ok();
    assert!(site.netease.login(&alice, bound["token"].as_str().unwrap()).await);
    assert_eq!(site.netease.look(&format!("accounts/{alice}")).await["friends"], json!([bob]));

    site.netease.tell("send", json!({"from": bob, "to": alice, "count": 3})).await;
    assert_eq!(counts(&process, &alice, &[&bob, &carol]).await, json!({&bob: 3, &carol: 0}));
    assert_eq!(counts(&process, &bob, &[&alice]).await, json!({&alice: 0}), "his own are none of his unread");
    site.netease.read(&alice, &bob).await;
    assert_eq!(counts(&process, &alice, &[&bob, &carol]).await, json!({&bob: 0, &carol: 0}));

    let sent = site.netease.send(&bob, &alice, 2).await;
    assert_eq!(counts(&process, &alice, &[&bob]).await, json!({&bob: 2}));
    for _ in 0..2 {
        let recall = json!({"msgidServer": sent[0]["msgidServer"]});
        assert_eq!(site.netease.tell("recall", recall).await["delivered"], 1);
        assert_eq!(counts(&process, &alice, &[&bob]).await, json!({&bob: 1}));
    }
    let session = json!({"reader": alice, "peer": bob, "event": 85});
    assert_eq!(site.netease.tell("read", session).await["delivered"], 1);
    assert_eq!(counts(&process, &alice, &[&bob]).await, json!({&bob: 0}));
}

async fn copies_twice_late_and_in_any_order_end_in_the_right_counts(stores: Stores) {
    let (site, process) = serving(stores).await;
    let reader = site.user("alice");
    let peers: Vec<String> = (0..3).map(|n| site.user(&format!("p{n}"))).collect();
    // Polled from the start, so that the view is live while copies come.
    counts(&process, &reader, &[&peers[0]]).await;
    let faults =
        json!({"duplicate": 2, "reorder": 20, "delayMs": 5, "numbersAsNumbers": true, "concurrency": 8});
    site.netease.faults(faults).await;
    let tell = async |call: &str, mut body: Value| {
        body["wait"] = json!(false);
        site.netease.tell(call, body).await
    };
    for round in 0..4 {
        for peer in &peers {
            let body = json!({"from": peer, "to": reader, "count": 3, "force": true});
            let sent = tell("send", body).await;
            if round % 2 == 0 {
                tell("recall", json!({"msgidServer": sent["messages"][1]["msgidServer"]})).await;
            }
            let back = json!({"from": reader, "to": peer, "force": true});
            tell("send", back).await;
        }
        let read = json!({"reader": reader, "peer": peers[round % 3], "force": true});
        tell("read", read).await;
    }
    site.netease.drain().await;
    let asked: Vec<&str> = peers.iter().map(String::as_str).collect();
    let answered = counts(&process, &reader, &asked).await;
    for peer in &peers {
        assert_eq!(answered[peer], site.netease.unread(&reader, peer).await, "{peer}: {answered}");
        let own = counts(&process, peer, &[&reader]).await;
        assert_eq!(own[&reader], site.netease.unread(peer, &reader).await, "{peer}");
    }
    assert_ne!(answered[&peers[2]], 0, "something is left to count");
}

async fn a_restart_loses_no_count(stores: Stores) {
    let (site, process) = serving(stores).await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let sent = site.netease.send(&bob, &alice, 4).await;
    assert_eq!(counts(&process, &alice, &[&bob]).await, json!({&bob: 4}));
    let up_to = json!({"reader": alice, "peer": bob, "timestamp": sent[0]["msgTimestamp"], "force": true});
    site.netease.tell("read", up_to).await;
    process.terminate();
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0), "{log}");

    site.netease.faults(json!({"maxAttempts": 1000, "firstRetryMs": 20, "maxRetryMs": 50})).await;
    let missed = json!({"from": bob, "to": alice, "count": 2, "force": true, "wait": false});
    site.netease.tell("send", missed).await;
    let process = site.spawn().await;
    assert!(counts(&process, &alice, &[&bob]).await[&bob].as_u64().unwrap() >= 3, "on the first poll");
    site.netease.drain().await;
    assert_eq!(counts(&process, &alice, &[&bob]).await, json!({&bob: 5}));
    drop(process); // by force
    let process = site.spawn().await;
    assert_eq!(counts(&process, &alice, &[&bob]).await, json!({&bob: 5}));
}
