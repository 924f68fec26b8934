//! What becomes of an answer, and the calls that are not made by HTTP tests: batches and names.

use otc_im::infra::netease::NeteaseSettings;
use otc_im::ports::gateway::{Gateway, GatewayError};
use serde_json::json;

use super::{Always, accid, content, gateway, made, notify, register, settings};
use crate::support::netease::NetEase;

#[tokio::test]
async fn a_batch_reaches_all_and_tells_who_is_not_there() {
    let netease = NetEase::start().await;
    register(&netease, &["shop", "alice", "bob"]).await;
    let (gateway, all) = (gateway(&netease).background(), ["alice", "nobody", "bob", "no.one"].map(accid));
    for form in ["array", "string"] {
        netease.faults(json!({"unregisterAs": form})).await;
        let unknown = gateway.send_batch(&accid("shop"), &all, &content(), &Always).await.unwrap();
        assert_eq!(unknown, ["nobody", "no.one"].map(accid), "{form}");
        let none = gateway.send_batch(&accid("shop"), &all[..1], &content(), &Always).await.unwrap();
        assert!(none.is_empty(), "{form}");
    }
    let seen = netease.look("notices?to=bob").await["notices"].clone();
    assert_eq!(seen.as_array().map(Vec::len), Some(2));
    let (notice, said) = (&seen[0], content());
    assert_eq!((&notice["from"], &notice["attach"]), (&json!("shop"), &json!(said.attach)));
    assert_eq!((&notice["pushcontent"], &notice["sound"]), (&json!(said.push_content), &json!("ding.caf")));
    assert_eq!((&notice["payload"], &notice["save"]), (&json!(r#"{"screen":"order"}"#), &json!(1)));
    assert_eq!(notice["option"], json!({"badge": false, "needPushNick": true, "route": false}));
}

#[tokio::test]
async fn a_batch_without_an_answer_is_not_sent_again() {
    let netease = NetEase::start().await;
    register(&netease, &["shop", "alice"]).await;
    netease.faults(json!({"failNext": [{"api": "*", "mode": "lose-reply"}]})).await;
    let sent = gateway(&netease).send_batch(&accid("shop"), &[accid("alice")], &content(), &Always).await;
    assert_eq!(sent, Err(GatewayError::OutcomeUnknown("msg/sendBatchAttachMsg")));
    assert_eq!(netease.calls("msg/sendBatchAttachMsg").await, 1);
}

#[tokio::test]
async fn names_are_told_whatever_netease_does_about_unknown_ones() {
    let netease = NetEase::start().await;
    let gateway = gateway(&netease);
    for (name, nick) in [("alice", Some("艾丽丝")), ("bob", None), ("carol", Some("Carol"))] {
        gateway.create_user(&accid(name), "token", nick).await.unwrap();
    }
    let all: Vec<_> = ["alice", "x", "bob", "y", "z", "carol"].map(accid).into();
    let named = [("alice", "艾丽丝"), ("bob", ""), ("carol", "Carol")];
    let named = named.map(|(accid_of, name)| (accid(accid_of), name.to_owned()));
    for (code, calls) in [(200, 1), (414, 12)] {
        netease.faults(json!({"uinfosOfUnknown": code})).await;
        let before = netease.calls("user/getUinfos").await;
        assert_eq!(gateway.names(&all).await.unwrap().into_iter().collect::<Vec<_>>(), named);
        assert!(netease.calls("user/getUinfos").await - before <= calls, "{code}");
    }
    assert!(gateway.names(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn passing_trouble_is_asked_again_and_then_told() {
    let netease = NetEase::start().await;
    register(&netease, &["shop", "alice"]).await;
    let gateway = gateway(&netease);
    for code in [415, 431, 503, 514] {
        let fail = json!({"api": "*", "mode": code.to_string(), "count": 3});
        netease.faults(json!({"failNext": [fail]})).await;
        let troubled = |api| Err(GatewayError::Transient { api, code });
        assert_eq!(gateway.set_name(&accid("alice"), "A").await, troubled("user/updateUinfo"));
        assert_eq!(notify(&gateway).await, Ok(()), "refused once, so certainly not done");
    }
    assert_eq!(netease.look("notices?to=alice").await["notices"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn a_service_that_netease_does_not_know_is_refused() {
    let netease = NetEase::start().await;
    let wrong = NeteaseSettings { app_secret: "wrong".into(), ..settings(netease.base_url()) };
    let names = made(wrong).names(&["alice", "bob"].map(accid)).await;
    let Err(GatewayError::NotAccepted { api, code, desc }) = names else { panic!("{names:?}") };
    assert_eq!((api, code, &*desc), ("user/getUinfos", 414, "checksum"));
    assert_eq!(netease.calls("user/getUinfos").await, 1, "halves would fare no better");
}
