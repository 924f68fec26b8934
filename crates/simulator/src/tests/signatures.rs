//! Agreement with recorded requests: signatures to the byte, bodies field by field.

use serde_json::{Value, json};

use super::Bench;
use crate::delivery::copies::{self, Extras, Receipt};
use crate::faults::ListForm;
use crate::lock::lock;
use crate::signing;
use crate::world::messages::{ConvType, Keeping, Message, Said};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../../tests/fixtures/nim_vectors.json")).unwrap()
}

fn text<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry[name].as_str().unwrap()
}

fn recorded_body(name: &str) -> Value {
    let vectors = vectors();
    let entries = vectors["webhook"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["name"] == name).unwrap();
    serde_json::from_str(text(entry, "body")).unwrap()
}

#[test]
fn copies_are_signed_as_recorded() {
    let vectors = vectors();
    let secret = text(&vectors, "appSecret");
    for entry in vectors["webhook"].as_array().unwrap() {
        let signature = signing::sign_copy(secret, text(entry, "body").as_bytes(), text(entry, "curTime"));
        assert_eq!(signature.md5, text(entry, "md5"), "{}", entry["name"]);
        assert_eq!(signature.check_sum, text(entry, "checkSum"), "{}", entry["name"]);
    }
}

#[test]
fn calls_are_judged_by_the_recorded_check_sums() {
    for entry in vectors()["outgoing"].as_array().unwrap() {
        let check_sum =
            signing::call_check_sum(text(entry, "appSecret"), text(entry, "nonce"), text(entry, "curTime"));
        assert_eq!(check_sum, text(entry, "checkSum"));
    }
}

#[test]
fn a_message_is_copied_as_recorded() {
    let message = Message {
        msgid_server: 9_007_199_254_740_993,
        msgid_client: "c-0001".to_owned(),
        msg_timestamp: 1_700_000_000_123,
        from: "seller1".to_owned(),
        to: "buyer1".to_owned(),
        conv_type: ConvType::Person,
        msg_type: "TEXT".to_owned(),
        blocked: false,
        recalled: false,
        keeping: Keeping::History,
        said: Said { body: "你好，已发货".to_owned(), client: "REST".to_owned(), ..Said::default() }.into(),
    };
    let copy = copies::conversation(&message, &Extras::default(), false);
    let copy: Value = serde_json::from_str(&copy).unwrap();
    assert_eq!(copy, recorded_body("person_text_utf8_big_id"));
}

#[test]
fn receipts_are_copied_as_recorded() {
    let receipt = Receipt {
        reader: "test101".to_owned(),
        peer: "test100".to_owned(),
        timestamp: 1_578_551_421_737,
        msgid_client: "076a5519-59c0-42c9-916d-9652ab390310".to_owned(),
    };
    let objects = |body: &Value| serde_json::from_str::<Value>(body["objects"].as_str().unwrap()).unwrap();
    let copy: Value = serde_json::from_str(&copies::receipts(&[receipt], ListForm::String, false)).unwrap();
    assert_eq!(copy["eventType"], "30");
    assert_eq!(objects(&copy), objects(&recorded_body("read_receipt")));

    let session = Receipt {
        reader: "buyer1".to_owned(),
        peer: "seller1".to_owned(),
        timestamp: 1_658_283_011_566,
        msgid_client: String::new(),
    };
    let copy: Value = serde_json::from_str(&copies::session_read(&session, false)).unwrap();
    assert_eq!(copy, recorded_body("session_read"));
}

#[tokio::test]
async fn posted_copies_verify_on_their_raw_bytes() {
    let bench = Bench::with(&["alice", "bob"]).await;
    bench.post("/send", json!({ "from": "alice", "to": "bob", "body": "你好" })).await;
    let got = lock(&bench.stub.got);
    let (headers, body) = &got[0];
    let header = |name: &str| headers[name].to_str().unwrap();
    let signature = signing::sign_copy(super::SECRET, body, header("CurTime"));
    assert_eq!(header("CurTime").len(), 13, "milliseconds");
    assert_eq!(header("MD5"), signature.md5);
    assert_eq!(header("CheckSum"), signature.check_sum);
    assert_eq!(header("AppKey"), super::KEY);
    assert_eq!(header("Content-Type"), "application/json; charset=utf-8");
}

#[tokio::test]
async fn a_hand_made_copy_can_be_signed_badly() {
    let bench = Bench::new().await;
    for signature in ["good", "bad-md5", "bad-checksum", "seconds"] {
        let reply = bench.post("/copy", json!({ "raw": "{}", "signature": signature })).await;
        assert_eq!(reply, json!({ "status": 200 }));
    }
    let got = lock(&bench.stub.got);
    let verdicts: Vec<(bool, bool, usize)> = got
        .iter()
        .map(|(headers, body)| {
            let header = |name: &str| headers[name].to_str().unwrap();
            let right = signing::sign_copy(super::SECRET, body, header("CurTime"));
            let (md5, check_sum) = (header("MD5") == right.md5, header("CheckSum") == right.check_sum);
            (md5, check_sum, header("CurTime").len())
        })
        .collect();
    assert_eq!(verdicts, [(true, true, 13), (false, false, 13), (true, false, 13), (true, true, 10)]);
}
