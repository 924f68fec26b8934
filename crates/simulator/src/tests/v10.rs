//! The newer server API: its shapes, its codes, and that it is the same world, gate and faults as the classic one.

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::Bench;

impl Bench {
    /// A call of V10 below the classic base; without a body if it is null.
    async fn try_v10(&self, verb: &str, path: &str, body: &Value) -> reqwest::Result<reqwest::Response> {
        let url = format!("{}/im/{path}", self.simulator.base_url());
        let mut request = self.http.request(verb.parse().unwrap(), url);
        for (name, value) in self.headers() {
            request = request.header(name, value);
        }
        if !body.is_null() {
            request = request.header(CONTENT_TYPE, "application/json;charset=UTF-8").body(body.to_string());
        }
        request.send().await
    }

    async fn v10(&self, verb: &str, path: &str, body: Value) -> Value {
        let response = self.try_v10(verb, path, &body).await.unwrap();
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }
}

fn refused(code: u32, msg: &str) -> Value {
    json!({ "code": code, "msg": msg, "data": {} })
}

#[tokio::test]
async fn accounts_are_those_of_the_classic_api() {
    let bench = Bench::new().await;
    let new =
        json!({ "account_id": "Alice.1", "token": "t", "user_information": { "name": "艾丽丝" }, "more": 1 });
    let made = bench.v10("POST", "v2/accounts", new.clone()).await;
    assert_eq!((&made["code"], &made["msg"]), (&json!(200), &json!("success")));
    assert_eq!((&made["data"]["account_id"], &made["data"]["token"]), (&json!("alice.1"), &json!("t")));
    assert_eq!(bench.v10("POST", "v2/accounts", new).await, refused(102_405, "account already exist"));
    assert_eq!(bench.call("user/create", &[("accid", "alice.1")]).await["code"], 414);

    for (path, body) in [("accounts", json!({ "token": "new" })), ("users", json!({ "name": "Alice" }))] {
        let changed = bench.v10("PATCH", &format!("v2/{path}/ALICE.1"), body.clone()).await;
        assert_eq!((&changed["code"], &changed["data"]["account_id"]), (&json!(200), &json!("alice.1")));
        let nobody = bench.v10("PATCH", &format!("v2/{path}/nobody"), body).await;
        assert_eq!(nobody, refused(102_404, "account_id account not exist"));
    }
    let account = bench.get("/accounts/alice.1").await;
    assert_eq!((&account["token"], &account["name"]), (&json!("new"), &json!("Alice")));
    let refreshed = bench.v10("PATCH", "v2/accounts/alice.1/actions/refresh_token", Value::Null).await;
    assert_eq!(bench.get("/accounts/alice.1").await["token"], refreshed["data"]["token"]);
    assert_ne!(refreshed["data"]["token"], "new");
}

#[tokio::test]
async fn who_is_not_there_is_told_singly() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let read = bench.v10("GET", "v2/users?account_ids=ALICE,nobody%2Cbob", Value::Null).await;
    let nobody = json!([{ "account_id": "nobody", "error_code": 102_404, "error_msg": "account not exist" }]);
    let known: Vec<_> = read["data"]["success_list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["account_id"].as_str().unwrap())
        .collect();
    assert_eq!((known, &read["data"]["failed_list"]), (vec!["alice", "bob"], &nobody));
    let all = vec!["a"; 101].join(",");
    for odd in ["v2/users", "v2/users?account_ids=a,,b", &format!("v2/users?account_ids={all}")] {
        assert_eq!(bench.v10("GET", odd, Value::Null).await["code"], 414, "{odd}");
    }
    assert_eq!(
        bench.v10("GET", "v2/accounts?account_ids=bob", Value::Null).await["data"]["success_list"][0]["token"],
        "bob"
    );
}

#[tokio::test]
async fn friends_are_mutual_and_what_is_said_of_old_friends_a_setting() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let add = async |friend: &str, kind: &str| {
        let body = json!({ "account_id": "alice", "friend_account_id": friend });
        bench.v10("POST", &format!("v2.1/friends?type={kind}"), body).await["code"].clone()
    };
    assert_eq!(add("bob", "2").await, 200);
    assert_eq!(bench.get("/accounts/bob").await["friends"], json!([]), "asked, and not answered");
    assert_eq!([add("Bob", "1").await, add("bob", "1").await], [200, 200]);
    let friends = bench.v10("GET", "v2.1/friends?account_id=bob", Value::Null).await;
    assert_eq!(friends["data"]["items"], json!([{ "friend_account_id": "alice" }]));
    bench.faults(json!({ "friendsAgain": 104_405 })).await;
    assert_eq!(add("bob", "1").await, 104_405);
    assert_eq!([add("alice", "1").await, add("nobody", "1").await], [104_429, 102_404]);
    assert_eq!(add("bob", "").await, 414);
    bench.faults(json!({ "friendOfUnknown": 404 })).await;
    assert_eq!(add("nobody", "1").await, 404);
}

