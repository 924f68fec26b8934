//! Messages that the application sends and recalls in its users' names.

use serde_json::{Value, json};

use super::Bench;

const TEXT: [(&str, &str); 5] =
    [("from", "alice"), ("ope", "0"), ("to", "Bob"), ("type", "0"), ("body", r#"{"msg":"你好"}"#)];

fn with<'a>(form: &[(&'a str, &'a str)], fields: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = form.iter().filter(|(name, _)| fields.iter().all(|(other, _)| other != name)).copied();
    kept.chain(fields.iter().copied()).collect()
}

async fn history(bench: &Bench, fields: &[(&str, &str)]) -> Value {
    let form = [
        ("from", "alice"),
        ("to", "bob"),
        ("begintime", "0"),
        ("endtime", "9000000000000"),
        ("limit", "100"),
    ];
    bench.call("history/querySessionMsg", &with(&form, fields)).await
}

#[tokio::test]
async fn a_message_is_answered_with_its_number_and_copied() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let sent =
        bench.call("msg/sendMsg", &with(&TEXT, &[("ext", "mine"), ("option", r#"{"push":false}"#)])).await;
    assert_eq!((&sent["code"], &sent["data"]["antispam"]), (&json!(200), &json!(false)));
    bench.drain().await;
    let copy = &bench.got()[0];
    assert_eq!(
        (&copy["eventType"], &copy["convType"], &copy["msgType"]),
        (&json!("1"), &json!("PERSON"), &json!("TEXT"))
    );
    assert_eq!(
        (&copy["fromAccount"], &copy["to"], &copy["body"]),
        (&json!("alice"), &json!("bob"), &json!("你好"))
    );
    assert_eq!((&copy["fromClientType"], &copy["ext"]), (&json!("REST"), &json!("mine")));
    assert_eq!(copy["msgidServer"], sent["data"]["msgid"].to_string());
    assert_eq!(copy["msgTimestamp"], sent["data"]["timetag"].to_string());
    assert_eq!(bench.unread("bob", "alice").await, 1);
    let row = history(&bench, &[]).await["msgs"][0].clone();
    assert_eq!((&row["msgid"], &row["fromclienttype"]), (&sent["data"]["msgid"], &json!(32)));

    let picture = with(&TEXT, &[("type", "1"), ("body", r#"{"url":"u","size":1}"#)]);
    assert_eq!(bench.call("msg/sendMsg", &picture).await["code"], 200);
    bench.drain().await;
    let copy = &bench.got()[1];
    assert_eq!((&copy["msgType"], &copy["attach"]), (&json!("PICTURE"), &json!(r#"{"url":"u","size":1}"#)));
    assert_eq!(history(&bench, &[("type", "1")]).await["msgs"][0]["body"], json!({ "url": "u", "size": 1 }));
}

#[tokio::test]
async fn a_message_that_makes_no_sense_is_refused() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let long = format!(r#"{{"msg":"{}"}}"#, "x".repeat(5_000));
    let cases = [
        (("ope", "2"), 414),
        (("type", "5"), 414),
        (("body", "hello"), 414),
        (("body", r#"{"text":"x"}"#), 414),
        (("body", long.as_str()), 414),
        (("payload", "no json"), 414),
        (("from", "ghost"), 414),
        (("to", "ghost"), 414),
        (("checkFriend", "true"), 403),
    ];
    for (field, code) in cases {
        assert_eq!(bench.call("msg/sendMsg", &with(&TEXT, &[field])).await["code"], code, "{field:?}");
    }
    bench.call("friend/add", &[("accid", "alice"), ("faccid", "bob"), ("type", "1")]).await;
    assert_eq!(bench.call("msg/sendMsg", &with(&TEXT, &[("checkFriend", "true")])).await["code"], 200);
    bench.drain().await;
    assert_eq!(bench.got().len(), 1);
}

#[tokio::test]
async fn options_say_where_a_message_is_seen_again() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let send = async |fields: &[(&str, &str)]| {
        bench.call("msg/sendMsg", &with(&TEXT, fields)).await["data"]["msgid"].clone()
    };
    assert_ne!(send(&[("option", r#"{"route":false}"#)]).await, 0);
    send(&[("option", r#"{"history":false}"#)]).await;
    send(&[("msgReceiverNoSense", "1")]).await;
    assert_eq!(send(&[("option", r#"{"persistent":false}"#)]).await, 0);
    bench.drain().await;
    assert_eq!(bench.got().len(), 3, "one is not routed");
    assert_eq!(bench.got()[2]["msgidServer"], "0");
    assert_eq!(history(&bench, &[]).await["size"], 1);
    assert_eq!(history(&bench, &[("includeNoSenseMsg", "true")]).await["size"], 2);
}

#[tokio::test]
async fn a_message_to_a_team_comes_from_its_members() {
    let bench = Bench::with(&["alice", "bob", "carol"]).await;
    let founding = [("tname", "desk"), ("owner", "alice"), ("members", r#"["bob"]"#)];
    let tid = bench.call("team/create", &founding).await["tid"].as_str().unwrap().to_owned();
    let to_team = with(&TEXT, &[("ope", "1"), ("to", &tid)]);
    assert_eq!(bench.call("msg/sendMsg", &to_team).await["code"], 200);
    assert_eq!(bench.call("msg/sendMsg", &with(&to_team, &[("from", "carol")])).await["code"], 804);
    assert_eq!(bench.call("msg/sendMsg", &with(&to_team, &[("to", "7")])).await["code"], 404);
    bench.drain().await;
    assert_eq!(bench.got().len(), 1);
    assert_eq!((&bench.got()[0]["convType"], &bench.got()[0]["to"]), (&json!("TEAM"), &json!(tid)));
    let sessions = bench.call("history/querySessionList", &[("accid", "alice")]).await;
    assert_eq!(sessions["data"]["sessions"], json!([]));
}

#[tokio::test]
async fn a_batch_has_one_time_and_a_number_each() {
    let bench = Bench::with(&["alice", "bob", "carol"]).await;
    let form = [
        ("fromAccid", "alice"),
        ("toAccids", r#"["bob","carol","ghost"]"#),
        ("type", "0"),
        ("body", r#"{"msg":"x"}"#),
        ("returnMsgid", "true"),
    ];
    let sent = bench.call("msg/sendBatchMsg", &form).await;
    assert_eq!((&sent["code"], &sent["unregister"]), (&json!(200), &json!(["ghost"])));
    bench.drain().await;
    let got = bench.got();
    assert_eq!(got.len(), 2);
    for copy in &got {
        assert_eq!(copy["msgTimestamp"], sent["timetag"].to_string());
        assert_eq!(copy["msgidServer"], sent["msgids"][copy["to"].as_str().unwrap()].to_string());
    }
    assert_ne!(got[0]["msgidClient"], got[1]["msgidClient"]);
    assert!(bench.call("msg/sendBatchMsg", &form[..4]).await.get("msgids").is_none());
    let many = json!(vec!["bob"; 501]).to_string();
    assert_eq!(bench.call("msg/sendBatchMsg", &with(&form, &[("toAccids", &many)])).await["code"], 414);
    bench.faults(json!({ "batchPerMinute": 0 })).await;
    assert_eq!(bench.call("msg/sendBatchMsg", &form).await["code"], 416);
    bench.drain().await;
}

#[tokio::test]
async fn a_recall_is_copied_and_counts_no_more() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let sent = bench.call("msg/sendMsg", &TEXT).await["data"].clone();
    let (id, at) = (sent["msgid"].to_string(), sent["timetag"].to_string());
    let form =
        [("deleteMsgid", id.as_str()), ("timetag", &at), ("type", "7"), ("from", "alice"), ("to", "bob")];
    let recall =
        async |fields: &[(&str, &str)]| bench.call("msg/recall", &with(&form, fields)).await["code"].clone();
    assert_eq!(recall(&[("timetag", "7")]).await, 414);
    assert_eq!(recall(&[("type", "9")]).await, 414);
    assert_eq!(recall(&[("ignoreTime", "2")]).await, 414);
    for other in [("deleteMsgid", "7"), ("to", "alice"), ("type", "8")] {
        assert_eq!(recall(&[other]).await, 200, "{other:?} names no message, and is done");
    }
    assert_eq!(bench.unread("bob", "alice").await, 1);
    assert_eq!(recall(&[("msg", "oops"), ("attach", "a")]).await, 200);
    assert_eq!(recall(&[]).await, 200, "again is fine");
    bench.drain().await;
    assert_eq!(bench.unread("bob", "alice").await, 0);
    let got = bench.got();
    assert_eq!(got.len(), 2);
    assert_eq!((&got[1]["eventType"], &got[1]["msgId"]), (&json!("7"), &json!(id)));
    assert_eq!((&got[1]["selfMsg"], &got[1]["attach"]), (&json!("oops"), &json!("a")));

    let old = bench
        .post("/send", json!({ "from": "alice", "to": "bob", "timestamp": 1_700_000_000_000_i64 }))
        .await;
    let old_id = old["messages"][0]["msgidServer"].as_str().unwrap();
    let old = [("deleteMsgid", old_id), ("timetag", "1700000000000")];
    assert_eq!(recall(&old).await, 508);
    assert_eq!(recall(&with(&old, &[("ignoreTime", "1")])).await, 200);
    bench.drain().await;
}
