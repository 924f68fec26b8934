//! NetEase's history: what it tells of messages, in pages, and what is no empty history.

use std::collections::BTreeSet;

use otc_im::domain::ids::Millis;
use otc_im::domain::message::{Message, Origin};
use otc_im::infra::netease::ServerApi;
use otc_im::ports::gateway::GatewayError;
use otc_im::ports::history::{History, PageStart};
use serde_json::json;

use super::{accid, by_both_apis, history, register};
use crate::support::netease::NetEase;

by_both_apis!(
    every_message_of_a_conversation_is_read_once,
    a_message_is_what_its_copy_would_be,
    those_are_told_with_whom_something_was_said_since,
);

const ALWAYS: PageStart =
    PageStart { from: Millis(0), to: Millis(4_000_000_000_000), after: None, token: None };

/// All pages from `start` on, each with how many messages could not be understood.
async fn pages(history: &dyn History, start: PageStart) -> Vec<(Vec<Message>, usize)> {
    let (mut pages, mut next) = (Vec::new(), Some(start));
    while let Some(start) = next {
        let page = history.page(&accid("alice"), &accid("bob"), &start).await.unwrap();
        next = page.next;
        pages.push((page.messages, page.unreadable));
    }
    pages
}

async fn every_message_of_a_conversation_is_read_once(api: ServerApi) {
    let netease = NetEase::start().await;
    register(&netease, &["alice", "bob"]).await;
    let said = [("bob", "alice", 130, 1_000), ("alice", "bob", 120, 1_001), ("bob", "alice", 3, 9_000)];
    for (from, to, count, at) in said {
        netease.tell("send", json!({"from": from, "to": to, "count": count, "timestamp": at})).await;
    }
    let history = history(api, &netease);
    for oldest_first in [true, false] {
        netease.faults(json!({"descendingIsOldestFirst": oldest_first})).await;
        let window = PageStart { to: Millis(5_000), ..ALWAYS };
        let all: Vec<Message> =
            pages(&*history, window).await.into_iter().flat_map(|(page, _)| page).collect();
        let ids: BTreeSet<_> = all.iter().map(|message| message.key.server_id).collect();
        assert_eq!((all.len(), ids.len()), (250, 250), "each once, and not what came later");
    }
    for (page, unreadable) in pages(&*history, ALWAYS).await {
        assert!(page.len() <= 100 && unreadable == 0 && page.is_sorted_by_key(|message| message.timestamp));
    }
}

async fn a_message_is_what_its_copy_would_be(api: ServerApi) {
    let netease = NetEase::start().await;
    register(&netease, &["alice", "bob"]).await;
    let extra = json!({"fromClientType": "IOS"});
    netease.tell("send", json!({"from": "bob", "to": "alice", "body": "你好", "extra": extra})).await;
    let extra = json!({"attach": {"url": "https://x/1.png"}});
    let picture = json!({"from": "alice", "to": "bob", "body": "", "msgType": "PICTURE", "extra": extra});
    let sent = netease.tell("send", picture).await["messages"][0].clone();

    let read = pages(&*history(api, &netease), ALWAYS).await.remove(0).0;
    let [text, picture] = &read[..] else { panic!("{read:?}") };
    assert_eq!((&text.from, &text.to, &*text.msg_type), (&accid("bob"), &accid("alice"), "TEXT"));
    assert_eq!((text.details.body.as_deref(), text.details.attach.as_deref()), (Some("你好"), None));
    assert_eq!(text.details.from_client_type.as_deref(), Some("IOS"));
    assert_eq!((&picture.from, &picture.to, &*picture.msg_type), (&accid("alice"), &accid("bob"), "PICTURE"));
    assert_eq!(picture.details.attach.as_deref(), Some(r#"{"url":"https://x/1.png"}"#));
    assert_eq!(picture.details.body, None);
    assert_eq!(picture.details.msgid_client.as_deref(), sent["msgidClient"].as_str());
    assert_eq!((picture.details.origin, picture.withheld), (Origin::History, false));
    assert_eq!(picture.key.server_id.to_string(), sent["msgidServer"].as_str().unwrap());
    assert_eq!(json!(picture.timestamp.0), sent["msgTimestamp"]);
}

async fn those_are_told_with_whom_something_was_said_since(api: ServerApi) {
    let netease = NetEase::start().await;
    let names: Vec<String> = (0..120).map(|n| format!("peer-{n:03}")).collect();
    register(&netease, &["alice", "peer-000"]).await;
    for (at, name) in (1_000..).zip(&names) {
        netease.tell("send", json!({"from": name, "to": "alice", "timestamp": at, "force": true})).await;
    }
    let history = history(api, &netease);
    let peers = async |since| history.peers(&accid("alice"), Millis(since)).await.unwrap();
    assert_eq!(peers(0).await, names.iter().map(|name| accid(name)).collect::<Vec<_>>());
    assert_eq!(peers(1_118).await, ["peer-118", "peer-119"].map(accid));
    assert!(history.peers(&accid("peer-000"), Millis(5_000)).await.unwrap().is_empty());

    let read = json!({"reader": "alice", "peer": "peer-000", "timestamp": 1_000});
    netease.tell("read", read).await;
    assert_eq!(history.tells_last_read(), api == ServerApi::V10);
    if api == ServerApi::V10 {
        let last_read = async |peer| history.last_read(&accid("alice"), &accid(peer)).await;
        assert_eq!(last_read("peer-000").await, Ok(Some(Millis(1_000))));
        assert_eq!([last_read("peer-001").await, last_read("stranger").await], [Ok(None), Ok(None)]);
    }
}

/// Conversations are a switch in NetEase's console.
#[tokio::test]
async fn an_app_without_conversations_has_no_empty_history() {
    let netease = NetEase::start().await;
    register(&netease, &["alice", "bob"]).await;
    netease.faults(json!({"conversations": 400})).await;
    let history = history(ServerApi::V10, &netease);
    let peers = history.peers(&accid("alice"), Millis(0)).await;
    assert!(matches!(peers, Err(GatewayError::Rejected { code: 400, .. })), "{peers:?}");
    assert!(history.page(&accid("alice"), &accid("bob"), &ALWAYS).await.unwrap().messages.is_empty());
}
