//! Every way in which a request's body can be wrong has one clear sentence, in the words of JSON.

use serde_json::Value;

use super::notifications::site;

const UNREAD: &str = "/v1/unread";
const BIND: &str = "/v1/accounts/bind";
const NOTIFY: &str = "/v1/notifications";

/// Serde's and Rust's words, which mean nothing to a caller.
const FOREIGN: [&str; 14] = [
    "struct", "enum", "variant", "untagged", "tuple", "sequence", "map", "unit", "borrowed", "Option", "u8",
    "u64", "i64", "Visitor",
];

/// Path, body, and the sentence about it; of a 422 that begins with a field's name, also `field`.
const FAULTS: [(&str, &str, u16, &str); 46] = [
    // No JSON, or not all of it.
    (UNREAD, "", 400, "the body is not JSON: EOF while parsing a value at line 1 column 0"),
    (UNREAD, "{", 400, "the body is not JSON: EOF while parsing an object at line 1 column 1"),
    (UNREAD, "self=alice&users=bob", 400, "the body is not JSON: expected value at line 1 column 1"),
    (
        UNREAD,
        r#"{"self":"alice","users":["bob"]} x"#,
        400,
        "the body is not JSON: trailing characters at line 1 column 34",
    ),
    (
        UNREAD,
        r#"{"self":"\ud800","users":["bob"]}"#,
        400,
        r"`self` has an escape of \ud800 to \udfff that is not half of a pair",
    ),
    (
        NOTIFY,
        r#"{"to":"alice","attach":"\ud800"}"#,
        400,
        r"`attach` has an escape of \ud800 to \udfff that is not half of a pair",
    ),
    (
        NOTIFY,
        r#"{"to":"alice","attach":{"n":01}}"#,
        400,
        "the body is not JSON: invalid number at line 1 column 30",
    ),
    // JSON, and no object.
    (UNREAD, r#"["alice",["bob"]]"#, 422, "the body must be a JSON object; it is an array"),
    (BIND, r#"["carl","Carl","dora"]"#, 422, "the body must be a JSON object; it is an array"),
    (
        NOTIFY,
        r#"["alice","text",null,null,null,null,null,null]"#,
        422,
        "the body must be a JSON object; it is an array",
    ),
    (UNREAD, "[]", 422, "the body must be a JSON object; it is an array"),
    (UNREAD, "\"alice\"", 422, "the body must be a JSON object; it is a string"),
    (UNREAD, "7", 422, "the body must be a JSON object; it is a number"),
    (UNREAD, "1e400", 422, "the body is a number that is out of range"),
    (UNREAD, "1.5", 422, "the body must be a JSON object; it is a number with a fraction or an exponent"),
    (UNREAD, "true", 422, "the body must be a JSON object; it is true or false"),
    (UNREAD, "null", 422, "the body must be a JSON object; it is null"),
    // Fields that are missing, unknown, or there twice.
    (UNREAD, "{}", 422, "`self` is missing"),
    (UNREAD, r#"{"self":"alice"}"#, 422, "`users` is missing"),
    (BIND, r#"{"buyer":"alice"}"#, 422, "`seller` is missing"),
    (NOTIFY, r#"{"attach":"text"}"#, 422, "`to` is missing, and `team` too: one of the two says who gets it"),
    (NOTIFY, r#"{"to":"alice"}"#, 422, "`attach` is missing"),
    (
        UNREAD,
        r#"{"self":"alice","users":["bob"],"peers":1e400}"#,
        422,
        "`peers` is not a field of this call, which knows `self` and `users`",
    ),
    (
        NOTIFY,
        r#"{"to":"alice","attach":"text","colour":1}"#,
        422,
        "`colour` is not a field of this call, which knows `to`, `team`, `attach`, `from`, `pushContent`, `payload`, `sound`, `save`, `option`",
    ),
    (
        NOTIFY,
        r#"{"to":"alice","attach":"text","option":{"sound":true}}"#,
        422,
        "`option.sound` is not a field of this call, which knows `badge`, `needPushNick`, `route`",
    ),
    (UNREAD, r#"{"self":"bob","self":"alice","users":["b"]}"#, 422, "`self` is there more than once"),
    (NOTIFY, r#"{"to":"alice","attach":{},"attach":{}}"#, 422, "`attach` is there more than once"),
    (
        NOTIFY,
        r#"{"to":"alice","attach":{},"option":{"badge":true,"badge":false}}"#,
        422,
        "`option.badge` is there more than once",
    ),
    // Fields of another type.
    (UNREAD, r#"{"self":10086,"users":["bob"]}"#, 422, "`self` must be a string; it is a number"),
    (UNREAD, r#"{"self":null,"users":["bob"]}"#, 422, "`self` must be a string; it is null"),
    (UNREAD, r#"{"self":1e400,"users":["bob"]}"#, 422, "`self` is a number that is out of range"),
    (UNREAD, r#"{"self":"alice","users":"bob"}"#, 422, "`users` must be an array; it is a string"),
    (UNREAD, r#"{"self":"alice","users":{"bob":1}}"#, 422, "`users` must be an array; it is an object"),
    (
        UNREAD,
        r#"{"self":"alice","users":["bob",["carol"]]}"#,
        422,
        "`users[1]` must be a string; it is an array",
    ),
    (
        BIND,
        r#"{"buyer":"alice","buyerName":true,"seller":"bob"}"#,
        422,
        "`buyerName` must be a string; it is true or false",
    ),
    (NOTIFY, r#"{"to":7,"attach":"text"}"#, 422, "`to` must be a user id or a list of them; it is a number"),
    (
        NOTIFY,
        r#"{"to":{"user":"alice"},"attach":"text"}"#,
        422,
        "`to` must be a user id or a list of them; it is an object",
    ),
    (NOTIFY, r#"{"to":["alice",7],"attach":"text"}"#, 422, "`to[1]` must be a string; it is a number"),
    (NOTIFY, r#"{"to":"alice","attach":7}"#, 422, "`attach` must be text or a JSON object"),
    (NOTIFY, r#"{"to":"alice","attach":null}"#, 422, "`attach` must be text or a JSON object"),
    (NOTIFY, r#"{"to":"alice","attach":"text","payload":[1]}"#, 422, "`payload` must be a JSON object"),
    (
        NOTIFY,
        r#"{"to":"alice","attach":"text","save":1e400}"#,
        422,
        "`save` must be 1 (only to those online) or 2 (kept for those who are not)",
    ),
    (
        NOTIFY,
        r#"{"to":"alice","attach":"text","sound":1.5}"#,
        422,
        "`sound` must be a string; it is a number with a fraction or an exponent",
    ),
    (
        NOTIFY,
        r#"{"to":"alice","attach":"text","option":[true,false,true]}"#,
        422,
        "`option` must be a JSON object; it is an array",
    ),
    (
        NOTIFY,
        r#"{"to":"alice","attach":"text","option":{"badge":"yes"}}"#,
        422,
        "`option.badge` must be true or false; it is a string",
    ),
    (
        NOTIFY,
        r#"{"to":"alice","attach":"text","option":"x, expected y"}"#,
        422,
        "`option` must be a JSON object; it is a string",
    ),
];

#[tokio::test]
async fn every_fault_of_a_body_has_its_sentence() {
    let (_site, service) = site().await;
    let alice = service.client.as_user("alice");
    let mut wrong = Vec::new();
    for (path, body, status, sentence) in FAULTS {
        let answer = alice.post_text(path, body).await;
        let problem = answer.problem(status, if status == 400 { "unreadable" } else { "invalid" });
        let detail = problem["detail"].as_str().unwrap();
        let field =
            sentence.strip_prefix('`').filter(|_| status == 422).and_then(|rest| rest.split('`').next());
        let foreign =
            FOREIGN.iter().any(|word| detail.split(|c: char| !c.is_alphanumeric()).any(|it| it == *word));
        if !detail.starts_with(sentence)
            || (status == 422 && detail != sentence)
            || foreign
            || problem["field"] != field.map_or(Value::Null, Value::from)
        {
            wrong.push(format!("{body}\n  {problem}\n  {sentence}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn deep_nesting_is_refused_or_passed_on_and_takes_no_stack() {
    let (_site, service) = site().await;
    let alice = service.client.as_user("alice");
    let (open, close) = ("[".repeat(10_000), "]".repeat(10_000));
    alice.post_text(UNREAD, open.clone()).await.problem(400, "unreadable");
    alice.post_text(UNREAD, "{\"self\":".repeat(7_000)).await.problem(400, "unreadable");
    alice.post_text(UNREAD, format!("{open}{close}")).await.problem(422, "invalid");
    alice.post_text(UNREAD, format!(r#"{{"self":{open}{close},"users":["b"]}}"#)).await.invalid("self");
    alice.post_text(NOTIFY, format!(r#"{{"to":"b","attach":{open}{close}}}"#)).await.invalid("attach");
    alice.post_text(NOTIFY, format!(r#"{{"to":{open}{close},"attach":"text"}}"#)).await.invalid("to[0]");
    let bytes = &b"{\"self\":\"\xff\",\"users\":[\"b\"]}"[..];
    let problem = alice.post_text(UNREAD, bytes).await.problem(400, "unreadable");
    assert_eq!(problem["detail"], "the body is not JSON: it is not UTF-8");
}