#[tokio::test]
async fn notices_are_those_of_the_classic_api() {
    let bench = Bench::with(&["shop", "alice", "bob"]).await;
    let one = json!({ "sender_id": "shop", "type": 1, "receiver_id": "Alice", "content": "{}" });
    assert_eq!(bench.v10("POST", "v2/custom_notification", one).await["data"], json!({}));
    let many = json!({
        "sender_id": "shop", "receiver_ids": ["alice", "nobody", "BOB"], "content": "x", "sound": "ding.caf",
        "notification_config": { "offline_enabled": false, "unread_enabled": false },
        "push_config": { "push_nick_enabled": false, "push_content": "new", "push_payload": "{\"a\": 1.0}" },
        "route_config": { "route_enabled": false },
    });
    let sent = bench.v10("POST", "v2/custom_notification/batch", many).await;
    assert_eq!(sent["data"]["success_list"], json!(["alice", "bob"]));
    assert_eq!(sent["data"]["failed_list"][0]["account_id"], "nobody");
    bench.drain().await;
    assert_eq!(bench.got().len(), 1, "that of the one that is routed");

    let notices = bench.get("/notices?to=alice").await["notices"].clone();
    let option = json!({ "badge": true, "needPushNick": true, "route": true });
    assert_eq!((&notices[0]["save"], &notices[0]["option"]), (&json!(2), &option));
    let option = json!({ "badge": false, "needPushNick": false, "route": false });
    assert_eq!((&notices[1]["save"], &notices[1]["option"]), (&json!(1), &option));
    let said = ["attach", "pushcontent", "payload", "sound"].map(|field| notices[1][field].clone());
    assert_eq!(said, ["x", "new", "{\"a\": 1.0}", "ding.caf"].map(Value::from));

    let too_many = json!({ "sender_id": "shop", "receiver_ids": vec!["alice"; 501], "content": "x" });
    assert_eq!(bench.v10("POST", "v2/custom_notification/batch", too_many).await["code"], 414);
    for (field, value) in [("sender_id", "nobody"), ("receiver_id", "nobody")] {
        let mut body = json!({ "sender_id": "shop", "type": 1, "receiver_id": "alice", "content": "x" });
        body[field] = json!(value);
        assert_eq!(bench.v10("POST", "v2/custom_notification", body).await["code"], 102_404, "{field}");
    }
}

#[tokio::test]
async fn a_field_out_of_bounds_is_named() {
    let bench = Bench::with(&["a"]).await;
    let long = "名".repeat(4_097);
    let cases = [
        ("v2/accounts", json!({}), "account_id"),
        ("v2/accounts", json!({ "account_id": "has space" }), "account_id"),
        ("v2/accounts", json!({ "account_id": 7 }), "account_id"),
        ("v2/accounts", json!({ "account_id": "b", "user_information": { "name": long } }), "name"),
        ("v2/accounts", json!({ "account_id": "b", "user_information": "x" }), "user_information"),
        ("v2/accounts", json!([]), "body"),
        ("v2/custom_notification", json!({ "sender_id": "a", "type": 3, "receiver_id": "a" }), "type"),
        (
            "v2/custom_notification",
            json!({ "sender_id": "a", "type": 1, "receiver_id": "a", "content": long }),
            "content",
        ),
        ("v2/custom_notification/batch", json!({ "sender_id": "a", "receiver_ids": [] }), "receiver_ids"),
    ];
    for (path, body, field) in cases {
        let answer = bench.v10("POST", path, body.clone()).await;
        assert_eq!(answer["code"], 414, "{body}");
        assert!(answer["msg"].as_str().unwrap().starts_with(field), "{answer}");
    }
    assert_eq!(bench.v10("PUT", "v2/accounts", json!({})).await, refused(414, "method not allowed"));
    assert_eq!(bench.v10("POST", "v2/nothing", json!({})).await["code"], 404);
}

#[tokio::test]
async fn faults_quotas_and_statistics_hold_for_it_and_both_prefixes_lead_to_it() {
    let bench = Bench::with(&["alice"]).await;
    let unsigned = bench.http.get(format!("{}/im/v2/users?account_ids=a", bench.simulator.base_url()));
    assert_eq!(unsigned.send().await.unwrap().json::<Value>().await.unwrap(), refused(403, "appkey"));

    let users = "v2/users?account_ids=alice";
    let fail = |mode: &str| json!({ "failNext": [{ "api": "v2/users.get", "mode": mode }] });
    bench.faults(fail("102449")).await;
    assert_eq!(bench.v10("GET", users, Value::Null).await["code"], 102_449);
    bench.faults(fail("refuse-then-cut")).await;
    assert!(bench.try_v10("GET", users, &Value::Null).await.is_err());
    bench.faults(json!({ "quotaPerSecond": 0 })).await;
    assert_eq!(bench.v10("GET", users, Value::Null).await, refused(416, "frequency control"));

    let root = bench.simulator.base_url().replace("/nimserver", "");
    let mut request = bench.http.get(format!("{root}/im/v2/accounts?account_ids=alice"));
    bench.faults(json!({ "quotaPerSecond": 100 })).await;
    for (name, value) in bench.headers() {
        request = request.header(name, value);
    }
    assert_eq!(request.send().await.unwrap().json::<Value>().await.unwrap()["code"], 200);
    let calls = bench.get("/stats").await["calls"].clone();
    assert_eq!(calls["v2/users.get"]["codes"], json!({ "102449": 1, "403": 1, "416": 1, "cut": 1 }));
    assert_eq!(calls["v2/accounts.get"]["codes"], json!({ "200": 1 }));
}

