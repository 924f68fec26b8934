//! Binding a buyer to a seller while NetEase is well.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::service::Site;
use crate::support::stores::{Stores, on_both_sets};

on_both_sets!(
    a_bind_makes_two_accounts_and_a_friendship,
    hundred_first_binds_at_once_on_two_instances_end_in_one_account_and_one_token,
    an_account_that_netease_has_under_another_token_is_taken_over,
    any_script_is_welcome_in_ids_and_names,
    a_new_name_is_passed_on,
);

pub async fn bind(client: &Client, buyer: &str, name: Option<&str>, seller: &str) -> Value {
    let body = json!({"buyer": buyer, "buyerName": name, "seller": seller});
    client.as_user(buyer).post("/v1/accounts/bind", &body).await.ok()
}

async fn a_bind_makes_two_accounts_and_a_friendship(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));

    let bound = bind(&service.client, &alice, Some("Alice"), &bob).await;
    assert_eq!(bound["accid"], alice);
    assert_eq!(bound["friend"], json!({"accid": bob, "state": "added"}));
    let token = bound["token"].as_str().unwrap();
    assert!(site.netease.login(&alice, token).await);
    assert!(!site.netease.login(&bob, token).await, "bob's token is his own");
    let account = site.netease.look(&format!("accounts/{alice}")).await;
    assert_eq!((&account["name"], &account["friends"]), (&json!("Alice"), &json!([bob])));
    assert_eq!(site.netease.look(&format!("accounts/{bob}")).await["friends"], json!([alice]));

    assert_eq!(bind(&service.client, &alice, None, &bob).await, bound, "the same again");
    assert_eq!(site.netease.calls("user/create").await, 2);
    assert_eq!(site.netease.calls("friend/add").await, 1);
}

async fn hundred_first_binds_at_once_on_two_instances_end_in_one_account_and_one_token(stores: Stores) {
    let site = Site::new(stores).await;
    let (one, other) = (site.start().await, site.start().await);
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let lost = json!({"api": "user/create", "mode": "lose-reply", "count": 4});
    site.netease.faults(json!({"failNext": [lost]})).await;

    let calls = (0..100).map(|n| {
        let client = if n % 2 == 0 { &one.client } else { &other.client };
        let client = client.as_user(&alice);
        let body = json!({"buyer": alice, "buyerName": "Alice", "seller": bob});
        tokio::spawn(async move { client.post("/v1/accounts/bind", &body).await })
    });
    let mut tokens = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        let answer = call.await.unwrap();
        match answer.status {
            200 => tokens.push(answer.json()["token"].clone()),
            _ => drop(answer.problem(503, "netease_unavailable")),
        }
    }
    let token = bind(&one.client, &alice, Some("Alice"), &bob).await["token"].clone();
    assert_eq!(bind(&other.client, &alice, Some("Alice"), &bob).await["token"], token);
    assert!(tokens.iter().all(|each| *each == token), "{token}: {tokens:?}");
    assert!(tokens.len() > 50, "only {} of 100 binds went through", tokens.len());
    assert!(site.netease.login(&alice, token.as_str().unwrap()).await);
    assert_eq!(site.netease.look("stats").await["accounts"], 2);
    assert_eq!(site.netease.look(&format!("accounts/{alice}")).await["friends"], json!([bob]));
}

async fn an_account_that_netease_has_under_another_token_is_taken_over(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    // A service whose rows were lost since: NetEase remembers the accounts.
    let before = Site::new(Stores::embedded()).await.set("netease.base_url", &site.netease.base_url());
    let old = bind(&before.start().await.client, &alice, Some("Old name"), &bob).await["token"].clone();

    let bound = bind(&service.client, &alice, Some("Alice"), &bob).await;
    assert_ne!(bound["token"], old);
    assert!(site.netease.login(&alice, bound["token"].as_str().unwrap()).await);
    assert!(!site.netease.login(&alice, old.as_str().unwrap()).await);
    assert_eq!(site.netease.look(&format!("accounts/{alice}")).await["name"], "Alice");
}

async fn any_script_is_welcome_in_ids_and_names(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let buyer = format!("买家 张三 {}", site.user("🦀"));
    let seller = format!("{}{}", site.user("seller"), "x".repeat(80));

    let bound = bind(&service.client, &buyer, Some("张三 👩‍👩‍👧‍👦"), &seller).await;
    let accid = bound["accid"].as_str().unwrap();
    assert!(accid.starts_with("h-") && accid.len() == 32, "{accid}");
    assert!(site.netease.login(accid, bound["token"].as_str().unwrap()).await);
    assert_eq!(site.netease.look(&format!("accounts/{accid}")).await["name"], "张三 👩‍👩‍👧‍👦");
    assert_eq!(bind(&service.client, &buyer, Some("张三 👩‍👩‍👧‍👦"), &seller).await, bound);
    assert_eq!(site.netease.calls("user/updateUinfo").await, 0, "the name had come through unharmed");

    let friend = bound["friend"]["accid"].as_str().unwrap();
    site.netease.send(friend, accid, 2).await;
    let asked = json!({"self": buyer, "users": [seller]});
    let counts = service.client.as_user(&buyer).post("/v1/unread", &asked).await.ok();
    assert_eq!(counts, json!({seller: 2}));
}

async fn a_new_name_is_passed_on(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let first = bind(&service.client, &alice, Some("Alice"), &bob).await;
    assert_eq!(bind(&service.client, &alice, Some("Alicia"), &bob).await, first);
    let shown = async || site.netease.look(&format!("accounts/{alice}")).await["name"].clone();
    assert_eq!(shown().await, "Alicia");

    site.netease.faults(json!({"apiDown": true})).await;
    assert_eq!(bind(&service.client, &alice, Some("Ally"), &bob).await, first, "a name can wait");
    assert_eq!(shown().await, "Alicia");
    site.netease.faults(json!({})).await;
    bind(&service.client, &alice, None, &bob).await;
    assert_eq!(shown().await, "Ally", "it was not forgotten");
}
