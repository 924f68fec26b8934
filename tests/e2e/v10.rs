//! `netease.api = "v10"`: accounts, friends and notices by NetEase's newer server API, and none by the classic one.

use std::collections::BTreeMap;

use otc_im::domain::ids::Accid;
use serde_json::{Value, json};

use crate::gateway::gateway;
use crate::support::client::Client;
use crate::support::process::run;
use crate::support::service::{Site, eventually};
use crate::support::stores::{Stores, on_both_sets};

on_both_sets!(
    users_are_bound_befriended_and_notified,
    a_batch_goes_out_in_parts_that_have_their_own_outcomes
);

/// The site, speaking V10.
async fn site(stores: Stores) -> Site {
    Site::new(stores).await.set("netease.api", "v10")
}

async fn bind(client: &Client, buyer: &str, name: &str, seller: &str) -> Value {
    let body = json!({"buyer": buyer, "buyerName": name, "seller": seller});
    client.as_user(buyer).post("/v1/accounts/bind", &body).await.ok()
}

async fn notify(client: &Client, to: Value) -> Value {
    client.as_user("shop").post("/v1/notifications", &json!({"to": to, "attach": {"n": 1}})).await.ok()
}

async fn users_are_bound_befriended_and_notified(stores: Stores) {
    let site = site(stores).await;
    let process = site.spawn().await;
    let client = &process.client;
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| site.user(name));
    let logs_in =
        async |user: &str, bound: &Value| site.netease.login(user, bound["token"].as_str().unwrap()).await;

    let bound = bind(client, &alice, "Alice", &bob).await;
    assert_eq!(bound["friend"], json!({"accid": bob, "state": "added"}));
    assert!(logs_in(&alice, &bound).await);
    let renamed = bind(client, &alice, "艾丽丝", &bob).await;
    assert_eq!(renamed["token"], bound["token"]);
    let account = site.netease.look(&format!("accounts/{alice}")).await;
    assert_eq!((&account["name"], &account["friends"]), (&json!("艾丽丝"), &json!([bob])));
    assert_eq!(site.netease.calls("v2/users.update").await, 1);

    // Somebody else's account becomes its user's own.
    gateway(&site.netease).create_user(&Accid::from_nim(&carol).unwrap(), "theirs", None).await.unwrap();
    let refused = json!({"api": "v2.1/friends.add", "mode": "104435"});
    site.netease.faults(json!({"failNext": [refused]})).await;
    let bound = bind(client, &carol, "Carol", &alice).await;
    assert!(logs_in(&carol, &bound).await);
    assert_eq!(site.netease.calls("v2/accounts.update").await, 1);
    assert_eq!(bound["friend"]["state"], "refused");
    assert!(bound["friend"]["reason"].as_str().unwrap().contains("104435"), "{bound}");
    assert_eq!(bind(client, &carol, "Carol", &alice).await["friend"]["state"], "added", "it is asked again");

    assert_eq!(notify(client, json!(alice)).await["state"], "sent");
    let strangers = (0..10).map(|n| site.user(&format!("stranger-{n}")));
    let to: Vec<String> = [bob.clone(), alice.clone()].into_iter().chain(strangers).collect();
    let told = notify(client, json!(to)).await;
    let states: Vec<_> = told["recipients"].as_array().unwrap().iter().map(|one| &one["state"]).collect();
    assert_eq!(states, [vec!["sent"; 2], vec!["failed"; 10]].concat());
    assert!(
        told["recipients"][5]["lastError"].as_str().unwrap().contains("does not know this user"),
        "{told}"
    );
    for (user, count) in [(&alice, 2), (&bob, 1)] {
        let notices = site.netease.look(&format!("notices?to={user}")).await["notices"].clone();
        assert_eq!(notices.as_array().map(Vec::len), Some(count), "{user}");
    }

    let metrics = client.get("/metrics").await.text;
    for (series, count) in [("v2/custom_notification.send_batch", 1), ("v2.1/friends.add", 2)] {
        let series = format!("otc_im_netease_calls_total{{api=\"{series}\",outcome=\"done\"}} {count}\n");
        assert!(metrics.contains(&series), "{series}{metrics}");
    }
    let calls = site.netease.look("stats").await["calls"].clone();
    let classic: Vec<_> = calls.as_object().unwrap().keys().filter(|api| !api.starts_with("v2")).collect();
    assert_eq!(classic, ["user/create"], "that of the test");
}

