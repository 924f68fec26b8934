//! Notices to teams: what a notice to one person is, but for who gets it.

use serde_json::{Value, json};

use super::notifications::{PATH, notices, notify, site};
use crate::support::client::Client;
use crate::support::service::{Service, Site, eventually};
use crate::support::stores::{Stores, on_both_sets};

on_both_sets!(a_notice_reaches_the_team, a_notice_reaches_the_team_by_the_newer_api);

const TEAM: &str = "6812345678";

async fn a_notice_reaches_the_team(stores: Stores) {
    reaches(stores, "v9", "msg/sendAttachMsg").await;
}

async fn a_notice_reaches_the_team_by_the_newer_api(stores: Stores) {
    reaches(stores, "v10", "v2/custom_notification.send").await;
}

/// Every team is there, and what is set besides.
async fn teams(site: &Site, fail_next: Value) {
    site.netease.faults(json!({"teamOfUnknown": 200, "failNext": fail_next})).await;
}

async fn ended(client: &Client, id: &Value) -> Value {
    let path = format!("/v1/notifications/{}", id.as_str().unwrap());
    let caller = client.as_user("shop");
    eventually("it is no longer queued", async || caller.get(&path).await.ok()["state"] != "queued").await;
    caller.get(&path).await.ok()
}

async fn reaches(stores: Stores, api: &str, call: &str) {
    let site = Site::new(stores).await.set("netease.api", api);
    let service = site.start().await;
    teams(&site, json!([])).await;
    let said = json!({"team": TEAM, "attach": {"type": "shipped", "order": 42}, "pushContent": "Your goods 📦",
        "payload": {"screen": "order"}, "sound": "ding.caf", "save": 1,
        "option": {"badge": false, "needPushNick": true, "route": false}});
    let sent = notify(&service.client, &said).await;
    assert_eq!((sent.status, &sent.json()["state"]), (202, &json!("sent")), "{}", sent.text);
    assert_eq!(sent.json().get("recipients"), None);
    let [notice] = &notices(&site, TEAM).await[..] else { panic!("one notice") };
    assert_eq!((&notice["from"], &notice["msgtype"]), (&json!("otc-system"), &json!(1)));
    assert_eq!(notice["attach"], said["attach"].to_string());
    assert_eq!((&notice["pushcontent"], &notice["save"]), (&said["pushContent"], &json!(1)));
    assert_eq!((&notice["payload"], &notice["sound"]), (&json!(r#"{"screen":"order"}"#), &said["sound"]));
    assert_eq!(notice["option"], said["option"]);

    // Trouble that passes, and a team that is not there.
    teams(&site, json!([{"api": call, "mode": "503", "count": 2}])).await;
    let troubled = notify(&service.client, &json!({"team": TEAM, "attach": "again"})).await.ok();
    assert_eq!(ended(&service.client, &troubled["id"]).await["state"], "sent");
    assert_eq!(notices(&site, TEAM).await.len(), 2);
    site.netease.faults(json!({})).await;
    let nobody = notify(&service.client, &json!({"team": "404", "attach": "x"})).await.ok();
    let failed = ended(&service.client, &nobody["id"]).await;
    assert_eq!((&failed["state"], &failed["attempts"]), (&json!("failed"), &json!(1)));
    assert!(failed["lastError"].as_str().is_some_and(|why| why.contains("team")), "{failed}");
}

#[tokio::test]
async fn a_team_is_not_the_user_of_the_same_id() {
    let (site, service): (Site, Service) = site().await;
    teams(&site, json!([])).await;
    notify(&service.client, &json!({"to": TEAM, "attach": "to the user"})).await.ok();
    notify(&service.client, &json!({"team": TEAM, "attach": "to the team"})).await.ok();
    let all = notices(&site, TEAM).await;
    let said: Vec<_> = all.iter().map(|notice| (&notice["msgtype"], &notice["attach"])).collect();
    assert_eq!(said, [(&json!(0), &json!("to the user")), (&json!(1), &json!("to the team"))]);
}

#[tokio::test]
async fn an_outcome_that_is_not_known_stays_so_and_a_key_sends_nothing_twice() {
    let (site, service) = site().await;
    teams(&site, json!([{"api": "msg/sendAttachMsg", "mode": "lose-reply"}])).await;
    let lost = notify(&service.client, &json!({"team": TEAM, "attach": "x"})).await.ok();
    assert_eq!(ended(&service.client, &lost["id"]).await["state"], "unknown");
    let keyed = async |body: Value| {
        let caller = service.client.as_user("shop");
        let request = caller.request(reqwest::Method::POST, PATH).header("Idempotency-Key", "k");
        crate::support::client::send(request.body(body.to_string())).await
    };
    let first = keyed(json!({"team": TEAM, "attach": "y"})).await.ok();
    assert_eq!(keyed(json!({"team": TEAM, "attach": "y"})).await.ok()["id"], first["id"]);
    keyed(json!({"to": TEAM, "attach": "y"})).await.problem(422, "invalid");
    assert_eq!(notices(&site, TEAM).await.len(), 2);
}

#[tokio::test]
async fn a_notice_goes_to_users_or_to_a_team() {
    let (_site, service) = site().await;
    for (field, body) in
        [("team", json!({"to": "alice", "team": TEAM, "attach": "x"})), ("to", json!({"attach": "x"}))]
    {
        let detail = notify(&service.client, &body).await.invalid(field)["detail"].clone();
        assert!(["`to`", "`team`"].iter().all(|name| detail.as_str().unwrap().contains(name)), "{detail}");
    }
    notify(&service.client, &json!({"to": null, "team": TEAM, "attach": "x"})).await.invalid("to");
    let digits = "9".repeat(21);
    for wrong in
        [json!(""), json!("team"), json!("12 "), json!("１２"), json!(7), json!(["7"]), json!(digits)]
    {
        notify(&service.client, &json!({"team": wrong, "attach": "x"})).await.invalid("team");
    }
}
