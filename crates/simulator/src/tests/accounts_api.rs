//! The server API's accounts, friends, and the gate before them.

use serde_json::json;

use super::{Bench, KEY};
use crate::gate::{Limit, Quota, RequestIds};

#[tokio::test]
async fn an_accid_is_lower_cased() {
    let bench = Bench::new().await;
    let answer = bench.call("user/create", &[("accid", "Alice.1"), ("token", "t"), ("name", "艾丽丝")]).await;
    assert_eq!(
        answer,
        json!({ "code": 200, "info": { "accid": "alice.1", "token": "t", "name": "艾丽丝" } })
    );
    let answer = bench.call("user/getUinfos", &[("accids", r#"["ALICE.1","nobody"]"#)]).await;
    assert_eq!(
        (&answer["uinfos"][0]["accid"], &answer["uinfos"][0]["name"]),
        (&json!("alice.1"), &json!("艾丽丝"))
    );
    assert_eq!(answer["uinfos"].as_array().unwrap().len(), 1);
    bench.faults(json!({ "uinfosOfUnknown": 414 })).await;
    assert_eq!(bench.call("user/getUinfos", &[("accids", r#"["alice.1","nobody"]"#)]).await["code"], 414);
    assert_eq!(bench.call("user/getUinfos", &[("accids", r#"["alice.1"]"#)]).await["code"], 200);
}

#[tokio::test]
async fn registering_again_changes_nothing_and_update_is_the_way_out() {
    let bench = Bench::with(&["alice"]).await;
    let again = bench.call("user/create", &[("accid", "ALICE"), ("token", "other"), ("name", "x")]).await;
    assert_eq!(again, json!({ "code": 414, "desc": "already register" }));
    let login = |token: &'static str| bench.post("/login", json!({ "accid": "alice", "token": token }));
    assert_eq!(login("alice").await["code"], 200);
    assert_eq!(login("other").await["code"], 302);

    let updated = bench.call("user/update", &[("accid", "alice"), ("token", "other")]).await;
    assert_eq!(updated, json!({ "code": 200 }));
    assert_eq!(login("alice").await["code"], 302);
    assert_eq!(login("other").await["code"], 200);
    assert_eq!(bench.call("user/update", &[("accid", "nobody"), ("token", "t")]).await["code"], 414);
}

#[tokio::test]
async fn a_refreshed_token_is_new_each_time() {
    let bench = Bench::with(&["alice"]).await;
    let first = bench.call("user/refreshToken", &[("accid", "alice")]).await;
    let second = bench.call("user/refreshToken", &[("accid", "alice")]).await;
    assert_ne!(first["info"]["token"], second["info"]["token"]);
    assert_eq!(bench.get("/accounts/alice").await["token"], second["info"]["token"]);
}

#[tokio::test]
async fn a_field_out_of_bounds_is_named() {
    let bench = Bench::new().await;
    let long_name = "名".repeat(65);
    let cases = [
        ("accid", vec![("token", "t")]),
        ("accid", vec![("accid", "has space")]),
        ("accid", vec![("accid", "a23456789012345678901234567890123")]),
        ("name", vec![("accid", "a"), ("name", long_name.as_str())]),
        ("gender", vec![("accid", "a"), ("gender", "3")]),
    ];
    for (field, form) in cases {
        let answer = bench.call("user/create", &form).await;
        assert_eq!(answer["code"], 414, "{form:?}");
        assert!(answer["desc"].as_str().unwrap().starts_with(field), "{answer}");
    }
    let longest = "名".repeat(64);
    assert_eq!(bench.call("user/create", &[("accid", "a"), ("name", &longest)]).await["code"], 200);
}

#[tokio::test]
async fn an_unsigned_call_is_refused_with_its_reason() {
    let bench = Bench::new().await;
    let cases = [("AppKey", "wrong", "appkey"), ("CheckSum", "wrong", "checksum"), ("Nonce", "", "Nonce")];
    for (header, value, desc) in cases {
        let mut headers = bench.headers();
        headers.iter_mut().filter(|(name, _)| *name == header).for_each(|(_, old)| *old = value.to_owned());
        let answer = bench.call_with("user/create", &[("accid", "a")], headers).await.unwrap();
        assert_eq!(answer.status(), 200);
        let answer: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(answer["code"], 414);
        assert!(answer["desc"].as_str().unwrap().starts_with(desc), "{answer}");
    }
    bench.faults(json!({ "clockSkewMs": 301_000 })).await;
    let answer = bench.call("user/create", &[("accid", "a")]).await;
    assert_eq!(answer, json!({ "code": 414, "desc": "CurTime is expired" }));
    assert_eq!(bench.headers()[0].1, KEY);
}

#[tokio::test]
async fn a_request_id_is_good_for_one_call() {
    let bench = Bench::with(&["alice"]).await;
    let mut codes = Vec::new();
    for _ in 0..2 {
        let mut headers = bench.headers();
        headers.push(("RequestId", "r-1".to_owned()));
        let form = [("accid", "alice"), ("token", "t")];
        let answer = bench.call_with("user/update", &form, headers).await.unwrap();
        codes.push(answer.json::<serde_json::Value>().await.unwrap()["code"].clone());
    }
    assert_eq!(codes, [200, 431]);

    let mut ids = RequestIds::default();
    assert!(ids.is_new("r", 0) && !ids.is_new("r", 600_000) && ids.is_new("r", 600_001));
}

#[test]
fn past_its_quota_an_api_closes_for_a_while() {
    let limit = Limit { calls: 3, window_ms: 1_000, pause_ms: 10_000 };
    let mut quota = Quota::default();
    let mut admit = |at: i64| quota.admit(at, limit);
    assert!([0, 1, 999].into_iter().all(&mut admit));
    assert!(admit(1_000), "the first call has left the window");
    assert!(!admit(1_000), "the fourth within a second closes the API");
    assert!(!admit(10_999), "and it stays closed, though the window is empty");
    assert!(admit(11_000));
}

#[tokio::test]
async fn one_api_closes_and_the_others_stay_open() {
    let bench = Bench::with(&["alice"]).await;
    bench.faults(json!({ "quotaPerSecond": 0 })).await;
    assert_eq!(bench.call("user/create", &[("accid", "bob")]).await["code"], 416);
    bench.faults(json!({ "quotaPerSecond": 100 })).await;
    assert_eq!(bench.call("user/create", &[("accid", "bob")]).await["code"], 416, "still closed");
    assert_eq!(bench.call("user/update", &[("accid", "alice"), ("token", "t")]).await["code"], 200);

    let stats = bench.get("/stats").await;
    assert_eq!(stats["calls"]["user/create"]["codes"], json!({ "200": 1, "416": 2 }));
    assert_eq!(bench.get("/calls?api=user/create").await["at"].as_array().unwrap().len(), 3);
    assert!(stats["calls"]["user/create"]["maxInOneSecond"].as_u64().unwrap() >= 1);
}

#[tokio::test]
async fn friends_are_mutual_and_strangers_a_setting() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let add = |friend: &'static str| async {
        let form = [("accid", "alice"), ("faccid", friend), ("type", "1")];
        bench.call("friend/add", &form).await["code"].clone()
    };
    assert_eq!(add("bob").await, 200);
    assert_eq!(add("bob").await, 200, "again is fine");
    let friends = bench.call("friend/get", &[("accid", "bob")]).await["friends"].clone();
    assert_eq!((&friends[0]["faccid"], &friends[0]["bidirection"]), (&json!("alice"), &json!(true)));
    assert_eq!(friends.as_array().unwrap().len(), 1);
    assert_eq!(add("stranger").await, 414);
    bench.faults(json!({ "friendOfUnknown": 404 })).await;
    assert_eq!(add("stranger").await, 404);
}
