//! Who is who: letter case, and the accounts that are the site's own.

use serde_json::{Value, json};

use super::accounts::bind;
use super::notifications::notices;
use crate::support::client::token;
use crate::support::events::Events;
use crate::support::service::Site;
use crate::support::stores::{Stores, on_both_sets};

on_both_sets!(
    ids_that_differ_in_case_alone_are_two_people,
    somebody_whose_id_differs_in_case_reads_no_counts_but_their_own,
    where_ids_ignore_case_every_spelling_is_one_user,
    where_ids_ignore_case_answers_are_as_the_caller_wrote,
);

async fn ids_that_differ_in_case_alone_are_two_people(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (lower, bob) = (site.user("alice"), site.user("bob"));
    let upper = lower.replace("alice", "Alice");

    // Naming her in another letter case takes nothing from her.
    bind(&service.client, &bob, None, &upper).await;
    let first = bind(&service.client, &upper, None, &bob).await;
    let second = bind(&service.client, &lower, None, &bob).await;
    assert_eq!(second["accid"], lower);
    let accid = first["accid"].as_str().unwrap();
    assert!(accid.starts_with("h-"), "{accid}");
    assert!(site.netease.login(accid, first["token"].as_str().unwrap()).await);
    assert!(site.netease.login(&lower, second["token"].as_str().unwrap()).await);
    assert_ne!(first["token"], second["token"]);
    assert_eq!(bind(&service.client, &lower, None, &upper).await["friend"]["accid"], accid, "they may chat");
}

async fn somebody_whose_id_differs_in_case_reads_no_counts_but_their_own(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let upper = alice.to_ascii_uppercase();
    site.netease.send(&bob, &alice, 3).await;
    let polled = async |user: &str, users: &[&str]| -> Value {
        let asked = json!({"self": user, "users": users});
        service.client.as_user(user).post("/v1/unread", &asked).await.ok()
    };
    assert_eq!(polled(&alice, &[&bob]).await, json!({bob.clone(): 3}));
    assert_eq!(polled(&upper, &[&bob]).await, json!({bob.clone(): 0}));
    let path = format!("/v1/unread?self={upper}&users={bob}");
    assert_eq!(service.client.as_user(&upper).get(&path).await.ok(), json!({bob.clone(): 0}));
    let path = format!("/v1/unread/stream?self={upper}&users={bob}");
    let mut events = Events::open(&service.client.as_user(&upper), &path).await;
    assert_eq!(events.next().await.map, json!({bob.clone(): 0}));
    let shouted = bob.to_ascii_uppercase();
    assert_eq!(polled(&alice, &[&bob, &shouted]).await, json!({bob.clone(): 3, shouted: 0}));
    let asked = json!({"self": alice, "users": [bob]});
    service.client.as_user(&upper).post("/v1/unread", &asked).await.problem(403, "forbidden");
    let bind = json!({"buyer": alice, "seller": bob});
    service.client.as_user(&upper).post("/v1/accounts/bind", &bind).await.problem(403, "forbidden");
}

async fn where_ids_ignore_case_every_spelling_is_one_user(stores: Stores) {
    let site = Site::new(stores).await.set("accounts.case", "fold");
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let (upper, shouted) = (alice.to_ascii_uppercase(), bob.to_ascii_uppercase());

    let bound = bind(&service.client, &upper, None, &shouted).await;
    assert_eq!((&bound["accid"], &bound["friend"]["accid"]), (&json!(alice), &json!(bob)));
    assert_eq!(bind(&service.client, &alice, None, &bob).await, bound);
    let other = service.client.as_user(&alice);
    assert_eq!(other.post("/v1/accounts/bind", &json!({"buyer": upper, "seller": bob})).await.ok(), bound);
    let to_oneself = json!({"buyer": alice, "seller": upper});
    other.post("/v1/accounts/bind", &to_oneself).await.invalid("seller");
    assert!(site.netease.login(&alice, bound["token"].as_str().unwrap()).await);
    assert_eq!(site.netease.look("stats").await["accounts"], 2);

    // An id that NetEase would not take is folded before it is hashed.
    let (spaced, loud) = (format!("a user {alice}"), format!("A USER {upper}"));
    let hashed = bind(&service.client, &spaced, None, &bob).await;
    assert_eq!(bind(&service.client, &loud, None, &shouted).await, hashed);
}

