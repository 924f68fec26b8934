//! Messages, receipts, recalls and notices: the naive count, and the copies that are posted.

use serde_json::json;

use super::Bench;

#[tokio::test]
async fn unread_is_counted_from_the_facts() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let sent = bench.post("/send", json!({ "from": "ALICE", "to": "Bob", "count": 5 })).await;
    assert_eq!(sent["delivered"], 5);
    bench.post("/send", json!({ "from": "alice", "to": "bob", "antispam": true })).await;
    bench.post("/send", json!({ "from": "alice", "to": "bob", "blacklist": true })).await;
    bench.post("/send", json!({ "from": "alice", "to": "team-1", "convType": "TEAM" })).await;
    bench.post("/send", json!({ "from": "alice", "to": "alice" })).await;
    assert_eq!(bench.unread("bob", "alice").await, 5);
    assert_eq!(bench.unread("alice", "bob").await, 0, "the other direction");
    assert_eq!(bench.unread("alice", "alice").await, 0, "to oneself");

    let third = &sent["messages"][2];
    let read = json!({ "reader": "bob", "peer": "alice", "timestamp": third["msgTimestamp"] });
    bench.post("/read", read).await;
    assert_eq!(bench.unread("bob", "alice").await, 2, "up to and including");
    bench.post("/read", json!({ "reader": "bob", "peer": "alice", "timestamp": 1 })).await;
    assert_eq!(bench.unread("bob", "alice").await, 2, "a mark never goes down");
    for at in [4, 4, 0] {
        bench.post("/recall", json!({ "msgidServer": sent["messages"][at]["msgidServer"] })).await;
    }
    assert_eq!(bench.unread("bob", "alice").await, 1);
    bench.post("/read", json!({ "reader": "bob", "peer": "alice" })).await;
    assert_eq!(bench.unread("bob", "alice").await, 0);
}

#[tokio::test]
async fn a_receipt_before_any_message_leaves_the_next_one_unread() {
    let bench = Bench::with(&["alice", "bob"]).await;
    bench.post("/read", json!({ "reader": "bob", "peer": "alice" })).await;
    bench.post("/send", json!({ "from": "alice", "to": "bob", "count": 1000, "wait": false })).await;
    assert_eq!(bench.unread("bob", "alice").await, 1000);
    bench.drain().await;
}

#[tokio::test]
async fn ids_and_times_increase_and_have_their_lengths() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let sent = bench.post("/send", json!({ "from": "alice", "to": "bob", "count": 50 })).await;
    let messages = sent["messages"].as_array().unwrap();
    let id = |at: usize| messages[at]["msgidServer"].as_str().unwrap().to_owned();
    let time = |at: usize| messages[at]["msgTimestamp"].as_i64().unwrap();
    assert!((1..50).all(|at| id(at) > id(at - 1) && time(at) > time(at - 1)));
    assert!((0..50).all(|at| id(at).len() == 18));
}

#[tokio::test]
async fn edits_and_reviews_have_the_fields_of_the_protocol() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let sent = bench.post("/send", json!({ "from": "alice", "to": "bob" })).await;
    let id = sent["messages"][0]["msgidServer"].clone();
    bench.post("/edit", json!({ "msgidServer": id, "text": "new", "modifyTime": 9 })).await;
    bench.post("/review", json!({ "msgidServer": id })).await;
    let got = bench.got();
    let edit = json!({
        "eventType": "89", "from": "alice", "to": "bob", "msgId": id, "clientId": got[0]["msgidClient"],
        "modifyAccountId": "alice", "modifyTime": "9", "text": "new",
    });
    assert_eq!(got[1], edit);
    assert_eq!(got[2]["eventType"], "20");
    let objects: serde_json::Value = serde_json::from_str(got[2]["objects"].as_str().unwrap()).unwrap();
    assert_eq!((&objects[0]["type"], &objects[0]["serverMsgId"]), (&json!("P2P_MSG_AUDIO"), &id));
    assert_eq!(objects[0]["antispam"], json!(true));
}

