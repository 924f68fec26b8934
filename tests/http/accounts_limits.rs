//! One caller takes neither NetEase's quota nor the accounts' table from the others.

use futures_util::future::join_all;
use serde_json::json;

use super::accounts::bind;
use crate::support::client::Answer;
use crate::support::service::{Service, Site};
use crate::support::stores::{Stores, on_both_sets};

on_both_sets!(a_caller_with_a_thousand_invented_sellers_gets_429_and_leaves_nothing_behind);

async fn try_bind(service: &Service, buyer: &str, seller: &str) -> Answer {
    let body = json!({"buyer": buyer, "seller": seller});
    service.client.as_user(buyer).post("/v1/accounts/bind", &body).await
}

async fn a_caller_with_a_thousand_invented_sellers_gets_429_and_leaves_nothing_behind(stores: Stores) {
    let site = Site::new(stores).await.set("limits.new_accounts_per_caller", "5");
    let service = site.start().await;
    let (mallory, alice, bob) = (site.user("mallory"), site.user("alice"), site.user("bob"));
    bind(&service.client, &bob, None, &alice).await;

    let (mut made, mut refused) = (0, 0);
    for hundred in 0..10 {
        let sellers: Vec<String> = (0..100).map(|n| site.user(&format!("s{hundred}-{n}"))).collect();
        for answer in join_all(sellers.iter().map(|seller| try_bind(&service, &mallory, seller))).await {
            match answer.status {
                200 => made += 1,
                _ => {
                    answer.problem(429, "too_many_binds");
                    assert!((1..=60).contains(&answer.header("retry-after").parse().unwrap()));
                    refused += 1;
                }
            }
        }
    }
    assert_eq!((made, refused), (5, 995));
    assert_eq!(site.netease.look("stats").await["accounts"], 3 + 5, "and their own");
    assert_eq!(bind(&service.client, &mallory, None, &bob).await["friend"]["state"], "added", "he is known");
    assert_eq!(bind(&service.client, &alice, None, &site.user("dora")).await["friend"]["state"], "added");
    let again = try_bind(&service, &mallory, &site.user("one-more")).await;
    again.problem(429, "too_many_binds");
}

#[tokio::test(flavor = "multi_thread")]
async fn others_bind_while_one_caller_has_a_hundred_binds_under_way() {
    let site = Site::new(Stores::embedded()).await.set("limits.new_accounts_per_caller", "1000");
    let site = site.set("netease.calls_per_second", "10").set("limits.netease_timeout", "1m");
    let service = site.start().await;
    let hoard: Vec<String> = (0..100).map(|n| format!("seller-{n}")).collect();
    let hoarding = join_all(hoard.iter().map(|seller| try_bind(&service, "mallory", seller)));
    let others = async {
        // Not before the others are under way.
        while site.netease.calls("friend/add").await == 0 {
            tokio::task::yield_now().await;
        }
        for n in 0..3 {
            assert_eq!(
                bind(&service.client, &format!("buyer-{n}"), None, "bob").await["friend"]["state"],
                "added"
            );
        }
    };
    let mut hoarding = std::pin::pin!(hoarding);
    tokio::select! {
        _ = &mut hoarding => panic!("a hundred were bound before three others"),
        () = others => {}
    }
    assert!(site.netease.calls("user/create").await < 60, "most of the hundred still wait");
}