#[tokio::test]
async fn what_is_said_and_read_is_told_by_both_apis() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let said = json!({ "message": { "message_type": 0, "text": "你好" }, "message_client_id": "c-1" });
    let sent = bench.v10("POST", "v2/conversations/bob%7C1%7Calice/messages", said.clone()).await;
    assert_eq!((&sent["code"], &sent["data"]["message_client_id"]), (&json!(200), &json!("c-1")));
    let again = bench.v10("POST", "v2/conversations/bob%7C1%7Calice/messages", said).await;
    assert_eq!(again, refused(107_306, "message_client_id is used"));
    bench.drain().await;
    assert_eq!((&bench.got()[0]["fromAccount"], &bench.got()[0]["body"]), (&json!("bob"), &json!("你好")));
    assert_eq!(bench.unread("alice", "bob").await, 1);

    let conversation =
        async || bench.v10("GET", "v2.1/conversations/alice%7C1%7Cbob", Value::Null).await["data"].clone();
    let unread = conversation().await;
    assert_eq!((&unread["unread_count"], &unread["last_read_time"]), (&json!(1), &json!(0)));
    let read = |id: &Value| {
        let body = json!({ "from_account_id": "alice", "to_account_id": "bob", "message_server_id": id });
        bench.v10("POST", "v2/messages/actions/p2p_read_receipt", body)
    };
    assert_eq!(read(&json!(7)).await["code"], 107_404);
    assert_eq!(read(&sent["data"]["message_server_id"]).await["data"], json!({}));
    let seen = conversation().await;
    assert_eq!((&seen["unread_count"], &seen["last_read_time"]), (&json!(0), &sent["data"]["create_time"]));
    bench.drain().await;
    assert_eq!(bench.got()[1]["eventType"], "30");

    let of = async |id: &str| bench.v10("GET", &format!("v2.1/conversations/{id}"), Value::Null).await;
    assert_eq!(of("bob%7C1%7Cnobody").await["code"], 110_404);
    assert_eq!(of("alice%7C2%7C1000").await["code"], 414);
    bench.faults(json!({ "conversations": 400 })).await;
    assert_eq!(of("alice%7C1%7Cbob").await["code"], 400);
}

#[tokio::test]
async fn the_history_has_pages_in_either_order() {
    let bench = Bench::with(&["alice", "bob"]).await;
    bench.post("/send", json!({ "from": "bob", "to": "alice", "count": 5, "timestamp": 1_000 })).await;
    bench
        .post("/send", json!({ "from": "alice", "to": "bob", "timestamp": 2_000, "msgType": "CUSTOM" }))
        .await;
    let page = async |more: &str| {
        let path =
            format!("v2.1/conversations/alice%7C1%7Cbob/messages?begin_time=0&end_time=3000&limit=4{more}");
        bench.v10("GET", &path, Value::Null).await["data"].clone()
    };
    let times = |page: &Value| -> Vec<i64> {
        page["items"].as_array().unwrap().iter().map(|item| item["create_time"].as_i64().unwrap()).collect()
    };
    let first = page("&descending=true").await;
    assert_eq!((times(&first), &first["has_more"]), (vec![1_000; 4], &json!(true)));
    let token = first["next_token"].as_str().unwrap().replace('/', "%2F");
    let last = page(&format!("&descending=true&page_token={token}")).await;
    assert_eq!((times(&last), &last["has_more"]), (vec![1_000, 2_000], &json!(false)));
    assert_eq!(
        (&last["items"][1]["sender_id"], &last["items"][1]["message_type"]),
        (&json!("alice"), &json!(100))
    );
    assert_eq!(times(&page("").await)[0], 2_000, "the newest first, if nothing is said");
    bench.faults(json!({ "descendingIsOldestFirst": false })).await;
    assert_eq!(times(&page("&descending=true").await)[0], 2_000);
    assert_eq!(times(&page("&message_type=100").await), [2_000]);
    assert_eq!(page("&page_token=odd").await, json!({}));
    let all = bench.v10("GET", "v2.1/conversations?account_id=bob", Value::Null).await["data"].clone();
    assert_eq!(
        (&all["items"][0]["receiver_id"], &all["items"][0]["unread_count"]),
        (&json!("alice"), &json!(1))
    );
}
