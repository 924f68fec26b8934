//! Every field of a copy is in the log, whatever its name.

use otc_im::domain::message::{Details, Extra, Message};
use otc_im::ports::message_log::InsertOutcome::{First, Repeated};

use super::facts::{Pair, person};
use super::message_log::sorted_snapshot;
use crate::support::backends::{self, Log};

on_each! {
    [
        every_field_is_kept_under_its_name,
        no_field_takes_the_place_of_one_that_means_something,
        a_copy_that_comes_after_its_recall_is_kept_whole,
        a_copy_of_very_many_fields_is_kept,
    ]
    each sqlite: backends::sqlite_log().await;
    each mongo: backends::mongo_log().await;
}

fn message(pair: &Pair, extra: &[(&str, &str)]) -> Message {
    let extra = extra.iter().map(|(name, value)| Extra { name: (*name).into(), value: (*value).into() });
    let details = Details {
        body: Some("hello".into()),
        ext: Some("{\"k\":1}".into()),
        extra: extra.collect(),
        ..Details::default()
    };
    Message { details, ..pair.message(1, 10) }
}

async fn every_field_is_kept_under_its_name(log: &Log) {
    let pair = Pair::fresh();
    let extra = [("ip", "10.0.0.7"), ("yidunRes", "{\"action\": 1}"), ("名字", "张三\0👩‍👩‍👧‍👦"), ("q", "'\"\\")];
    assert_eq!(log.record_one(message(&pair, &extra).into()).await.unwrap().copy, First);
    for (name, value) in extra.into_iter().chain([("ext", "{\"k\":1}"), ("body", "hello")]) {
        assert_eq!(log.kept(person(1), name).await, [value], "{name}");
    }
    // What differs in these is no conflict, and the first copy stays.
    let others = [message(&pair, &[("ip", "10.0.0.8")]), message(&pair, &[])];
    for other in others {
        let bare = Message { details: Details { ext: None, ..other.details.clone() }, ..other.clone() };
        for copy in [other, bare] {
            assert_eq!(log.record_one(copy.into()).await.unwrap().copy, Repeated);
        }
    }
    assert_eq!(log.kept(person(1), "ip").await, ["10.0.0.7"]);
}

async fn no_field_takes_the_place_of_one_that_means_something(log: &Log) {
    let pair = Pair::fresh();
    let names = [
        "_id",
        "id",
        "state",
        "counted",
        "withheld",
        "recalled",
        "recalledAt",
        "extra",
        "name",
        "value",
        "",
        "$set",
        "$x",
        "a.b",
        "nul\0",
        "__proto__",
        &"long".repeat(1_000),
    ];
    let mut extra: Vec<(&str, &str)> = names.map(|name| (name, "theirs")).into();
    extra.extend([("ip", "first"), ("ip", "second"), ("body", "second")]);
    log.record_one(message(&pair, &extra).into()).await.unwrap();
    for name in names {
        // The identity and the marks are no texts of theirs.
        let kept = log.kept(person(1), name).await;
        assert_eq!(kept.last().map(String::as_str), Some("theirs"), "{name:?}");
    }
    assert_eq!(log.kept(person(1), "ip").await, ["first", "second"]);
    assert_eq!(log.kept(person(1), "body").await, ["hello", "second"]);
    assert_eq!(log.state(person(1)).await, Some(0));
    assert_eq!(sorted_snapshot(&**log, &pair).await, pair.snapshot([(1, 10)], None));
    log.record_one(pair.receipt(10).into()).await.unwrap();
    assert_eq!(log.state(person(1)).await, Some(1));
    assert_eq!(sorted_snapshot(&**log, &pair).await, pair.snapshot([], Some(10)));
}

async fn a_copy_that_comes_after_its_recall_is_kept_whole(log: &Log) {
    let pair = Pair::fresh();
    log.record_one(pair.recall(1).into()).await.unwrap();
    let extra = [("ip", "10.0.0.7"), ("a.b", "dot"), ("counted", "theirs")];
    assert_eq!(log.record_one(message(&pair, &extra).into()).await.unwrap().copy, First);
    for (name, value) in extra.into_iter().chain([("ext", "{\"k\":1}")]) {
        assert_eq!(log.kept(person(1), name).await, [value], "{name}");
    }
    assert!(log.snapshot(&pair.reader).await.unwrap().unread.is_empty(), "it does not count");
}

/// As many as a body of a MiB holds.
async fn a_copy_of_very_many_fields_is_kept(log: &Log) {
    let pair = Pair::fresh();
    let names: Vec<String> = (0..80_000).map(|n| format!("f{n}")).collect();
    let extra: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "v")).collect();
    for copy in [First, Repeated] {
        assert_eq!(log.record_one(message(&pair, &extra).into()).await.unwrap().copy, copy);
    }
    assert_eq!(log.kept(person(1), "f79999").await, ["v"]);
    assert_eq!(sorted_snapshot(&**log, &pair).await, pair.snapshot([(1, 10)], None));
}
