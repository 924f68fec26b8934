//! The settings that say what counts: `unread.ignore_types`, `unread.ignore_senders`, `unread.reply_reads`.

use serde_json::json;

use super::webhook::unread;
use crate::support::service::Site;
use crate::support::stores::{Stores, on_both_sets};
use crate::support::webhook::message;

const AT: i64 = 1_700_000_000_000;

on_both_sets!(
    types_and_senders_of_the_sites_choice_do_not_count,
    a_later_change_of_the_setting_changes_nothing_that_is_stored,
    an_answer_reads_the_chat_before_it,
);

async fn types_and_senders_of_the_sites_choice_do_not_count(stores: Stores) {
    let site = Site::new(stores).await.set("accounts.case", "fold");
    let (alice, bob, bot) = (site.user("alice"), site.user("bob"), site.user("bot"));
    let site = site
        .set("unread.ignore_types", "TIPS, NOTIFICATION")
        .set("unread.ignore_senders", &bot.to_uppercase());
    let service = site.start().await;
    for (id, (from, msg_type)) in
        (1..).zip([(&bob, "TIPS"), (&bob, "NOTIFICATION"), (&bob, "TEXT"), (&bot, "TEXT"), (&bob, "TIP")])
    {
        let mut copy = message(from, &alice, id, AT);
        copy["msgType"] = json!(msg_type);
        assert_eq!(service.client.copy(copy.to_string()).await.status, 200);
    }
    assert_eq!(unread(&service.client, &alice, &bob).await, 2);
    assert_eq!(unread(&service.client, &alice, &bot).await, 0);
    assert_eq!(service.client.counted("outcome=\"first\"").await, 5, "all of them are stored");
}

async fn a_later_change_of_the_setting_changes_nothing_that_is_stored(stores: Stores) {
    let site = Site::new(stores).await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let copy = |id| message(&bob, &alice, id, AT).to_string();
    let site = site.set("unread.ignore_types", "TEXT");
    let service = site.start().await;
    assert_eq!(service.client.copy(copy(1)).await.status, 200);
    assert_eq!(unread(&service.client, &alice, &bob).await, 0);
    let site = site.unset("unread.ignore_types");
    let service = site.start().await;
    for id in [1, 2] {
        assert_eq!(service.client.copy(copy(id)).await.status, 200);
    }
    assert_eq!(unread(&service.client, &alice, &bob).await, 1);
    let site = site.set("unread.ignore_senders", &bob);
    let service = site.start().await;
    for id in [1, 2, 3] {
        assert_eq!(service.client.copy(copy(id)).await.status, 200);
    }
    assert_eq!(unread(&service.client, &alice, &bob).await, 1);
}

async fn an_answer_reads_the_chat_before_it(stores: Stores) {
    let site = Site::new(stores).await;
    let (alice, bob, carol) = (site.user("alice"), site.user("bob"), site.user("carol"));
    let site = site.set("unread.reply_reads", "true");
    let service = site.start().await;
    let post = async |copy: serde_json::Value| {
        assert_eq!(service.client.copy(copy.to_string()).await.status, 200);
    };
    post(message(&bob, &alice, 1, AT)).await;
    post(message(&bob, &alice, 2, AT + 10)).await;
    post(message(&carol, &alice, 3, AT)).await;
    post(message(&alice, &bob, 4, AT + 10)).await;
    assert_eq!(unread(&service.client, &alice, &bob).await, 1, "what came in the same millisecond waits");
    assert_eq!(unread(&service.client, &alice, &carol).await, 1);
    assert_eq!(unread(&service.client, &bob, &alice).await, 1);
    post(message(&bob, &alice, 5, AT + 5)).await;
    assert_eq!(unread(&service.client, &alice, &bob).await, 1, "it came late, and is read");
    let restarted = site.start().await;
    assert_eq!(unread(&restarted.client, &alice, &bob).await, 1, "in the log as well");
}
