//! Edits change what a stored message says, in any order and however often they come, and no count.

use otc_im::domain::ids::Millis;
use otc_im::domain::message::{Details, Edit, Fact, Message};
use otc_im::domain::unread::Snapshot;
use otc_im::ports::message_log::InsertOutcome::{Conflicting, First, Repeated};

use super::facts::{Pair, id, person, with_recalled};
use super::message_log::sorted_snapshot;
use crate::support::backends::{self, Log};

on_each! {
    [
        the_newest_edit_of_each_field_holds_in_whatever_order_they_come,
        an_edit_changes_no_count_and_makes_no_conflict,
        an_edit_before_its_message_makes_nothing_known,
        an_edit_and_a_recall_leave_each_other_in_force,
    ]
    each sqlite: backends::sqlite_log().await;
    each mongo: backends::mongo_log().await;
}

fn edit(pair: &Pair, number: i64, at: i64, [body, attach, ext]: [Option<&str>; 3]) -> Edit {
    let text = |text: Option<&str>| text.map(ToOwned::to_owned);
    let (from, to) = (pair.peer.clone(), pair.reader.clone());
    Edit {
        key: person(number),
        from,
        to,
        at: Millis(at),
        body: text(body),
        attach: text(attach),
        ext: text(ext),
    }
}

fn message(pair: &Pair, number: i64) -> Message {
    let text = |text: &str| Some(text.to_owned());
    let details =
        Details { body: text("first"), attach: text("$first"), ext: text("first"), ..Details::default() };
    Message { details, ..pair.message(number, 10) }
}

async fn says(log: &Log, number: i64) -> [Vec<String>; 3] {
    [
        log.kept(person(number), "body").await,
        log.kept(person(number), "attach").await,
        log.kept(person(number), "ext").await,
    ]
}

async fn the_newest_edit_of_each_field_holds_in_whatever_order_they_come(log: &Log) {
    let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2], [3, 0, 1, 2], [2, 3, 1, 0]];
    for (order, number) in orders.into_iter().zip(1..) {
        let pair = Pair::fresh();
        let facts: [Fact; 4] = [
            message(&pair, number).into(),
            edit(&pair, number, 20, [Some("older"), Some("$.older"), None]).into(),
            edit(&pair, number, 30, [Some("newer"), None, None]).into(),
            edit(&pair, number, 15, [Some("oldest"), Some("oldest"), None]).into(),
        ];
        for at in order.into_iter().chain(order) {
            log.record_one(facts[at].clone()).await.unwrap();
        }
        assert_eq!(says(log, number).await, [["newer"], ["$.older"], ["first"]], "{order:?}");
        assert_eq!(sorted_snapshot(&**log, &pair).await, pair.snapshot([(number, 10)], None), "{order:?}");
        assert!(log.upkeep.message(person(number)).await.unwrap().unwrap().edited);
    }
}

async fn an_edit_changes_no_count_and_makes_no_conflict(log: &Log) {
    let pair = Pair::fresh();
    log.record_one(pair.receipt(10).into()).await.unwrap();
    for number in [1, 2] {
        log.record_one(message(&pair, number).into()).await.unwrap();
    }
    let recorded = log.record_one(edit(&pair, 1, 20, [Some("new"), None, Some("{}")]).into()).await.unwrap();
    assert_eq!((recorded.copy, recorded.change), (First, None));
    assert_eq!(log.state(person(1)).await, Some(1));
    assert_eq!(log.record_one(message(&pair, 1).into()).await.unwrap().copy, Repeated);
    assert_eq!(says(log, 1).await, [["new"], ["$first"], ["{}"]]);
    let other = Message { msg_type: "TIPS".into(), ..message(&pair, 1) };
    assert_eq!(log.record_one(other.into()).await.unwrap().copy, Conflicting);
    // Together with its message, and with others.
    let facts: Vec<Fact> = vec![
        edit(&pair, 3, 40, [Some("newest"), None, None]).into(),
        message(&pair, 3).into(),
        edit(&pair, 3, 30, [Some("new"), None, None]).into(),
        edit(&pair, 2, 30, [None, None, None]).into(),
    ];
    assert!(log.record(facts).await.iter().all(Result::is_ok));
    assert_eq!(says(log, 3).await, [["newest"], ["$first"], ["first"]]);
    assert_eq!(says(log, 2).await, [["first"], ["$first"], ["first"]]);
    assert_eq!(sorted_snapshot(&**log, &pair).await, pair.snapshot([], Some(10)));
}

async fn an_edit_before_its_message_makes_nothing_known(log: &Log) {
    let pair = Pair::fresh();
    log.record_one(edit(&pair, 1, 20, [Some("new"), None, None]).into()).await.unwrap();
    assert_eq!(log.snapshot(&pair.reader).await.unwrap(), Snapshot::default());
    assert_eq!(log.unknown(&pair.reader, &[id(1)]).await.unwrap().len(), 1);
    let recorded = log.record_one(message(&pair, 1).into()).await.unwrap();
    assert_eq!((recorded.copy, recorded.change), (First, Some(pair.arrived(1, 10))));
    assert_eq!(log.unknown(&pair.reader, &[id(1)]).await.unwrap().len(), 0);
}

async fn an_edit_and_a_recall_leave_each_other_in_force(log: &Log) {
    let change = [Some("new"), None, None];
    for (number, edit_first) in [(1, true), (2, false)] {
        let pair = Pair::fresh();
        let mut facts: Vec<Fact> = vec![edit(&pair, number, 20, change).into(), pair.recall(number).into()];
        if !edit_first {
            facts.reverse();
        }
        for fact in facts {
            log.record_one(fact).await.unwrap();
        }
        let recorded = log.record_one(message(&pair, number).into()).await.unwrap();
        assert_eq!((recorded.copy, recorded.change), (First, Some(pair.recalled(number))));
        let expected = with_recalled(Snapshot::default(), &pair, &[number]);
        assert_eq!(log.snapshot(&pair.reader).await.unwrap(), expected);
        assert_eq!(says(log, number).await, [["new"], ["$first"], ["first"]]);
    }
}
