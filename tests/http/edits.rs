//! Edits and reviews after delivery, as NetEase posts them.

use serde_json::{Value, json};

use super::webhook::unread;
use crate::support::service::Site;
use crate::support::stores::{Stores, on_both_sets};
use crate::support::webhook::message;

const AT: i64 = 1_700_000_000_000;

on_both_sets!(an_edit_changes_no_count_and_its_message_repeats_harmlessly, a_review_withdraws_a_message);

async fn an_edit_changes_no_count_and_its_message_repeats_harmlessly(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let edit = |id: u64| {
        json!({"eventType": "89", "from": bob, "to": alice, "msgId": id, "clientId": "x",
            "modifyAccountId": bob, "modifyTime": AT + 5, "text": "edited"})
    };
    let messages = [1, 2].map(|id| message(&bob, &alice, id, AT));
    for copy in [&messages[0], &edit(1), &edit(2), &messages[1], &messages[0], &messages[1], &edit(1)] {
        assert_eq!(service.client.copy(copy.to_string()).await.status, 200);
    }
    assert_eq!(unread(&service.client, &alice, &bob).await, 2);
    for (outcome, copies) in [("first", 2), ("repeated", 2), ("edited", 3), ("conflicting", 0)] {
        let counted = service.client.counted(&format!("outcome=\"{outcome}\"")).await;
        assert_eq!(counted, copies, "{outcome}");
    }
}

async fn a_review_withdraws_a_message(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let review = |id: u64, antispam: Value| {
        let hit = json!({"type": "P2P_MSG_AUDIO", "from": bob, "to": alice, "serverMsgId": id.to_string(),
            "antispam": antispam, "yidunRes": {"action": 1.0}});
        json!({"eventType": "20", "objects": json!([hit]).to_string()})
    };
    let messages = [1, 2, 3].map(|id| message(&bob, &alice, id, AT));
    let copies =
        [&messages[0], &messages[1], &review(1, json!(true)), &review(3, json!("true")), &messages[2]];
    for copy in copies.into_iter().chain([&messages[0], &review(2, json!("false"))]) {
        assert_eq!(service.client.copy(copy.to_string()).await.status, 200);
    }
    assert_eq!(unread(&service.client, &alice, &bob).await, 1);
    assert_eq!(service.client.counted("outcome=\"withdrawn\"").await, 2);
    assert_eq!(service.client.counted("outcome=\"acknowledged\"").await, 1, "it hit nothing");
    assert_eq!(service.client.counted("outcome=\"conflicting\"").await, 0);
}
