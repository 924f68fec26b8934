//! An account belongs to its user: naming somebody registers them, and never touches a login that is there.

use otc_im::domain::ids::Accid;
use serde_json::json;

use super::accounts::bind;
use crate::gateway::gateway;
use crate::support::service::Site;
use crate::support::stores::{Stores, on_both_sets};

on_both_sets!(
    naming_somebody_leaves_their_login_alone_until_they_bind_themselves,
    a_seller_has_the_name_that_came_with_the_bind_which_made_them,
);

/// An account that another back end of the same app has made.
async fn theirs(site: &Site, user: &str) {
    let accid = Accid::from_nim(user).unwrap();
    gateway(&site.netease).create_user(&accid, "their own", Some("Desk")).await.unwrap();
}

async fn naming_somebody_leaves_their_login_alone_until_they_bind_themselves(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (mallory, desk) = (site.user("mallory"), site.user("desk"));
    theirs(&site, &desk).await;

    let named = json!({"buyer": mallory, "seller": desk, "sellerName": "Not the desk"});
    for _ in 0..2 {
        let bound = service.client.as_user(&mallory).post("/v1/accounts/bind", &named).await.ok();
        assert_eq!(bound["friend"], json!({"accid": desk, "state": "added"}));
    }
    for notice in [json!({"to": desk, "attach": "x"}), json!({"to": mallory, "from": desk, "attach": "x"})] {
        let sent = service.client.as_user("shop").post("/v1/notifications", &notice).await.ok();
        assert_eq!(sent["state"], "sent");
    }
    assert!(site.netease.login(&desk, "their own").await);
    assert_eq!(site.netease.look(&format!("accounts/{desk}")).await["name"], "Desk");
    assert_eq!(site.netease.calls("user/update").await, 0);
    assert_eq!(site.netease.calls("friend/add").await, 1, "a pair that is bound is known to be");

    let bound = bind(&service.client, &desk, None, &mallory).await;
    assert!(site.netease.login(&desk, bound["token"].as_str().unwrap()).await);
    assert!(!site.netease.login(&desk, "their own").await);
    assert_eq!(site.netease.look(&format!("accounts/{desk}")).await["name"], "Desk");
    assert_eq!(bind(&service.client, &desk, None, &mallory).await, bound);
    assert_eq!(site.netease.calls("user/update").await, 1);
}

async fn a_seller_has_the_name_that_came_with_the_bind_which_made_them(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let bind_as = async |name: &str| {
        let body = json!({"buyer": alice, "seller": bob, "sellerName": name});
        service.client.as_user(&alice).post("/v1/accounts/bind", &body).await.ok()
    };
    let shown = async || site.netease.look(&format!("accounts/{bob}")).await["name"].clone();
    bind_as("Bob").await;
    assert_eq!(shown().await, "Bob");
    bind_as("Somebody else").await;
    assert_eq!(shown().await, "Bob", "nobody renames others");
    bind(&service.client, &bob, Some("Bobby"), &alice).await;
    bind_as("Bob").await;
    assert_eq!(shown().await, "Bobby");
}

#[tokio::test]
async fn a_name_that_cannot_be_seen_is_refused() {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    for field in ["buyerName", "sellerName"] {
        for name in ["  ", "\u{202e}ecilA", "Ali\u{200b}ce", "two\nlines", ""] {
            let mut body = json!({"buyer": "alice", "seller": "bob"});
            body[field] = json!(name);
            service.client.as_user("alice").post("/v1/accounts/bind", &body).await.invalid(field);
        }
    }
}