#[tokio::test]
async fn events_have_the_fields_of_the_protocol() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let sent = bench
        .post("/send", json!({ "from": "alice", "to": "bob", "timestamp": 1_700_000_000_000_i64 }))
        .await;
    let id = sent["messages"][0]["msgidServer"].clone();
    bench.post("/recall", json!({ "msgidServer": id })).await;
    bench.post("/read", json!({ "reader": "bob", "peer": "alice", "event": 85 })).await;
    let pair = json!({ "reader": "bob", "peer": "alice", "timestamp": 5 });
    bench.post("/read-batch", json!({ "receipts": [pair, pair], "objects": "array" })).await;

    let got = bench.got();
    assert_eq!(got[0]["eventType"], "1");
    assert_eq!(got[0]["msgTimestamp"], "1700000000000");
    assert_eq!((&got[1]["eventType"], &got[1]["msgId"]), (&json!("7"), &id));
    assert_eq!((&got[1]["from"], &got[1]["to"]), (&json!("alice"), &json!("bob")));
    assert_eq!((&got[2]["eventType"], &got[2]["ackMsgTime"]), (&json!("85"), &json!("1700000000000")));
    assert_eq!(got[3]["objects"].as_array().unwrap().len(), 2);

    bench.faults(json!({ "numbersAsNumbers": true, "sameIdsAcrossKinds": true })).await;
    bench.post("/send", json!({ "from": "alice", "to": "bob", "extra": { "ext": "{}" } })).await;
    let copy = &bench.got()[4];
    assert_eq!((&copy["eventType"], &copy["ext"]), (&json!(1), &json!("{}")));
    assert!(copy["msgidServer"].is_u64() && copy["msgTimestamp"].is_i64());
}

#[tokio::test]
async fn a_notice_is_kept_and_comes_back_unless_routing_is_off() {
    let bench = Bench::with(&["system", "bob"]).await;
    let mut form = vec![("from", "system"), ("msgtype", "0"), ("to", "Bob"), ("attach", "{\"order\":1}")];
    assert_eq!(bench.call("msg/sendAttachMsg", &form).await, json!({ "code": 200 }));
    form.push(("option", r#"{"route":false}"#));
    form.push(("pushcontent", "paid"));
    assert_eq!(bench.call("msg/sendAttachMsg", &form).await, json!({ "code": 200 }));
    bench.drain().await;

    let notices = bench.get("/notices?to=bob").await;
    assert_eq!(notices["notices"].as_array().unwrap().len(), 2);
    assert_eq!(notices["notices"][1]["pushcontent"], "paid");
    let got = bench.got();
    assert_eq!(got.len(), 1);
    assert_eq!(
        (&got[0]["convType"], &got[0]["msgType"]),
        (&json!("CUSTOM_PERSON"), &json!("CUSTOM_P2P_MSG"))
    );
    assert_eq!(got[0]["attach"], "{\"order\":1}");

    form[2].1 = "nobody";
    assert_eq!(bench.call("msg/sendAttachMsg", &form).await["code"], 414);
}

#[tokio::test]
async fn a_batch_names_those_it_does_not_know_in_either_form() {
    let bench = Bench::with(&["system", "bob"]).await;
    let form = [("fromAccid", "system"), ("toAccids", r#"["bob","ghost"]"#), ("attach", "{}")];
    assert_eq!(bench.call("msg/sendBatchAttachMsg", &form).await["unregister"], json!(["ghost"]));
    bench.faults(json!({ "unregisterAs": "string" })).await;
    assert_eq!(bench.call("msg/sendBatchAttachMsg", &form).await["unregister"], json!(r#"["ghost"]"#));
    bench.drain().await;
    assert_eq!(bench.got().len(), 2);
}

#[tokio::test]
async fn a_control_call_that_makes_no_sense_is_refused_in_a_sentence() {
    let bench = Bench::with(&["alice"]).await;
    let send = |body| bench.control("POST", "/send", body);
    let (status, reply) = send(json!({ "from": "alice", "to": "ghost" })).await;
    assert_eq!(status, 404);
    assert!(reply["error"].as_str().unwrap().contains("`ghost`"), "{reply}");
    assert_eq!(send(json!({ "from": "alice", "to": "ghost", "force": true })).await.0, 200);
    let (status, reply) = send(json!({ "from": "alice", "to": "alice", "cuont": 2 })).await;
    assert_eq!(status, 400);
    assert!(reply["error"].as_str().unwrap().contains("`cuont`"), "{reply}");
    assert_eq!(send(json!({ "from": "alice", "to": "alice", "count": 0 })).await.0, 400);
    assert_eq!(bench.control("GET", "/unread?reader=a", json!(null)).await.0, 400);
    for faults in [
        json!({ "duplicate": 51 }),
        json!({ "dupe": 1 }),
        json!({ "failNext": [{ "api": "user/x", "mode": "502" }] }),
    ] {
        assert_eq!(bench.control("PUT", "/faults", faults).await.0, 400);
    }
    assert!(bench.get("").await.as_array().unwrap().len() > 10);
}
