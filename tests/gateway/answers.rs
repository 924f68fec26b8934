//! What becomes of an answer, and the calls that are not made by HTTP tests: batches and names.

use otc_im::domain::ids::{Millis, ServerId};
use otc_im::domain::message::MessageRef;
use otc_im::infra::netease::{NeteaseSettings, ServerApi};
use otc_im::ports::gateway::{GatewayError, LeftOut};
use serde_json::json;

use super::{Always, accid, by_both_apis, called, content, made, notify, register, settings, speaking};
use crate::support::netease::NetEase;

by_both_apis!(
    a_batch_reaches_all_and_tells_who_is_not_there,
    a_batch_without_an_answer_is_not_sent_again,
    names_are_told_whatever_netease_does_about_unknown_ones,
    passing_trouble_is_asked_again_and_then_told,
    a_service_that_netease_does_not_know_is_refused,
    friends_are_made_and_old_ones_are_friends,
    a_read_is_told_up_to_a_message_as_often_as_it_takes,
);

async fn a_batch_reaches_all_and_tells_who_is_not_there(api: ServerApi) {
    let netease = NetEase::start().await;
    register(&netease, &["shop", "alice", "bob"]).await;
    let (gateway, all) =
        (speaking(api, &netease).background(), ["alice", "nobody", "bob", "no.one"].map(accid));
    for form in ["array", "string"] {
        netease.faults(json!({"unregisterAs": form})).await;
        let unknown = gateway.send_batch(&accid("shop"), &all, &content(), &Always).await.unwrap();
        let not_there = ["nobody", "no.one"].map(|name| LeftOut { to: accid(name), refusal: None });
        assert_eq!(unknown, not_there, "{form}");
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

async fn a_batch_without_an_answer_is_not_sent_again(api: ServerApi) {
    let netease = NetEase::start().await;
    register(&netease, &["shop", "alice"]).await;
    netease.faults(json!({"failNext": [{"api": "*", "mode": "lose-reply"}]})).await;
    let (gateway, batch) = (speaking(api, &netease).background(), called(api, "msg/sendBatchAttachMsg"));
    let sent = gateway.send_batch(&accid("shop"), &[accid("alice")], &content(), &Always).await;
    assert_eq!(sent, Err(GatewayError::OutcomeUnknown(batch)));
    assert_eq!(netease.calls(batch).await, 1);
}

async fn names_are_told_whatever_netease_does_about_unknown_ones(api: ServerApi) {
    let netease = NetEase::start().await;
    let gateway = speaking(api, &netease).for_persons();
    for (name, nick) in [("alice", Some("艾丽丝")), ("bob", None), ("carol", Some("Carol"))] {
        gateway.create_user(&accid(name), "token", nick).await.unwrap();
    }
    let all: Vec<_> = ["alice", "x", "bob", "y", "z", "carol"].map(accid).into();
    let named = [("alice", "艾丽丝"), ("bob", ""), ("carol", "Carol")];
    let named = named.map(|(accid_of, name)| (accid(accid_of), name.to_owned()));
    for (code, calls) in [(200, 1), (414, 12)] {
        netease.faults(json!({"uinfosOfUnknown": code})).await;
        let before = netease.calls(called(api, "user/getUinfos")).await;
        assert_eq!(gateway.names(&all).await.unwrap().into_iter().collect::<Vec<_>>(), named);
        assert!(netease.calls(called(api, "user/getUinfos")).await - before <= calls, "{code}");
    }
    assert!(gateway.names(&[]).await.unwrap().is_empty());
}

async fn passing_trouble_is_asked_again_and_then_told(api: ServerApi) {
    let netease = NetEase::start().await;
    register(&netease, &["shop", "alice"]).await;
    let gateway = speaking(api, &netease).for_persons();
    let own = if api == ServerApi::V10 { [102_449, 104_449] } else { [398, 399] };
    for code in [415, 431, 503, 514].into_iter().chain(own) {
        let fail = json!({"api": "*", "mode": code.to_string(), "count": 3});
        netease.faults(json!({"failNext": [fail]})).await;
        let troubled = Err(GatewayError::Transient { api: called(api, "user/updateUinfo"), code });
        assert_eq!(gateway.set_name(&accid("alice"), "A").await, troubled);
        assert_eq!(notify(&*gateway).await, Ok(()), "refused once, so certainly not done");
    }
    assert_eq!(netease.look("notices?to=alice").await["notices"].as_array().map(Vec::len), Some(6));
}

async fn a_service_that_netease_does_not_know_is_refused(api: ServerApi) {
    let netease = NetEase::start().await;
    let wrong = NeteaseSettings { app_secret: "wrong".into(), ..settings(api, netease.base_url()) };
    let answer = made(wrong).for_persons().names(&["alice", "bob"].map(accid)).await;
    let code = if api == ServerApi::V10 { 403 } else { 414 };
    let names = called(api, "user/getUinfos");
    assert_eq!(answer, Err(GatewayError::NotAccepted { api: names, code, desc: "checksum".to_owned() }));
    assert_eq!(netease.calls(names).await, 1, "halves would fare no better");
}

async fn friends_are_made_and_old_ones_are_friends(api: ServerApi) {
    let netease = NetEase::start().await;
    register(&netease, &["alice", "bob"]).await;
    let gateway = speaking(api, &netease).for_persons();
    for again in [200, 104_405] {
        netease.faults(json!({"friendsAgain": again})).await;
        for (one, other) in [("alice", "bob"), ("bob", "alice")] {
            assert_eq!(gateway.add_friend(&accid(one), &accid(other)).await, Ok(()), "{again}");
        }
    }
    assert_eq!(netease.look("accounts/bob").await["friends"], json!(["alice"]));
    let refused = gateway.add_friend(&accid("alice"), &accid("nobody")).await;
    let code = if api == ServerApi::V10 { 102_404 } else { 414 };
    assert_eq!(refused.as_ref().err().and_then(GatewayError::code), Some(code), "{refused:?}");
    assert!(matches!(refused, Err(GatewayError::Rejected { .. })));
}

async fn a_read_is_told_up_to_a_message_as_often_as_it_takes(api: ServerApi) {
    let netease = NetEase::start().await;
    register(&netease, &["alice", "bob"]).await;
    let (gateway, call) = (speaking(api, &netease).background(), called(api, "msg/markReadMsg"));
    let mut said = Vec::new();
    for at in [1_000, 2_000, 3_000] {
        let sent = netease.tell("send", json!({"from": "bob", "to": "alice", "timestamp": at})).await;
        let message = &sent["messages"][0];
        said.push(MessageRef {
            at: Millis(at),
            id: ServerId::new(message["msgidServer"].as_str().unwrap().parse().unwrap()).unwrap(),
            client_id: message["msgidClient"].as_str().map(str::to_owned),
        });
    }
    let tell = async |newest: &MessageRef| gateway.tell_read(&accid("alice"), &accid("bob"), newest).await;
    netease.faults(json!({"failNext": [{"api": "*", "mode": "lose-reply"}]})).await;
    assert_eq!(tell(&said[1]).await, Ok(()));
    assert_eq!(netease.calls(call).await, 2, "safe to repeat");
    assert_eq!(netease.unread("alice", "bob").await, 1);
    assert_eq!(tell(&said[2]).await, Ok(()));
    assert_eq!(netease.unread("alice", "bob").await, 0);
    let refused = gateway.tell_read(&accid("alice"), &accid("nobody"), &said[2]).await;
    assert!(matches!(refused, Err(GatewayError::Rejected { api, .. }) if api == call), "{refused:?}");
}

/// V9 knows a message by its sender's id alone, V10 by NetEase's number.
#[tokio::test]
async fn a_message_without_the_id_of_a_client_is_told_by_v10_alone() {
    let netease = NetEase::start().await;
    register(&netease, &["alice", "bob"]).await;
    let sent = netease.tell("send", json!({"from": "bob", "to": "alice"})).await;
    let number = sent["messages"][0]["msgidServer"].as_str().unwrap().parse().unwrap();
    let newest = MessageRef { at: Millis(1), id: ServerId::new(number).unwrap(), client_id: None };
    for (api, is_told) in [(ServerApi::V9, false), (ServerApi::V10, true)] {
        let told = speaking(api, &netease).background();
        let told = told.tell_read(&accid("alice"), &accid("bob"), &newest).await;
        assert_eq!(told.is_ok(), is_told, "{told:?}");
    }
    assert_eq!(netease.calls("msg/markReadMsg").await, 0);
}

/// What V10 has no way to say, and V9 has.
#[tokio::test]
async fn an_account_of_dots_alone_has_no_url() {
    let netease = NetEase::start().await;
    let gateway = speaking(ServerApi::V10, &netease).for_persons();
    for dots in [".", ".."].map(accid) {
        gateway.create_user(&dots, "token", None).await.unwrap();
        for refused in [gateway.set_token(&dots, "new").await, gateway.set_name(&dots, "name").await] {
            let Err(GatewayError::Rejected { desc, .. }) = refused else { panic!("{refused:?}") };
            assert!(desc.contains("cannot be part of a URL"), "{desc}");
        }
    }
    gateway.set_token(&accid("..."), "new").await.unwrap_err();
    assert_eq!(netease.calls("v2/accounts.update").await, 1, "it can be asked for, and is not there");
}