async fn where_ids_ignore_case_answers_are_as_the_caller_wrote(stores: Stores) {
    let site = Site::new(stores).await.set("accounts.case", "fold");
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let (upper, shouted) = (alice.to_ascii_uppercase(), bob.to_ascii_uppercase());
    let mixed = bob.replace("bob", "Bob");
    site.netease.send(&bob, &alice, 2).await;

    let asked = json!({"self": upper, "users": [bob, shouted, mixed, shouted, upper]});
    let counts = service.client.as_user(&alice).post("/v1/unread", &asked).await.ok();
    let expected = json!({bob.clone(): 2, shouted.clone(): 2, mixed.clone(): 2, upper.clone(): 0});
    assert_eq!(counts, expected);
    let path = format!("/v1/unread/stream?self={alice}&users={shouted},{bob}");
    let mut events = Events::open(&service.client.as_user(&upper), &path).await;
    assert_eq!(events.next().await.map, json!({bob.clone(): 2, shouted.clone(): 2}));

    let said = json!({"to": [shouted, bob, upper], "from": mixed, "attach": "once"});
    let send = async |subject: &str| {
        let shop = service.client.with_token(token(subject, "notify"));
        let request = shop.request(reqwest::Method::POST, "/v1/notifications").body(said.to_string());
        let answer = crate::support::client::send(request.header("Idempotency-Key", "k")).await;
        answer.ok()
    };
    let sent = send("Shop").await;
    let to: Vec<&Value> = sent["recipients"].as_array().unwrap().iter().map(|each| &each["to"]).collect();
    assert_eq!(to, [&json!(shouted), &json!(upper)], "each person once");
    assert_eq!(send("SHOP").await["id"], sent["id"], "the key is the same caller's");
    let path = format!("/v1/notifications/{}", sent["id"].as_str().unwrap());
    let status = service.client.as_user("shop").get(&path).await.ok();
    assert_eq!(status["recipients"][0]["to"], json!(shouted), "also later");
    assert_eq!(notices(&site, &bob).await.len(), 1);
    assert_eq!(notices(&site, &bob).await[0]["from"], json!(bob));
}

#[tokio::test]
async fn the_sites_own_accounts_are_nobodys_buyer_and_nobodys_seller() {
    let site = Site::new(Stores::embedded()).await.set("accounts.reserved", "support-1, 客服");
    let service = site.start().await;
    for own in ["otc-system", "support-1", "客服"] {
        let as_buyer = json!({"buyer": own, "seller": "bob"});
        let refused = service.client.as_user(own).post("/v1/accounts/bind", &as_buyer).await;
        refused.problem(403, "forbidden");
        let as_seller = json!({"buyer": "alice", "seller": own});
        service.client.as_user("alice").post("/v1/accounts/bind", &as_seller).await.invalid("seller");
    }
    assert_eq!(site.netease.look("stats").await["accounts"], 0);
    // Another letter case is another person, who can take nothing from the system account.
    bind(&service.client, "mallory", None, "OTC-SYSTEM").await;
    let notice = json!({"to": "bob", "attach": "x"});
    let sent = service.client.as_user("shop").post("/v1/notifications", &notice).await.ok();
    assert_eq!(sent["state"], "sent");
}

#[tokio::test]
async fn where_ids_ignore_case_reserved_ones_do_too() {
    let site = Site::new(Stores::embedded()).await.set("accounts.reserved", "Support-1");
    let service = site.set("accounts.case", "fold").start().await;
    for own in ["OTC-System", "support-1", "SUPPORT-1"] {
        let as_seller = json!({"buyer": "alice", "seller": own});
        service.client.as_user("alice").post("/v1/accounts/bind", &as_seller).await.invalid("seller");
        let as_buyer = json!({"buyer": own, "seller": "bob"});
        let refused = service.client.as_user(own).post("/v1/accounts/bind", &as_buyer).await;
        refused.problem(403, "forbidden");
    }
}