/// The recipients of a notice by what became of it.
async fn states(client: &Client, id: &str) -> BTreeMap<String, Vec<String>> {
    let told = client.as_user("shop").get(&format!("/v1/notifications/{id}")).await.ok();
    let mut states = BTreeMap::<String, Vec<String>>::new();
    for one in told["recipients"].as_array().unwrap() {
        let [state, to] = ["state", "to"].map(|field| one[field].as_str().unwrap().to_owned());
        states.entry(state).or_default().push(to);
    }
    states
}

async fn a_batch_goes_out_in_parts_that_have_their_own_outcomes(stores: Stores) {
    let (site, batch) = (site(stores).await, "v2/custom_notification.send_batch");
    let service = site.start().await;
    let to: Vec<String> = (0..1_200).map(|n| site.user(&format!("u{n}"))).collect();
    // One in the first part, one in the second, one in the last.
    let known = [0, 999, 1_199].map(|n| to[n].clone());
    let gateway = gateway(&site.netease);
    for user in &known {
        gateway.create_user(&Accid::from_nim(user).unwrap(), "token", None).await.unwrap();
    }
    let got = async |user: &str| {
        site.netease.look(&format!("notices?to={user}")).await["notices"].as_array().map(Vec::len)
    };
    let settled = async |order: &Value| {
        let id = order["id"].as_str().unwrap();
        eventually("none waits", async || !states(&service.client, id).await.contains_key("queued")).await;
        states(&service.client, id).await
    };

    let lost = json!({"api": batch, "mode": "lose-reply"});
    site.netease.faults(json!({"failNext": [lost]})).await;
    let states = settled(&notify(&service.client, json!(to)).await).await;
    assert_eq!(site.netease.calls(batch).await, 3);
    let unknown = &states["unknown"];
    assert!([500, 200].contains(&unknown.len()), "one part alone: {}", unknown.len());
    let part = to.chunks(500).find(|part| part[0] == unknown[0]).unwrap();
    assert_eq!(unknown, part);
    let sent: Vec<_> = known.iter().filter(|user| !part.contains(user)).cloned().collect();
    assert_eq!(states["sent"], sent);
    assert_eq!(states["failed"].len(), 1_200 - part.len() - sent.len(), "whom NetEase does not know");
    for user in &known {
        assert_eq!(got(user).await, Some(1), "{user}");
    }

    // What was refused for now goes out later, and nothing that went out goes out again.
    let trouble = json!({"api": batch, "mode": "102449", "count": 5});
    site.netease.faults(json!({"failNext": [trouble]})).await;
    let states = settled(&notify(&service.client, json!(to)).await).await;
    assert_eq!((&*states["sent"], states.len()), (&known[..], 2), "sent, and not known");
    for user in &known {
        assert_eq!(got(user).await, Some(2), "{user}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_asks_by_the_api_that_is_configured() {
    let site = site(Stores::embedded()).await;
    let check = |site: &Site| run(&["check"], &site.settings(), site.stores.folder.path());
    let (code, out, _) = check(&site);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("ok      netease.base_url: NetEase takes our calls\n"), "{out}");
    let site = site.set("netease.app_secret", "another");
    let (code, out, _) = check(&site);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("v2/users.get was answered with code 403"), "{out}");
    assert_eq!(site.netease.calls("v2/users.get").await, 2);
    assert_eq!(site.netease.calls("user/getUinfos").await, 0);

    let site = site.set("netease.api", "v9").set("netease.base_url", "https://open.yunxinapi.com");
    let (code, out, log) = check(&site);
    assert_eq!(code, Some(2), "{out}");
    assert!(log.contains("netease.base_url") && log.contains("netease.api = \"v10\""), "{log}");
}
