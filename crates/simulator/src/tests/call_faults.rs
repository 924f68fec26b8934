//! Server API calls that fail: what was applied, and what the caller gets to see.

use serde_json::json;

use super::Bench;

const ALICE: [(&str, &str); 2] = [("accid", "alice"), ("token", "t")];

#[tokio::test]
async fn a_lost_reply_leaves_the_call_applied() {
    let bench = Bench::new().await;
    bench.faults(json!({ "failNext": [{ "api": "user/create", "mode": "lose-reply" }] })).await;
    assert!(bench.try_call("user/create", &ALICE).await.is_err(), "no answer at all");
    assert_eq!(bench.get("/accounts/alice").await["token"], "t");
    assert_eq!(bench.call("user/create", &ALICE).await["desc"], "already register");
    assert_eq!(bench.get("/stats").await["calls"]["user/create"]["codes"], json!({ "414": 1, "cut": 1 }));
}

#[tokio::test]
async fn a_call_cut_off_or_refused_is_not_applied() {
    let bench = Bench::new().await;
    let fail_next = json!([
        { "api": "user/create", "mode": "refuse-then-cut", "count": 2 },
        { "api": "*", "mode": "502" },
        { "api": "user/update", "mode": "416" },
        { "api": "user/create", "mode": "503" },
    ]);
    bench.faults(json!({ "failNext": fail_next })).await;
    assert!(bench.try_call("user/create", &ALICE).await.is_err());
    assert!(bench.try_call("user/create", &ALICE).await.is_err());
    assert_eq!(bench.try_call("user/create", &ALICE).await.unwrap().status(), 502);
    assert_eq!(bench.call("user/create", &ALICE).await["code"], 503);
    let left = bench.get("/faults").await["failNext"].clone();
    assert_eq!(left, json!([{ "api": "user/update", "mode": "416", "count": 1 }]));
    assert_eq!(bench.control("GET", "/accounts/alice", json!(null)).await.0, 404);
    assert_eq!(bench.call("user/create", &ALICE).await["code"], 200);
}

/// NetEase's own SDKs repeat a call after a 502 and after a cut with the `RequestId` it had.
#[tokio::test]
async fn a_call_that_never_got_in_may_come_again_with_its_request_id() {
    let bench = Bench::new().await;
    let fail_next = json!([
        { "api": "user/create", "mode": "502" },
        { "api": "user/create", "mode": "refuse-then-cut" },
        { "api": "user/create", "mode": "lose-reply" },
    ]);
    bench.faults(json!({ "failNext": fail_next })).await;
    let again = || {
        let mut headers = bench.headers();
        headers.push(("RequestId", "one-and-the-same".to_owned()));
        bench.call_with("user/create", &ALICE, headers)
    };
    assert_eq!(again().await.unwrap().status(), 502);
    assert!(again().await.is_err());
    assert!(again().await.is_err(), "this one got in: only its answer is lost");
    let repeated: serde_json::Value = again().await.unwrap().json().await.unwrap();
    assert_eq!(repeated["code"], 431, "{repeated}");
    assert_eq!(bench.get("/accounts/alice").await["token"], "t");
}

#[tokio::test]
async fn while_the_api_is_down_every_connection_is_cut() {
    let bench = Bench::new().await;
    bench.faults(json!({ "apiDown": true })).await;
    assert!(bench.try_call("user/create", &ALICE).await.is_err());
    assert_eq!(bench.control("DELETE", "/faults", json!(null)).await.1["apiDown"], false);
    assert_eq!(bench.call("user/create", &ALICE).await["code"], 200);
}

#[tokio::test]
async fn a_stalled_call_is_applied_though_its_caller_gives_up() {
    let bench = Bench::new().await;
    let stall = json!({ "failNext": [{ "api": "user/create", "mode": "stall" }], "stallMs": 600_000 });
    bench.faults(stall).await;
    let url = format!("{}/user/create.action", bench.simulator.base_url());
    let mut request = bench.http.post(url).form(&ALICE).timeout(std::time::Duration::from_millis(300));
    for (name, value) in bench.headers() {
        request = request.header(name, value);
    }
    assert!(request.send().await.unwrap_err().is_timeout());
    assert_eq!(bench.get("/accounts/alice").await["token"], "t");
}

#[tokio::test]
async fn chance_follows_the_seed() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let bench = Bench::with(&["alice"]).await;
        bench.faults(json!({ "failRate": { "api": "*", "mode": "503", "permille": 500 } })).await;
        let mut codes = Vec::new();
        for _ in 0..20 {
            codes.push(bench.call("user/update", &ALICE).await["code"].as_u64().unwrap());
        }
        assert!(codes.contains(&200) && codes.contains(&503), "{codes:?}");
        runs.push(codes);
    }
    assert_eq!(runs[0], runs[1]);
}
