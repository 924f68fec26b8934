//! The history of person messages: what a page holds, and that it holds what no copy told.

use serde_json::{Value, json};

use super::Bench;

const AT: i64 = 1_700_000_000_000;

async fn write(bench: &Bench, from: &str, to: &str, at: i64, fields: Value) -> String {
    let mut body = json!({ "from": from, "to": to, "timestamp": at });
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let sent = bench.post("/send", body).await;
    sent["messages"][0]["msgidServer"].as_str().unwrap().to_owned()
}

async fn page(bench: &Bench, fields: &[(&str, &str)]) -> Value {
    let mut form = vec![
        ("from", "alice"),
        ("to", "bob"),
        ("begintime", "0"),
        ("endtime", "1800000000000"),
        ("limit", "100"),
    ];
    for field in fields {
        form.retain(|(name, _)| *name != field.0);
        form.push(*field);
    }
    bench.call("history/querySessionMsg", &form).await
}

fn ids(page: &Value) -> Vec<String> {
    page["msgs"].as_array().unwrap().iter().map(|message| message["msgid"].to_string()).collect()
}

#[tokio::test]
async fn a_row_has_the_fields_of_the_protocol() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let id = write(&bench, "Alice", "Bob", AT, json!({ "body": "你好" })).await;
    let picture = json!({ "msgType": "PICTURE", "body": "", "extra": { "attach": { "url": "u" }, "fromClientType": "IOS" } });
    write(&bench, "bob", "alice", AT + 1, picture).await;
    let page = page(&bench, &[("reverse", "1")]).await;
    assert_eq!((&page["code"], &page["size"]), (&json!(200), &json!(2)));
    let client_id = page["msgs"][0]["msgidclient"].clone();
    assert_eq!(client_id.as_str().unwrap().len(), 32);
    let first = json!({
        "from": "alice", "msgid": id.parse::<u64>().unwrap(), "msgidclient": client_id, "sendtime": AT, "type": 0,
        "fromclienttype": 16, "body": { "msg": "你好" },
    });
    assert_eq!(page["msgs"][0], first);
    let second = &page["msgs"][1];
    assert_eq!(
        (&second["from"], &second["type"], &second["fromclienttype"]),
        (&json!("bob"), &json!(1), &json!(2))
    );
    assert_eq!(second["body"], json!({ "url": "u" }));

    bench.faults(json!({ "historyBodyAs": "string" })).await;
    let page = self::page(&bench, &[("reverse", "1")]).await;
    assert_eq!(page["msgs"][0]["body"], json!("{\"msg\":\"你好\"}"));
}

#[tokio::test]
async fn a_page_holds_both_ways_in_order_and_within_its_span() {
    let bench = Bench::with(&["alice", "bob", "carol"]).await;
    let mut sent = Vec::new();
    for (at, from, to) in [(0, "alice", "bob"), (1, "bob", "alice"), (2, "alice", "bob"), (3, "alice", "bob")]
    {
        sent.push(write(&bench, from, to, AT + at, json!({})).await);
    }
    write(&bench, "alice", "carol", AT, json!({})).await;
    write(&bench, "alice", "bob", AT, json!({ "convType": "TEAM" })).await;
    let newest_first: Vec<String> = sent.iter().rev().cloned().collect();
    assert_eq!(ids(&page(&bench, &[]).await), newest_first, "the default");
    assert_eq!(ids(&page(&bench, &[("reverse", "2")]).await), newest_first);
    assert_eq!(ids(&page(&bench, &[("reverse", "1")]).await), sent);
    assert_eq!(ids(&page(&bench, &[("from", "bob"), ("to", "ALICE"), ("reverse", "1")]).await), sent);
    assert_eq!(ids(&page(&bench, &[("limit", "2")]).await), newest_first[..2]);
    let (begin, end) = ((AT + 1).to_string(), (AT + 2).to_string());
    let span = [("begintime", begin.as_str()), ("endtime", end.as_str()), ("reverse", "1")];
    assert_eq!(ids(&page(&bench, &span).await), sent[1..3], "both ends included");
}

#[tokio::test]
async fn a_page_that_makes_no_sense_is_414() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let bad_time = page(&bench, &[("begintime", "5"), ("endtime", "5")]).await;
    assert_eq!(bad_time, json!({ "code": 414, "desc": "bad time" }));
    for field in
        [("limit", "0"), ("limit", "101"), ("limit", ""), ("reverse", "3"), ("type", "x"), ("endtime", "")]
    {
        assert_eq!(page(&bench, &[field]).await["code"], 414, "{field:?}");
    }
    for field in [("from", "nobody"), ("to", "nobody")] {
        assert_eq!(page(&bench, &[field]).await["code"], 414, "{field:?}");
    }
    assert_eq!(page(&bench, &[("limit", "1")]).await, json!({ "code": 200, "size": 0, "msgs": [] }));
}

#[tokio::test]
async fn kinds_are_chosen_by_number() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let mut sent = Vec::new();
    for kind in ["TEXT", "PICTURE", "TIPS", "CUSTOM"] {
        sent.push(write(&bench, "alice", "bob", AT, json!({ "msgType": kind })).await);
    }
    assert_eq!(
        ids(&page(&bench, &[("type", "0,10"), ("reverse", "1")]).await),
        [sent[0].clone(), sent[2].clone()]
    );
    assert_eq!(ids(&page(&bench, &[("type", "100")]).await), sent[3..]);
}

