//! The log filled from NetEase's history, and the copies that come all the same.

use std::sync::Arc;

use otc_im::commands::reconcile::{Mode, PairsRead, Reconciled, Reconciler, Window};
use otc_im::domain::counting::CountingRules;
use otc_im::domain::ids::Millis;
use otc_im::domain::message::{Details, Message, Origin};
use otc_im::domain::unread::Change;
use otc_im::infra::netease::ServerApi::{self, V9, V10};
use otc_im::ports::history::History;
use otc_im::ports::message_log::InsertOutcome::{self, Completed, Conflicting, First, Repeated};
use serde_json::{Value, json};

use super::facts::{NOW, Pair, count, fresh_accid, id, load};
use super::watched::SetClock;
use crate::gateway::{gateway, history};
use crate::support::backends::{self, Stack};
use crate::support::netease::NetEase;

on_each! {
    [
        lost_messages_are_added_both_ways_and_only_once,
        a_dry_run_tells_and_stores_nothing,
        many_messages_of_one_millisecond_are_read_to_the_end,
        what_history_lacks_is_told_and_stays,
        a_copy_completes_what_history_knew,
        a_copy_that_withholds_takes_the_count_back,
    ]
    each embedded: backends::embedded().await;
    each production: backends::production().await;
}

/// NetEase with these accounts, whose copies go nowhere.
async fn netease(api: ServerApi, pair: &Pair) -> (NetEase, Arc<dyn History>) {
    let netease = NetEase::start().await;
    let gateway = gateway(&netease);
    for accid in [&pair.reader, &pair.peer] {
        gateway.create_user(accid, "token", None).await.unwrap();
    }
    let history = history(api, &netease);
    (netease, history)
}

fn reconciler(stack: &Stack, history: Arc<dyn History>) -> Reconciler {
    Reconciler {
        history,
        log: stack.log.messages.clone(),
        upkeep: stack.log.upkeep.clone(),
        view: stack.view.port.clone(),
        clock: Arc::new(SetClock::default()),
        rules: CountingRules::default(),
    }
}

const ALWAYS: Window = Window { from: Millis(0), to: Millis(4_000_000_000_000) };

async fn reconcile(stack: &Stack, history: &Arc<dyn History>, pair: &Pair, mode: Mode) -> Reconciled {
    let reconciler = reconciler(stack, Arc::clone(history));
    reconciler.user(&pair.reader, ALWAYS, mode, &mut PairsRead::default()).await.unwrap()
}

/// A message whose copy is lost.
async fn lost(netease: &NetEase, from: impl ToString, to: impl ToString, more: Value) -> Value {
    netease.faults(json!({"dropNext": 10_000})).await;
    let mut message = json!({"from": from.to_string(), "to": to.to_string(), "wait": false});
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    netease.tell("send", message).await["messages"].clone()
}

async fn lost_messages_are_added_both_ways_and_only_once(stack: &Stack) {
    for api in [V9, V10] {
        let pair = Pair::fresh();
        let (netease, history) = netease(api, &pair).await;
        lost(&netease, &pair.peer, &pair.reader, json!({"count": 250})).await;
        lost(&netease, &pair.reader, &pair.peer, json!({"count": 3, "body": "yes"})).await;
        load(&*stack.view, &pair.reader, &pair.snapshot([], None)).await;
        let found = reconcile(stack, &history, &pair, Mode::Store).await;
        assert_eq!(found, Reconciled { pairs: 1, seen: 253, added: 253, ..Reconciled::default() });
        assert_eq!(count(&*stack.view, &pair).await, Some(250));
        let answered = stack.log.messages.snapshot(&pair.peer).await.unwrap();
        assert_eq!(answered.unread.len(), 3, "the other one's count is right as well");
        let again = reconcile(stack, &history, &pair, Mode::Store).await;
        assert_eq!(again, Reconciled { pairs: 1, seen: 253, ..Reconciled::default() });
        assert_eq!(count(&*stack.view, &pair).await, Some(250));
        netease.stop().await;
    }
}

async fn a_dry_run_tells_and_stores_nothing(stack: &Stack) {
    let pair = Pair::fresh();
    let (netease, history) = netease(V9, &pair).await;
    lost(&netease, &pair.peer, &pair.reader, json!({"count": 2})).await;
    lost(&netease, &pair.reader, &pair.peer, json!({})).await;
    let found = reconcile(stack, &history, &pair, Mode::DryRun).await;
    assert_eq!((found.seen, found.added), (3, 3));
    assert_eq!(stack.log.messages.snapshot(&pair.reader).await.unwrap(), pair.snapshot([], None));
    netease.stop().await;
}

