//! Teams, notices to them, and messages marked as read over the server API.

use serde_json::{Value, json};

use super::Bench;

const TEAM: [(&str, &str); 4] =
    [("tname", "desk"), ("owner", "alice"), ("members", r#"["bob","carol"]"#), ("msg", "come in")];

#[tokio::test]
async fn a_team_is_founded_and_found_again() {
    let bench = Bench::with(&["alice", "bob", "carol"]).await;
    let founded = bench.call("team/create", &TEAM).await;
    assert_eq!((&founded["code"], &founded["faccid"]), (&json!(200), &json!({ "accid": [], "msg": "" })));
    let tid = founded["tid"].as_str().unwrap();
    let tids = json!([tid, 7]).to_string();
    let found = bench.call("team/query", &[("tids", &tids), ("ope", "1")]).await;
    let team = &found["tinfos"][0];
    assert_eq!(found["tinfos"].as_array().unwrap().len(), 1);
    assert_eq!((&team["tid"], &team["tname"]), (&json!(tid.parse::<u64>().unwrap()), &json!("desk")));
    assert_eq!((&team["owner"], &team["size"]), (&json!("alice"), &json!(3)));
    assert_eq!(team["members"], json!(["bob", "carol"]));
    assert!(bench.call("team/query", &[("tids", &tids)]).await["tinfos"][0].get("members").is_none());
}

#[tokio::test]
async fn a_team_out_of_bounds_is_414() {
    let bench = Bench::with(&["alice", "bob", "carol"]).await;
    for field in [
        ("tname", ""),
        ("owner", "nobody"),
        ("members", r#"["nobody"]"#),
        ("members", "bob"),
        ("joinmode", "3"),
    ] {
        let mut form = TEAM.to_vec();
        form.retain(|(name, _)| *name != field.0);
        form.push(field);
        assert_eq!(bench.call("team/create", &form).await["code"], 414, "{field:?}");
    }
    let small = [&TEAM[..], &[("teamMemberLimit", "2")]].concat();
    assert_eq!(bench.call("team/create", &small).await["code"], 801);
    assert_eq!(bench.call("team/query", &[("tids", "[]")]).await["code"], 414);
}

#[tokio::test]
async fn a_notice_to_a_team_is_copied_as_one() {
    let bench = Bench::with(&["alice", "bob", "carol"]).await;
    let tid = bench.call("team/create", &TEAM).await["tid"].as_str().unwrap().to_owned();
    let form = [("from", "alice"), ("msgtype", "1"), ("to", tid.as_str()), ("attach", "{}")];
    assert_eq!(bench.call("msg/sendAttachMsg", &form).await, json!({ "code": 200 }));
    bench.drain().await;
    let copy = &bench.got()[0];
    assert_eq!((&copy["convType"], &copy["msgType"]), (&json!("CUSTOM_TEAM"), &json!("CUSTOM_TEAM_MSG")));
    assert_eq!((&copy["to"], &copy["fromAccount"]), (&json!(tid), &json!("alice")));

    let form = [("from", "alice"), ("msgtype", "1"), ("to", "7"), ("attach", "{}")];
    assert_eq!(bench.call("msg/sendAttachMsg", &form).await["code"], 404);
    for code in [414, 200] {
        bench.faults(json!({ "teamOfUnknown": code })).await;
        assert_eq!(bench.call("msg/sendAttachMsg", &form).await["code"], code);
    }
}

#[tokio::test]
async fn a_team_has_a_history_of_its_own_and_an_end() {
    let bench = Bench::with(&["alice", "bob", "carol", "dave"]).await;
    let tid = bench.call("team/create", &TEAM).await["tid"].as_str().unwrap().to_owned();
    bench.post("/send", json!({ "from": "alice", "to": tid, "convType": "TEAM", "body": "all" })).await;
    bench.post("/send", json!({ "from": "alice", "to": "bob" })).await;
    let page = async |accid: &str, check: &str| {
        let span =
            [("begintime", "0"), ("endtime", "9000000000000"), ("limit", "10"), ("checkTeamValid", check)];
        bench
            .call("history/queryTeamMsg", &[&[("tid", tid.as_str()), ("accid", accid)][..], &span].concat())
            .await
    };
    let seen = page("bob", "True").await;
    assert_eq!((&seen["size"], &seen["msgs"][0]["body"]), (&json!(1), &json!({ "msg": "all" })));
    assert_eq!(page("dave", "true").await["code"], 804);
    assert_eq!(page("dave", "false").await["size"], 1);

    let remove =
        async |owner: &str| bench.call("team/remove", &[("tid", tid.as_str()), ("owner", owner)]).await;
    assert_eq!(remove("bob").await["code"], 802);
    assert_eq!(remove("alice").await, json!({ "code": 200 }));
    assert_eq!(remove("alice").await["code"], 404);
    assert_eq!(
        (page("bob", "true").await["code"].clone(), page("bob", "false").await["size"].clone()),
        (json!(404), json!(1))
    );
    assert_ne!(
        bench.call("team/create", &TEAM).await["tid"],
        json!(tid),
        "no team takes over another's history"
    );
}

#[tokio::test]
async fn a_message_marked_as_read_raises_the_mark_and_is_copied() {
    let bench = Bench::with(&["alice", "bob"]).await;
    let sent = bench.post("/send", json!({ "from": "bob", "to": "alice", "count": 3 })).await;
    let second = &sent["messages"][1];
    let mark = async |msgid_client: &str| {
        let form = [("from", "alice"), ("to", "bob"), ("msgidClient", msgid_client)];
        bench.call("msg/markReadMsg", &form).await
    };
    let answer = mark(second["msgidClient"].as_str().unwrap()).await;
    assert_eq!(answer, json!({ "code": 200, "data": { "timestamp": second["msgTimestamp"] } }));
    assert_eq!(bench.unread("alice", "bob").await, 1);
    bench.drain().await;
    let receipt = &bench.got()[3];
    let objects: Value = serde_json::from_str(receipt["objects"].as_str().unwrap()).unwrap();
    assert_eq!(receipt["eventType"], "30");
    assert_eq!((&objects[0]["fromAccount"], &objects[0]["toAccount"]), (&json!("alice"), &json!("bob")));
    assert_eq!(objects[0]["timestamp"], second["msgTimestamp"]);
    assert_eq!(objects[0]["msgidClient"], second["msgidClient"]);

    bench.faults(json!({ "markReadCopies": false })).await;
    assert_eq!(mark("one that is not there").await["code"], 200);
    assert_eq!(bench.unread("alice", "bob").await, 0, "all that there is");
    bench.drain().await;
    assert_eq!(bench.got().len(), 4);
    let nobody = [("from", "alice"), ("to", "nobody"), ("msgidClient", "x")];
    assert_eq!(bench.call("msg/markReadMsg", &nobody).await["code"], 414);
}
