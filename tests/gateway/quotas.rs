//! NetEase never sees more calls than it takes; and what happens if it says so all the same.

use futures_util::future::join_all;
use otc_im::infra::netease::ServerApi;
use otc_im::ports::gateway::{Created, GatewayError};
use serde_json::json;

use super::{accid, by_both_apis, called, speaking};
use crate::support::netease::NetEase;

by_both_apis!(
    no_second_sees_more_calls_than_the_quota_and_all_are_done,
    a_call_that_netease_closed_is_not_made_again_and_others_are,
);

async fn no_second_sees_more_calls_than_the_quota_and_all_are_done(api: ServerApi) {
    let netease = NetEase::start().await;
    let ours = speaking(api, &netease);
    let (person, background) = (ours.for_persons(), ours.background());
    let created = join_all((0..300).map(async |number| {
        let face = if number % 2 == 0 { &person } else { &background };
        face.create_user(&accid(&format!("user{number}")), "token", None).await
    }));
    assert_eq!(created.await, vec![Ok(Created::New); 300]);

    let stats = netease.look("stats").await["calls"][called(api, "user/create")].clone();
    assert_eq!(stats["codes"], json!({"200": 300}), "never 416");
    assert!(stats["maxInOneSecond"].as_u64().is_some_and(|most| most <= 100), "{stats}");
}

async fn a_call_that_netease_closed_is_not_made_again_and_others_are(api: ServerApi) {
    let (netease, create) = (NetEase::start().await, called(api, "user/create"));
    let ours = speaking(api, &netease);
    let (gateway, alice) = (ours.for_persons(), accid("alice"));
    gateway.create_user(&alice, "old", None).await.unwrap();
    netease.faults(json!({"failNext": [{"api": create, "mode": "416"}]})).await;

    for face in [&gateway, &gateway, &ours.background()] {
        let busy = face.create_user(&accid("bob"), "token", None).await;
        let Err(GatewayError::Busy { api, again_in }) = busy else { panic!("{busy:?}") };
        assert_eq!(api, create);
        assert!((8..=10).contains(&again_in.as_secs()), "{again_in:?}");
    }
    assert_eq!(netease.calls(create).await, 2, "one that was done, one that was closed");
    gateway.set_token(&alice, "new").await.unwrap();
    assert_eq!(gateway.circuit_open_for(), None);
}
