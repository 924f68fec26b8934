//! Profiles, and what an account may do: blocked, muted, online, blacklisted.

use serde_json::{Value, json};

use super::Bench;

const PROFILE: [(&str, &str); 8] = [
    ("name", "Alice"),
    ("icon", "https://icon"),
    ("sign", "hi"),
    ("email", "a@b.c"),
    ("birth", "1970-01-01"),
    ("mobile", "13811110000"),
    ("gender", "1"),
    ("ex", "{}"),
];

async fn uinfo(bench: &Bench) -> Value {
    let form = [("accids", r#"["alice"]"#), ("muteStatus", "true")];
    bench.call("user/getUinfos", &form).await["uinfos"][0].clone()
}

#[tokio::test]
async fn a_profile_is_kept_whole_and_changed_field_by_field() {
    let bench = Bench::new().await;
    let form = [&[("accid", "alice")][..], &PROFILE[..]].concat();
    assert_eq!(bench.call("user/create", &form).await["code"], 200);
    let silent =
        json!({ "mute": false, "muteP2P": false, "muteTeam": false, "muteRoom": false, "muteQChat": false });
    let mut expected = json!({
        "accid": "alice", "name": "Alice", "icon": "https://icon", "sign": "hi", "email": "a@b.c",
        "birth": "1970-01-01", "mobile": "13811110000", "gender": 1, "ex": "{}", "valid": true,
    });
    expected.as_object_mut().unwrap().extend(silent.as_object().unwrap().clone());
    assert_eq!(uinfo(&bench).await, expected);

    let change = [("accid", "alice"), ("sign", "bye"), ("gender", "2")];
    assert_eq!(bench.call("user/updateUinfo", &change).await, json!({ "code": 200 }));
    expected["sign"] = json!("bye");
    expected["gender"] = json!(2);
    assert_eq!(uinfo(&bench).await, expected);
    let bad = [("accid", "alice"), ("sign", "no"), ("gender", "3")];
    assert_eq!(bench.call("user/updateUinfo", &bad).await["code"], 414);
    assert_eq!(uinfo(&bench).await, expected, "nothing of a refused call is kept");
}

#[tokio::test]
async fn a_blocked_account_cannot_log_in_nor_act() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let login = || bench.post("/login", json!({ "accid": "alice", "token": "alice", "client": "PC" }));
    assert_eq!(login().await["code"], 200);
    assert_eq!(bench.call("user/block", &[("accid", "alice")]).await, json!({ "code": 200 }));
    assert_eq!(login().await["code"], 422);
    let status =
        || async { bench.call("user/userOnlineStatus", &[("accids", r#"["alice","ghost"]"#)]).await };
    let online = status().await["data"].clone();
    assert_eq!(online["invalidAccids"], json!(["ghost"]));
    assert_eq!(online["status"]["alice"][0]["clientType"], 4, "not kicked");
    assert!(online["status"]["alice"][0]["loginTime"].as_i64().unwrap() > 0);

    let acts: [(&str, &[(&str, &str)]); 4] = [
        ("friend/add", &[("accid", "alice"), ("faccid", "bob"), ("type", "1")]),
        ("msg/sendAttachMsg", &[("from", "alice"), ("msgtype", "0"), ("to", "bob"), ("attach", "{}")]),
        (
            "msg/sendMsg",
            &[("from", "alice"), ("ope", "0"), ("to", "bob"), ("type", "0"), ("body", r#"{"msg":"x"}"#)],
        ),
        ("msg/markReadMsg", &[("from", "alice"), ("to", "bob"), ("msgidClient", "x")]),
    ];
    for (api, form) in acts {
        assert_eq!(bench.call(api, form).await["code"], 422, "{api}");
    }
    assert_eq!(bench.control("POST", "/send", json!({ "from": "alice", "to": "bob" })).await.0, 400);
    assert_eq!(uinfo(&bench).await["valid"], false);
    assert_eq!(bench.call("user/block", &[("accid", "alice"), ("needkick", "true")]).await["code"], 200);
    assert_eq!(status().await["data"]["status"], json!({}));
    assert_eq!(bench.call("user/unblock", &[("accid", "alice")]).await, json!({ "code": 200 }));
    assert_eq!(login().await["code"], 200);
    for (api, form) in acts {
        assert_eq!(bench.call(api, form).await["code"], 200, "{api}");
    }
    for api in ["user/block", "user/unblock"] {
        assert_eq!(bench.call(api, &[("accid", "ghost")]).await["code"], 414);
    }
    bench.drain().await;
}

#[tokio::test]
async fn a_muted_account_is_heard_where_it_is_not_muted() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let founding = [("tname", "desk"), ("owner", "alice"), ("members", r#"["bob"]"#)];
    let tid = bench.call("team/create", &founding).await["tid"].as_str().unwrap().to_owned();
    let send = async |ope: &str, to: &str| {
        let form = [("from", "alice"), ("ope", ope), ("to", to), ("type", "0"), ("body", r#"{"msg":"x"}"#)];
        bench.call("msg/sendMsg", &form).await["code"].clone()
    };
    let module = [("accid", "alice"), ("muteTeam", "true")];
    let all = json!({ "muteP2P": false, "muteTeam": true, "muteRoom": false, "muteQChat": false });
    assert_eq!(bench.call("user/muteModule", &module).await, json!({ "code": 200, "data": all }));
    assert_eq!((send("0", "bob").await, send("1", &tid).await), (json!(200), json!(403)));
    assert_eq!(
        bench.call("user/mute", &[("accid", "alice"), ("mute", "true")]).await,
        json!({ "code": 200 })
    );
    assert_eq!(send("0", "bob").await, 403);
    assert_eq!(bench.control("POST", "/send", json!({ "from": "alice", "to": "bob" })).await.0, 400);
    let forced = json!({ "from": "alice", "to": "bob", "force": true });
    assert_eq!(bench.control("POST", "/send", forced).await.0, 200);
    assert_eq!(uinfo(&bench).await["mute"], true);
    bench.call("user/mute", &[("accid", "alice"), ("mute", "false")]).await;
    assert_eq!(send("0", "bob").await, 200);
    assert_eq!(bench.call("user/mute", &[("accid", "alice")]).await["code"], 414, "neither on nor off");
    bench.drain().await;
}

#[tokio::test]
async fn only_an_account_with_a_client_can_be_left_in_peace() {
    let bench = Bench::with(&["alice"]).await;
    let form = [("accid", "alice"), ("donnopOpen", "true")];
    assert_eq!(bench.call("user/setDonnop", &form).await["code"], 414);
    bench.post("/login", json!({ "accid": "alice", "token": "alice", "client": "IOS" })).await;
    assert_eq!(bench.call("user/setDonnop", &form).await, json!({ "code": 200 }));
    assert_eq!(bench.get("/accounts/alice").await["donnop"], true);
}

#[tokio::test]
async fn who_is_blacklisted_is_copied_and_not_delivered() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let relate = async |kind: &str, value: &str| {
        let form = [("accid", "alice"), ("targetAcc", "Bob"), ("relationType", kind), ("value", value)];
        bench.call("user/setSpecialRelation", &form).await["code"].clone()
    };
    assert_eq!((relate("1", "1").await, relate("2", "1").await), (json!(200), json!(200)));
    let lists = bench.call("user/listBlackAndMuteList", &[("accid", "alice")]).await;
    assert_eq!(lists, json!({ "code": 200, "mutelist": ["bob"], "blacklist": ["bob"] }));

    let form = [("from", "bob"), ("ope", "0"), ("to", "alice"), ("type", "0"), ("body", r#"{"msg":"x"}"#)];
    assert_eq!(bench.call("msg/sendMsg", &form).await["code"], 7101);
    bench.post("/send", json!({ "from": "bob", "to": "alice" })).await;
    bench.drain().await;
    assert!(bench.got().iter().all(|copy| copy["blacklist"] == "1") && bench.got().len() == 2);
    assert_eq!(bench.unread("alice", "bob").await, 0);

    assert_eq!(relate("1", "0").await, 200);
    assert_eq!(bench.call("msg/sendMsg", &form).await["code"], 200, "the mutelist hushes no message");
    bench.drain().await;
    assert_eq!(bench.unread("alice", "bob").await, 1);
    assert!(bench.got()[2].get("blacklist").is_none());
    assert_eq!((relate("3", "1").await, relate("1", "2").await), (json!(414), json!(414)));
}