async fn many_messages_of_one_millisecond_are_read_to_the_end(stack: &Stack) {
    for (api, exclusion, least) in [(V9, "anchor", 230), (V9, "one", 100), (V10, "one", 230)] {
        let pair = Pair::fresh();
        let (netease, history) = netease(api, &pair).await;
        lost(&netease, &pair.peer, &pair.reader, json!({"count": 220, "timestamp": 1_700_000_000_000_i64}))
            .await;
        let after = json!({"count": 10, "timestamp": 1_700_000_000_001_i64});
        lost(&netease, &pair.peer, &pair.reader, after).await;
        netease.faults(json!({"excludeMsgidAs": exclusion})).await;
        let found = reconcile(stack, &history, &pair, Mode::Store).await;
        assert!(found.added >= least && found.added == found.seen, "{exclusion}: {found:?}");
        let snapshot = stack.log.messages.snapshot(&pair.reader).await.unwrap();
        let newest = snapshot.unread.iter().filter(|(_, _, at)| *at == Millis(1_700_000_000_001)).count();
        assert_eq!(newest, 10, "{exclusion}: what comes after them is found");
        netease.stop().await;
    }
}

async fn what_history_lacks_is_told_and_stays(stack: &Stack) {
    let pair = Pair::fresh();
    let (netease, history) = netease(V9, &pair).await;
    lost(&netease, &pair.peer, &pair.reader, json!({})).await;
    stack.log.record_one(pair.message(7, 1_600_000_000_000).into()).await.unwrap();
    let found = reconcile(stack, &history, &pair, Mode::Store).await;
    assert_eq!((found.added, found.not_in_history), (1, 1));
    assert_eq!(stack.log.messages.snapshot(&pair.reader).await.unwrap().unread.len(), 2);
    netease.stop().await;
}

/// What NetEase's history tells of a message: fewer details, in other words.
fn learnt(message: &Message) -> Message {
    let attach = Some("{}".to_owned());
    let details = Details { origin: Origin::History, body: None, attach, ..Details::default() };
    Message { msg_type: "99".into(), details, ..message.clone() }
}

async fn record(stack: &Stack, message: &Message) -> (InsertOutcome, Option<Change>) {
    let recorded = stack.log.record_one(message.clone().into()).await.unwrap();
    (recorded.copy, recorded.change)
}

async fn a_copy_completes_what_history_knew(stack: &Stack) {
    let pair = Pair::fresh();
    let copy = pair.message(1, 10);
    let arrived = Some(pair.arrived(1, 10));
    assert_eq!(record(stack, &learnt(&copy)).await, (First, arrived.clone()));
    assert_eq!(record(stack, &learnt(&copy)).await, (Repeated, arrived.clone()));
    assert_eq!(record(stack, &pair.message(1, 11)).await, (Conflicting, arrived.clone()));
    assert_eq!(record(stack, &copy).await, (Completed, arrived.clone()));
    assert_eq!(record(stack, &copy).await, (Repeated, arrived.clone()));
    assert_eq!(record(stack, &learnt(&copy)).await, (Repeated, arrived.clone()));
    let other = Message { msg_type: "TIPS".into(), ..copy };
    assert_eq!(record(stack, &other).await, (Conflicting, arrived));
    assert_eq!(stack.log.messages.snapshot(&pair.reader).await.unwrap(), pair.snapshot([(1, 10)], None));
    // What is read or recalled stays so.
    stack.log.record_one(pair.receipt(20).into()).await.unwrap();
    stack.log.record_one(pair.recall(3).into()).await.unwrap();
    for number in [2, 3] {
        record(stack, &learnt(&pair.message(number, 15))).await;
        assert_eq!(record(stack, &pair.message(number, 15)).await.0, Completed);
    }
    let held = stack.log.messages.snapshot(&pair.reader).await.unwrap();
    assert!(held.unread.is_empty(), "{held:?}");
}

async fn a_copy_that_withholds_takes_the_count_back(stack: &Stack) {
    let pair = Pair::fresh();
    record(stack, &learnt(&pair.message(1, 10))).await;
    load(&*stack.view, &pair.reader, &pair.snapshot([(1, 10)], None)).await;
    let withheld = Message { withheld: true, ..pair.message(1, 10) };
    for copy in [Completed, Repeated] {
        // Repeated, it is told again: a crash may have come between log and view.
        let recorded = record(stack, &withheld).await;
        assert_eq!(recorded, (copy, Some(pair.recalled(1))));
        stack.view.apply(&recorded.1.unwrap(), NOW).await.unwrap();
        assert_eq!(count(&*stack.view, &pair).await, Some(0));
        assert!(stack.log.messages.snapshot(&pair.reader).await.unwrap().unread.is_empty());
    }
    let never = Message { withheld: true, to: fresh_accid(), ..pair.message(1, 10) };
    let never =
        Message { key: otc_im::domain::message::MessageKey { server_id: id(9), ..never.key }, ..never };
    assert_eq!(record(stack, &never).await, (First, None), "the view never heard of it");
}