#[tokio::test]
async fn recalled_and_withheld_messages_are_missing() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let kept = write(&bench, "alice", "bob", AT, json!({})).await;
    let recalled = write(&bench, "alice", "bob", AT + 1, json!({})).await;
    let withheld = write(&bench, "alice", "bob", AT + 2, json!({ "antispam": true })).await;
    bench.post("/recall", json!({ "msgidServer": recalled })).await;
    assert_eq!(ids(&page(&bench, &[]).await), [kept.as_str()]);
    bench.faults(json!({ "historyHasWithheld": true })).await;
    assert_eq!(ids(&page(&bench, &[]).await), [withheld, kept]);
}

#[tokio::test]
async fn a_page_goes_on_behind_its_anchor_among_equal_times() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let mut sent = Vec::new();
    for _ in 0..5 {
        sent.push(write(&bench, "alice", "bob", AT, json!({})).await);
    }
    let at = AT.to_string();
    let next = async |anchor: &str| {
        ids(&page(&bench, &[("begintime", &at), ("excludeMsgid", anchor), ("reverse", "1"), ("limit", "2")])
            .await)
    };
    assert_eq!(next(&sent[1]).await, sent[2..4]);
    assert_eq!(next("7").await, sent[0..2], "an anchor that is not there");
    bench.faults(json!({ "excludeMsgidAs": "one" })).await;
    assert_eq!(next(&sent[1]).await, [sent[0].clone(), sent[2].clone()]);
}

#[tokio::test]
async fn the_history_holds_what_no_copy_told() {
    let bench = Bench::with(&["alice", "bob"]).await;
    bench.faults(json!({ "dropRate": 0.5 })).await;
    let sent = bench.post("/send", json!({ "from": "alice", "to": "bob", "count": 100 })).await;
    let delivered = sent["delivered"].as_u64().unwrap();
    assert!((20..80).contains(&delivered), "{delivered}");
    assert_eq!(bench.get("/stats").await["copies"]["dropped"], 100 - delivered);
    let end = (sent["messages"][99]["msgTimestamp"].as_i64().unwrap()).to_string();
    assert_eq!(page(&bench, &[("endtime", &end)]).await["size"], 100);
    bench.faults(json!({ "dropRate": 1.0 })).await;
    assert_eq!(
        bench.post("/send", json!({ "from": "alice", "to": "bob", "count": 20 })).await["delivered"],
        0
    );
    for rate in [-0.1, 1.1] {
        assert_eq!(bench.control("PUT", "/faults", json!({ "dropRate": rate })).await.0, 400);
    }
}

#[tokio::test]
async fn the_session_list_names_those_who_wrote_newest_first() {
    let bench = Bench::with(&["alice", "bob", "carol", "dave"]).await;
    write(&bench, "bob", "alice", AT, json!({ "body": "old" })).await;
    write(&bench, "alice", "carol", AT + 5, json!({ "body": "to carol" })).await;
    write(&bench, "dave", "alice", AT + 9, json!({})).await;
    write(&bench, "alice", "4711", AT + 20, json!({ "convType": "TEAM" })).await;
    let list = async |fields: &[(&str, &str)]| {
        let form: Vec<_> = [&[("accid", "alice")][..], fields].concat();
        bench.call("history/querySessionList", &form).await["data"].clone()
    };
    let row = |accid: &str, at: i64| json!({ "sessionType": 0, "accid": accid, "updateTime": at });
    let all = json!([row("dave", AT + 9), row("carol", AT + 5), row("bob", AT)]);
    assert_eq!(list(&[]).await, json!({ "hasMore": false, "sessions": all }));

    let first = list(&[("limit", "2"), ("needLastMsg", "1")]).await;
    assert_eq!((&first["hasMore"], first["sessions"].as_array().unwrap().len()), (&json!(true), 2));
    let last: Value = serde_json::from_str(first["sessions"][1]["lastMsg"].as_str().unwrap()).unwrap();
    assert_eq!((&last["from"], &last["body"]["msg"]), (&json!("alice"), &json!("to carol")));
    let (since, until) = (AT.to_string(), (AT + 5).to_string());
    let rest = list(&[("maxTimestamp", &until)]).await;
    assert_eq!(rest["sessions"], json!([row("carol", AT + 5), row("bob", AT)]));
    let since = list(&[("minTimestamp", &since), ("maxTimestamp", &since)]).await;
    assert_eq!(since["sessions"], json!([row("bob", AT)]));
    assert_eq!(
        bench.call("history/querySessionList", &[("accid", "alice"), ("limit", "101")]).await["code"],
        414
    );
}

#[tokio::test]
async fn log_ins_and_log_outs_are_events() {
    let bench = Bench::with(&["alice"]).await;
    bench.post("/login", json!({ "accid": "Alice", "token": "alice", "client": "IOS" })).await;
    bench.post("/login", json!({ "accid": "alice", "token": "wrong" })).await;
    assert_eq!(bench.post("/logout", json!({ "accid": "alice" })).await, json!({ "loggedOut": 1 }));
    assert_eq!(bench.post("/logout", json!({ "accid": "alice" })).await, json!({ "loggedOut": 0 }));
    let form = [("accid", "alice"), ("begintime", "0"), ("endtime", "9000000000000"), ("limit", "10")];
    let events = bench.call("history/queryUserEvents", &form).await;
    assert_eq!(events["size"], 2);
    let kinds =
        |at: usize| (events["events"][at]["eventType"].clone(), events["events"][at]["clientType"].clone());
    assert_eq!((kinds(0), kinds(1)), ((json!(3), json!("IOS")), (json!(2), json!("IOS"))), "newest first");
}
