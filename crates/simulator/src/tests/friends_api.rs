//! Friends: what one keeps of the other, and how it ends.

use serde_json::{Value, json};

use super::Bench;

const PAIR: [(&str, &str); 2] = [("accid", "alice"), ("faccid", "bob")];

async fn friends(fields: &[(&str, &str)]) -> (Bench, Value) {
    let bench = Bench::with(&["alice", "bob"]).await;
    let form = [&PAIR[..], &[("type", "1")], fields].concat();
    let answer = bench.call("friend/add", &form).await;
    (bench, answer)
}

#[tokio::test]
async fn what_is_kept_of_a_friend_is_ones_own() {
    let (bench, added) = friends(&[("serverex", "s")]).await;
    assert_eq!(added, json!({ "code": 200 }));
    let change = [&PAIR[..], &[("alias", "Bobby"), ("ex", "e")]].concat();
    assert_eq!(bench.call("friend/update", &change).await, json!({ "code": 200 }));
    let kept = bench.call("friend/getByAccid", &PAIR).await["friend"].clone();
    assert_eq!((&kept["alias"], &kept["ex"], &kept["serverex"]), (&json!("Bobby"), &json!("e"), &json!("s")));
    assert_eq!((&kept["faccid"], &kept["bidirection"]), (&json!("bob"), &json!(true)));
    assert!(kept["updatetime"].as_i64() >= kept["createtime"].as_i64());
    let other =
        bench.call("friend/getByAccid", &[("accid", "bob"), ("faccid", "alice")]).await["friend"].clone();
    assert_eq!((&other["alias"], &other["serverex"]), (&json!(""), &json!("")), "not the other's");

    bench.call("friend/update", &[&PAIR[..], &[("alias", "")]].concat()).await;
    let kept = bench.call("friend/getByAccid", &PAIR).await["friend"].clone();
    assert_eq!((&kept["alias"], &kept["ex"]), (&json!(""), &json!("e")), "an empty text is a text");
    let long = "x".repeat(129);
    assert_eq!(bench.call("friend/update", &[&PAIR[..], &[("alias", &long)]].concat()).await["code"], 414);
}

#[tokio::test]
async fn the_list_tells_what_changed_after_a_time() {
    let (bench, _) = friends(&[]).await;
    bench.call("friend/update", &[&PAIR[..], &[("alias", "Bobby")]].concat()).await;
    let list =
        async |since: &str| bench.call("friend/get", &[("accid", "alice"), ("updatetime", since)]).await;
    let all = list("1").await;
    let row = &all["friends"][0];
    assert_eq!((&all["size"], &row["faccid"], &row["alias"]), (&json!(1), &json!("bob"), &json!("Bobby")));
    assert!(row["createtime"].as_i64().unwrap() > 1_600_000_000_000);
    assert_eq!(list("9000000000000").await, json!({ "code": 200, "size": 0, "friends": [] }));
    assert_eq!(list("soon").await["code"], 414);
}

#[tokio::test]
async fn a_friendship_ends_for_both() {
    let (bench, _) = friends(&[]).await;
    let delete = [&PAIR[..], &[("isDeleteAlias", "true")]].concat();
    assert_eq!(bench.call("friend/delete", &delete).await, json!({ "code": 200 }));
    assert_eq!(bench.call("friend/delete", &PAIR).await["code"], 200, "again is fine");
    for accid in ["alice", "bob"] {
        assert_eq!(bench.call("friend/get", &[("accid", accid)]).await["size"], 0);
    }
    assert_eq!(bench.call("friend/getByAccid", &PAIR).await, json!({ "code": 200 }));
    assert_eq!(bench.call("friend/update", &[&PAIR[..], &[("alias", "x")]].concat()).await["code"], 414);
    for api in ["friend/delete", "friend/getByAccid", "friend/update"] {
        assert_eq!(bench.call(api, &[("accid", "alice"), ("faccid", "ghost")]).await["code"], 414, "{api}");
    }
}
