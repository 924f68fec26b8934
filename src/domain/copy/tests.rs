//! What each kind of copy is read as, and what is refused.

use super::*;
use crate::domain::ids::Millis;

fn message(body: &str) -> Message {
    match parse(body.as_bytes()).unwrap().copy {
        CopyEvent::Message(message) => *message,
        other => panic!("not a message: {other:?}"),
    }
}

fn receipts_of(body: &str) -> Receipts {
    match parse(body.as_bytes()).unwrap().copy {
        CopyEvent::Receipts(receipts) => receipts,
        other => panic!("not receipts: {other:?}"),
    }
}

fn all_good(receipts: &[Receipt]) -> Receipts {
    Receipts { good: receipts.to_vec(), ..Receipts::default() }
}

fn receipt_of(reader: &str, peer: &str, up_to: i64) -> Receipt {
    Receipt { reader: Accid::of_user(reader), peer: Accid::of_user(peer), up_to: Millis(up_to) }
}

const PERSON: &str = r#"{"eventType":"1","convType":"PERSON","to":"Bob","fromAccount":"alice",
    "msgTimestamp":"1700000000123","msgType":"TEXT","msgidServer":"9007199254740993","body":"你好"}"#;

#[test]
fn a_message_of_strings_and_one_of_numbers_are_the_same() {
    let strings = message(PERSON);
    assert_eq!(strings.key.to_string(), "PERSON:9007199254740993");
    assert_eq!((strings.to.as_str(), strings.from.as_str()), ("bob", "alice"));
    assert_eq!(strings.details.body.as_deref(), Some("你好"));
    let numbers = PERSON
        .replace(r#""1700000000123""#, "1700000000123")
        .replace(r#""9007199254740993""#, "9007199254740993")
        .replace(r#""eventType":"1""#, r#""eventType":1"#);
    assert_eq!(message(&numbers), strings);
}

#[test]
fn what_review_or_a_blacklist_held_back_was_not_delivered() {
    let with = |more: &str| message(&PERSON.replacen('{', &format!("{{{more},"), 1)).withheld;
    assert!(with(r#""antispam":"true""#) && with(r#""antispam":true"#));
    assert!(with(r#""blacklist":"1""#) && with(r#""blacklist":1"#) && with(r#""blacklist":["x"]"#));
    assert!(!with(r#""antispam":"false""#) && !with(r#""blacklist":null"#));
}

#[test]
fn attach_may_be_text_or_an_object() {
    let with = |attach: &str| {
        message(&PERSON.replacen('{', &format!(r#"{{"attach":{attach},"#), 1)).details.attach.unwrap()
    };
    assert_eq!(with(r#""{\"a\":1}""#), r#"{"a":1}"#);
    assert_eq!(with(r#"{"a":1}"#), r#"{"a":1}"#);
}

/// Name and value of what no rule looks at and no field of ours has.
fn extra(message: &Message) -> Vec<(&str, &str)> {
    message.details.extra.iter().map(|extra| (&*extra.name, &*extra.value)).collect()
}

#[test]
fn every_field_is_kept_under_its_own_name_as_it_came() {
    let more = r#"{"ext":"{\"k\":1}","ip":"10.0.0.7","port":8080,"customSafeFlag":true,"tMembers":["a", "b"],
        "aiParams":{"accid": "bot", "x": 1.50},"antispam":"false","nothing":null,"bod\u0079":"你好",
        "eventType2":"","a.b":"dot","$x":"dollar","":"no name","_id":"theirs","state":"theirs","ip":"again","#;
    let message = message(&PERSON.replace(r#","body":"你好""#, "").replacen('{', more, 1));
    assert_eq!(message.details.ext.as_deref(), Some(r#"{"k":1}"#));
    assert_eq!(message.details.body.as_deref(), Some("你好"), "an escaped name is the same name");
    let expected = [
        ("ip", "10.0.0.7"),
        ("port", "8080"),
        ("customSafeFlag", "true"),
        ("tMembers", r#"["a", "b"]"#),
        ("aiParams", r#"{"accid": "bot", "x": 1.50}"#),
        ("antispam", "false"),
        ("eventType2", ""),
        ("a.b", "dot"),
        ("$x", "dollar"),
        ("", "no name"),
        ("_id", "theirs"),
        ("state", "theirs"),
        ("ip", "again"),
    ];
    assert_eq!(extra(&message), expected);
}

#[test]
fn a_field_that_no_rule_looks_at_makes_no_copy_unintelligible() {
    let with = |more: &str| message(&PERSON.replacen('{', &format!("{{{more},"), 1));
    for (odd, text) in [
        ("{\"a\": 1}", "{\"a\": 1}"),
        ("[1]", "[1]"),
        ("7", "7"),
        ("true", "true"),
        (r#""\ud800""#, r#""\ud800""#),
    ] {
        for name in
            ["fromNick", "fromClientType", "fromDeviceId", "msgidClient", "resendFlag", "attach", "ext"]
        {
            let details = with(&format!(r#""{name}":{odd}"#)).details;
            let kept = [
                details.from_nick,
                details.from_client_type,
                details.from_device_id,
                details.msgid_client,
                details.resend_flag,
                details.attach,
                details.ext,
            ];
            assert_eq!(kept.into_iter().flatten().collect::<Vec<_>>(), [text], "{name}: {odd}");
        }
        // Fields of other events are only fields here.
        for name in ["accid", "objects", "msgId", "from", "ackMsgTime", "blacklist"] {
            assert_eq!(extra(&with(&format!(r#""{name}":{odd}"#))), [(name, text)]);
        }
    }
    let twice = with(r#""body":"first""#);
    assert_eq!((twice.details.body.as_deref(), extra(&twice)), (Some("first"), vec![("body", "你好")]));
    assert_eq!(parse(br#"{"eventType":"2","accid":{},"to":[]}"#).unwrap().copy, CopyEvent::Other);
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(extra(&with(&format!(r#""deep":{deep}"#))), [("deep", &*deep)]);
}

#[test]
fn a_copy_is_a_repetition_whatever_no_rule_has_a_name_for() {
    let first = message(PERSON);
    let with = |more: &str| message(&PERSON.replacen('{', &format!("{{{more},"), 1));
    assert!(
        first.is_repeated_by(&with(r#""ext":"x","port":1"#)) && with(r#""ext":"x""#).is_repeated_by(&first)
    );
    for other in [r#""fromNick":"x""#, r#""attach":"x""#, r#""blacklist":1"#] {
        assert!(!first.is_repeated_by(&with(other)), "{other}");
    }
}

#[test]
fn receipts_come_as_text_as_an_array_or_alone() {
    let one = r#"{"fromAccount":"r","toAccount":"s","timestamp":5}"#;
    let text = serde_json::to_string(&format!("[{one}]")).unwrap();
    for objects in [format!("[{one}]"), text, one.to_owned()] {
        let body = format!(r#"{{"eventType":"30","objects":{objects}}}"#);
        assert_eq!(receipts_of(&body), all_good(&[receipt_of("r", "s", 5)]), "{body}");
    }
}

#[test]
fn a_bad_receipt_does_not_take_the_good_ones_along() {
    let body = r#"{"eventType":30,"objects":[{"fromAccount":"r","toAccount":"s","timestamp":"5"},
        {"fromAccount":"r","timestamp":5}, 7, {"fromAccount":"r","toAccount":"t","timestamp":"6"}]}"#;
    let receipts = receipts_of(body);
    assert_eq!(receipts.good, [receipt_of("r", "s", 5), receipt_of("r", "t", 6)]);
    assert_eq!(receipts.bad[0].reason, "toAccount is missing");
    assert_eq!(receipts.bad[1].raw, r#"{"eventType":"30","objects":[7]}"#);
    assert_eq!((receipts.bad.len(), receipts.bad_objects), (2, 2));
}

#[test]
fn a_copy_is_kept_in_a_bounded_number_of_pieces_whatever_it_holds() {
    let ones = "1,".repeat(519_999) + "1";
    let copy = receipts_of(&format!(r#"{{"eventType":"30","objects":[{ones}]}}"#));
    assert_eq!((copy.bad.len(), copy.bad_objects), (KEPT_APART + 1, 520_000));
    let rest = copy.bad.last().unwrap();
    assert_eq!(
        rest.reason,
        "519900 more objects of one copy; the first of them: not a receipt: not an object"
    );
    let again = receipts_of(&rest.raw);
    assert_eq!(again.bad_objects, 520_000 - KEPT_APART);

    let bad = |n: usize| format!(r#"{{"x":{n}}}"#);
    for (objects, pieces) in [(100, 100), (101, 101), (102, 101)] {
        let list: Vec<String> = (0..objects).map(bad).collect();
        let copy = receipts_of(&format!(r#"{{"eventType":"30","objects":[{}]}}"#, list.join(",")));
        assert_eq!((copy.bad.len(), copy.bad_objects), (pieces, objects));
        let raws: String = copy.bad.iter().map(|what| what.raw.as_str()).collect();
        assert!((0..objects).all(|n| raws.contains(&bad(n))), "{objects} objects");
    }
}

#[test]
fn a_message_without_a_number_is_one_of_its_own_kind() {
    for zero in [r#""0""#, "0", r#""00""#] {
        let body = PERSON.replace(r#""9007199254740993""#, zero);
        let read = parse(body.as_bytes()).unwrap();
        assert_eq!((read.event_type, read.copy), ("1", CopyEvent::Numberless), "{zero}");
    }
    let recall = r#"{"eventType":"7","from":"a","to":"b","msgId":"0","deleteTime":"1"}"#;
    assert_eq!(parse(recall.as_bytes()).unwrap().copy, CopyEvent::Numberless);
}

#[test]
fn a_session_read_is_a_receipt_unless_it_is_a_teams() {
    let body = |kind: &str| {
        format!(r#"{{"eventType":"85","accid":"r","ackAccid":"s","msgType":{kind},"ackMsgTime":"9"}}"#)
    };
    assert_eq!(receipts_of(&body(r#""0""#)), all_good(&[receipt_of("r", "s", 9)]));
    assert_eq!(receipts_of(&body("0")), all_good(&[receipt_of("r", "s", 9)]));
    assert_eq!(parse(body(r#""1""#).as_bytes()).unwrap().copy, CopyEvent::Other);
}

#[test]
fn a_recall_knows_the_kind_of_its_message() {
    for (event, kind) in [("7", "PERSON:3"), ("8", "TEAM:3"), ("25", "SUPER_TEAM:3")] {
        let body = format!(r#"{{"eventType":"{event}","from":"a","to":"b","msgId":"3","deleteTime":"1"}}"#);
        match parse(body.as_bytes()).unwrap().copy {
            CopyEvent::Recall(recall) => assert_eq!(recall.key.to_string(), kind),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_edit_names_its_message_and_what_is_new() {
    let body = |event: &str, more: &str| {
        format!(
            r#"{{"eventType":"{event}","from":"a","to":"b","msgId":3,"clientId":"x","modifyAccountId":"a","modifyTime":9{more}}}"#
        )
    };
    let read = |body: &str| match parse(body.as_bytes()).unwrap().copy {
        CopyEvent::Edit(edit) => *edit,
        other => panic!("{other:?}"),
    };
    for (event, key) in [("89", "PERSON:3"), ("90", "TEAM:3"), ("91", "SUPER_TEAM:3")] {
        let bare = read(&body(event, ""));
        assert_eq!((bare.key.to_string().as_str(), bare.at, bare.body), (key, Millis(9), None));
    }
    let edit = read(&body("89", r#","text":"new","attachment":{"a": 1},"extension":"{}","subType":2"#));
    let text = |text: &Option<String>| text.clone().unwrap();
    assert_eq!([text(&edit.body), text(&edit.attach), text(&edit.ext)], ["new", r#"{"a": 1}"#, "{}"]);
    let numberless = body("89", "").replace(r#""msgId":3"#, r#""msgId":"0""#);
    assert_eq!(parse(numberless.as_bytes()).unwrap().copy, CopyEvent::Numberless);
    let foreign = body("90", "").replace(r#""from":"a""#, r#""from":"张三""#);
    assert_eq!(parse(foreign.as_bytes()).unwrap().copy, CopyEvent::Foreign);
    let error = parse(body("89", "").replace("modifyTime", "time").as_bytes()).unwrap_err();
    assert_eq!((error.event_type, error.reason.as_str()), ("89", "modifyTime is missing"));
}

#[test]
fn probes_other_events_and_callbacks_are_told_apart() {
    let read = |body: &str| {
        let parsed = parse(body.as_bytes()).unwrap();
        (parsed.event_type, parsed.copy)
    };
    assert_eq!(read("{}"), ("probe", CopyEvent::Probe));
    assert_eq!(read(" { } \n"), ("probe", CopyEvent::Probe));
    assert_eq!(read(r#"{"eventType":"2","accid":"a"}"#), ("2", CopyEvent::Other));
    assert_eq!(read(r#"{"eventType":42}"#), ("42", CopyEvent::Other));
    assert_eq!(read(r#"{"eventType":"newer"}"#), ("unknown", CopyEvent::Other));
    assert_eq!(read(r#"{"eventType":1,"fromAccount":"a","to":"b"}"#), ("1", CopyEvent::Callback));
}

#[test]
fn a_sender_who_is_no_accid_of_ours_is_foreign_to_a_team_and_a_fault_between_persons() {
    let longest = "x".repeat(64);
    for sender in [&*longest, "张三", ""] {
        for kind in ["TEAM", "SUPER_TEAM", "CUSTOM_TEAM"] {
            let body = PERSON.replace("PERSON", kind).replace("alice", sender);
            assert_eq!(parse(body.as_bytes()).unwrap().copy, CopyEvent::Foreign, "{body}");
        }
        for event in ["8", "25"] {
            let body = format!(r#"{{"eventType":"{event}","from":"{sender}","to":"1","msgId":"3"}}"#);
            assert_eq!(parse(body.as_bytes()).unwrap().copy, CopyEvent::Foreign, "{body}");
        }
        for kind in ["PERSON", "CUSTOM_PERSON"] {
            let body = PERSON.replace("PERSON", kind).replace("alice", sender);
            assert!(parse(body.as_bytes()).unwrap_err().reason.starts_with("fromAccount is not an accid"));
        }
    }
    let body = PERSON.replace("PERSON", "TEAM").replace(r#""fromAccount":"alice","#, "");
    assert_eq!(parse(body.as_bytes()).unwrap_err().reason, "fromAccount is missing");
    let longest = "x".repeat(32);
    assert_eq!(message(&PERSON.replace("alice", &longest)).from.as_str(), longest);
}

#[test]
fn what_cannot_be_understood_says_why_and_is_kept_whole() {
    let swap = |from: &str, to: &str| PERSON.replace(from, to);
    for (body, reason) in [
        (swap("PERSON", "MARTIAN"), "convType is not one that is known"),
        (swap("9007199254740993", "9223372036854775808"), "msgidServer is not a number from 1 to 2^63-1"),
        (swap("1700000000123", "17e11"), "msgTimestamp is not a time in milliseconds"),
        (swap("1700000000123", "-1"), "msgTimestamp is not a time in milliseconds"),
        (swap("alice", "a b"), "fromAccount is not an accid"),
        (swap("\"to\":\"Bob\",", ""), "to is missing"),
        (swap("\"Bob\"", "\"Bob\",\"to\":\"eve\""), "to is there twice"),
        (swap("\"Bob\"", "[\"Bob\"]"), "to is neither text nor a number"),
        (swap("\"TEXT\"", "{}"), "msgType is neither text nor a number"),
        (swap("alice", "\\ud800"), "fromAccount is a text that cannot be read"),
        (swap("\"body\"", "\"antispam\":{},\"body\""), "antispam is neither text nor a number"),
        (swap("\"1\"", "[]"), "eventType is neither text nor a number"),
        (swap("你好", "\\u12"), "the body is not a copy"),
        (swap("\"body\"", "\"\\ud800\""), "the body is not a copy"),
        ("\u{feff}{}".into(), "the body is not a copy"),
        ("[]".into(), "the body is not a copy"),
        ("7".into(), "the body is not a copy"),
        (r#"{"x":1}"#.into(), "eventType is missing"),
        (r#"{"eventType":"30"}"#.into(), "objects is missing"),
        (r#"{"eventType":"30","objects":"no"}"#.into(), "objects is not a list of receipts"),
        (format!("{}{}", r#"{"eventType":"9","x":"#, "[".repeat(10_000)), "the body is not a copy"),
    ] {
        let error = parse(body.as_bytes()).unwrap_err();
        assert!(error.reason.contains(reason), "{body:.80}: {error}");
        assert_eq!(error.raw, body);
    }
    assert!(parse(b"{\"eventType\":\"\xff\"}").unwrap_err().reason.contains("not UTF-8"));
}

#[test]
fn a_reason_never_quotes_what_somebody_wrote() {
    for body in [
        r#""my secret words""#,
        r#"{"eventType":"1","convType":"my secret words"}"#,
        r#"{"eventType":"30","objects":"my secret words"}"#,
        r#"{"eventType":"30","objects":"[\"my secret words\"]"}"#,
        r#"{"my secret words":"#,
    ] {
        let reason = match parse(body.as_bytes()) {
            Err(error) => error.reason,
            Ok(ParsedCopy { copy: CopyEvent::Receipts(receipts), .. }) => receipts.bad[0].reason.clone(),
            Ok(other) => panic!("{other:?}"),
        };
        assert!(!reason.contains("secret"), "{reason}");
    }
}
