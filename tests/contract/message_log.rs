//! What a message log keeps and what it says of it: one fact after another.

use std::slice::from_ref;

use otc_im::domain::ids::Millis;
use otc_im::domain::message::{ConvType, Details, Message, MessageKey, Origin, Recall};
use otc_im::domain::unread::{Change, Snapshot};
use otc_im::infra::clock::System;
use otc_im::ports::clock::Clock;
use otc_im::ports::dead_letters::DeadLetter;
use otc_im::ports::message_log::InsertOutcome::{Conflicting, First, Repeated};
use otc_im::ports::message_log::{MessageLog, Reach};

use super::facts::{NOW, Pair, fresh_accid, id, person, with_recalled};
use crate::support::backends::{self, Log};

on_each! {
    [
        a_copy_is_the_first_then_a_repeated_one,
        a_copy_that_differs_is_told_and_the_first_stays,
        a_conflicting_copy_is_told_with_the_mark_of_the_pair_that_stays,
        a_person_and_a_notice_may_have_the_same_number,
        two_senders_may_have_the_same_client_id,
        a_message_under_the_mark_is_read_when_it_comes,
        a_receipt_reads_up_to_and_at_its_time,
        an_older_receipt_never_lowers_the_mark,
        a_receipt_leaves_other_pairs,
        what_does_not_count_is_kept_but_not_unread,
        a_recalled_message_counts_no_more,
        a_message_that_was_recalled_before_it_came_never_counts,
        a_recall_of_a_read_message_changes_no_count,
        a_snapshot_tells_of_the_recalls_of_the_last_hour_alone,
        how_far_a_pair_goes_is_known,
        a_snapshot_holds_one_reader_whole,
        text_comes_back_as_it_came,
        a_dead_letter_is_kept_whole_and_once,
        dead_letters_are_kept_together_and_forgotten_when_old,
    ]
    each sqlite: backends::sqlite_log().await;
    each mongo: backends::mongo_log().await;
}

/// The snapshot in an order that does not depend on the store.
pub async fn sorted_snapshot(log: &dyn MessageLog, pair: &Pair) -> Snapshot {
    let mut snapshot = log.snapshot(&pair.reader).await.unwrap();
    snapshot.unread.sort();
    snapshot.marks.sort();
    snapshot
}

async fn a_copy_is_the_first_then_a_repeated_one(log: &Log) {
    log.ping().await.unwrap();
    let pair = Pair::fresh();
    let message = pair.message(1, 10);
    for copy in [First, Repeated, Repeated] {
        let recorded = log.record_one(message.clone().into()).await.unwrap();
        assert_eq!((recorded.copy, recorded.change), (copy, Some(pair.arrived(1, 10))));
    }
    assert_eq!(log.state(person(1)).await, Some(0));
    assert_eq!(sorted_snapshot(&**log, &pair).await, pair.snapshot([(1, 10)], None));
}

async fn a_copy_that_differs_is_told_and_the_first_stays(log: &Log) {
    let pair = Pair::fresh();
    log.record_one(pair.message(1, 10).into()).await.unwrap();
    let nick = Details { from_nick: Some("other".into()), ..pair.message(1, 10).details };
    let others = [
        pair.message(1, 99),
        Message { details: nick, ..pair.message(1, 10) },
        Message { details: Details::default(), ..pair.message(1, 10) },
        Message { withheld: true, ..pair.message(1, 10) },
        Message { msg_type: "PICTURE".into(), ..pair.message(1, 10) },
    ];
    for other in others {
        let recorded = log.record_one(other.clone().into()).await.unwrap();
        assert_eq!((recorded.copy, recorded.change), (Conflicting, Some(pair.arrived(1, 10))));
    }
    assert_eq!(log.record_one(pair.message(1, 10).into()).await.unwrap().copy, Repeated, "untouched");
    assert_eq!(sorted_snapshot(&**log, &pair).await, pair.snapshot([(1, 10)], None));
}

async fn a_conflicting_copy_is_told_with_the_mark_of_the_pair_that_stays(log: &Log) {
    let pair = Pair::fresh();
    let other = pair.with_another();
    log.record_one(pair.message(1, 10).into()).await.unwrap();
    log.record_one(other.receipt(50).into()).await.unwrap();
    let recorded = log.record_one(other.message(1, 10).into()).await.unwrap();
    assert_eq!((recorded.copy, recorded.change), (Conflicting, Some(pair.arrived(1, 10))));
    log.record_one(pair.receipt(7).into()).await.unwrap();
    let recorded = log.record_one(other.message(1, 10).into()).await.unwrap();
    assert_eq!(recorded.change, Some(pair.arrived_with_mark(1, 10, 7)));
    assert_eq!(log.state(person(1)).await, Some(0));
}

async fn a_person_and_a_notice_may_have_the_same_number(log: &Log) {
    let pair = Pair::fresh();
    let notice = MessageKey { conv_type: ConvType::CustomPerson, server_id: id(1) };
    let as_notice = Message { key: notice, ..pair.message(1, 10) };
    assert_eq!(log.record_one(as_notice.clone().into()).await.unwrap().copy, First);
    assert_eq!(log.record_one(pair.message(1, 10).into()).await.unwrap().copy, First);
    log.record_one(Recall { key: notice, ..pair.recall(1) }.into()).await.unwrap();
    assert_eq!(sorted_snapshot(&**log, &pair).await, pair.snapshot([(1, 10)], None));
}

async fn two_senders_may_have_the_same_client_id(log: &Log) {
    let pair = Pair::fresh();
    let other = pair.with_another();
    let details = Details { msgid_client: Some("c-1".into()), ..Details::default() };
    for (pair, number) in [(&pair, 1), (&other, 2)] {
        let message = Message { details: details.clone(), ..pair.message(number, 10) };
        assert_eq!(log.record_one(message.clone().into()).await.unwrap().copy, First);
    }
    assert_eq!(log.snapshot(&pair.reader).await.unwrap().unread.len(), 2);
}

async fn a_message_under_the_mark_is_read_when_it_comes(log: &Log) {
    let pair = Pair::fresh();
    log.record_one(pair.receipt(20).into()).await.unwrap();
    for (number, at, state) in [(1, 19, 1), (2, 20, 1), (3, 21, 0)] {
        let recorded = log.record_one(pair.message(number, at).into()).await.unwrap();
        assert_eq!(recorded.change, Some(pair.arrived_with_mark(number, at, 20)));
        assert_eq!(log.state(person(number)).await, Some(state));
    }
    assert_eq!(sorted_snapshot(&**log, &pair).await, pair.snapshot([(3, 21)], Some(20)));
}

async fn a_receipt_reads_up_to_and_at_its_time(log: &Log) {
    let pair = Pair::fresh();
    for (number, at) in [(1, 10), (2, 20), (3, 20), (4, 21)] {
        log.record_one(pair.message(number, at).into()).await.unwrap();
    }
    for _ in 0..2 {
        log.record_one(pair.receipt(20).into()).await.unwrap();
        for (number, state) in [(1, 1), (2, 1), (3, 1), (4, 0)] {
            assert_eq!(log.state(person(number)).await, Some(state), "message {number}");
        }
    }
    assert_eq!(sorted_snapshot(&**log, &pair).await, pair.snapshot([(4, 21)], Some(20)));
}

async fn an_older_receipt_never_lowers_the_mark(log: &Log) {
    let pair = Pair::fresh();
    log.record_one(pair.receipt(20).into()).await.unwrap();
    log.record_one(pair.receipt(10).into()).await.unwrap();
    log.record_one(pair.message(1, 15).into()).await.unwrap();
    assert_eq!(log.state(person(1)).await, Some(1));
    assert_eq!(sorted_snapshot(&**log, &pair).await, pair.snapshot([], Some(20)));
}

async fn a_receipt_leaves_other_pairs(log: &Log) {
    let pair = Pair::fresh();
    let (other, turned) = (pair.with_another(), pair.turned());
    for (number, pair) in [(1, &pair), (2, &other), (3, &turned)] {
        log.record_one(pair.message(number, 10).into()).await.unwrap();
    }
    log.record_one(pair.receipt(10).into()).await.unwrap();
    let states = [log.state(person(1)).await, log.state(person(2)).await, log.state(person(3)).await];
    assert_eq!(states, [Some(1), Some(0), Some(0)]);
    assert_eq!(sorted_snapshot(&**log, &turned).await, turned.snapshot([(3, 10)], None));
}

async fn what_does_not_count_is_kept_but_not_unread(log: &Log) {
    let pair = Pair::fresh();
    let kinds = [ConvType::Team, ConvType::SuperTeam, ConvType::CustomPerson, ConvType::CustomTeam];
    let mut messages: Vec<Message> = kinds
        .map(|conv_type| Message { key: MessageKey { conv_type, server_id: id(1) }, ..pair.message(1, 10) })
        .into();
    messages.push(Message { withheld: true, ..pair.message(2, 10) });
    messages.push(Message { from: pair.reader.clone(), ..pair.message(3, 10) });
    for message in &messages {
        for copy in [First, Repeated] {
            let recorded = log.record_one(message.clone().into()).await.unwrap();
            // A further copy of a withheld one may be the first that says so.
            let told = (copy == Repeated && message.withheld).then(|| pair.recalled(2));
            assert_eq!((recorded.copy, recorded.change), (copy, told), "{}", message.key);
        }
        assert_eq!(log.state(message.key).await, Some(0));
    }
    assert_eq!(log.snapshot(&pair.reader).await.unwrap(), Snapshot::default());
}

async fn a_recalled_message_counts_no_more(log: &Log) {
    let pair = Pair::fresh();
    log.record_one(pair.message(1, 10).into()).await.unwrap();
    log.record_one(pair.message(2, 10).into()).await.unwrap();
    for _ in 0..2 {
        log.record_one(pair.recall(1).into()).await.unwrap();
        assert_eq!(
            sorted_snapshot(&**log, &pair).await,
            with_recalled(pair.snapshot([(2, 10)], None), &pair, &[1])
        );
    }
    let recorded = log.record_one(pair.message(1, 10).into()).await.unwrap();
    assert_eq!((recorded.copy, recorded.change), (Repeated, Some(pair.recalled(1))), "a view is told again");
    assert_eq!(
        sorted_snapshot(&**log, &pair).await,
        with_recalled(pair.snapshot([(2, 10)], None), &pair, &[1])
    );
}

async fn a_message_that_was_recalled_before_it_came_never_counts(log: &Log) {
    let pair = Pair::fresh();
    for _ in 0..2 {
        log.record_one(pair.recall(1).into()).await.unwrap();
    }
    assert_eq!(log.snapshot(&pair.reader).await.unwrap(), Snapshot::default());
    for copy in [First, Repeated] {
        let recorded = log.record_one(pair.message(1, 10).into()).await.unwrap();
        assert_eq!((recorded.copy, recorded.change), (copy, Some(pair.recalled(1))));
    }
    assert_eq!(log.record_one(pair.message(1, 11).into()).await.unwrap().copy, Conflicting);
    assert_eq!(log.snapshot(&pair.reader).await.unwrap(), with_recalled(Snapshot::default(), &pair, &[1]));
}

async fn a_recall_of_a_read_message_changes_no_count(log: &Log) {
    let pair = Pair::fresh();
    log.record_one(pair.message(1, 10).into()).await.unwrap();
    log.record_one(pair.message(2, 20).into()).await.unwrap();
    log.record_one(pair.receipt(10).into()).await.unwrap();
    log.record_one(pair.recall(1).into()).await.unwrap();
    assert_eq!(
        sorted_snapshot(&**log, &pair).await,
        with_recalled(pair.snapshot([(2, 20)], Some(10)), &pair, &[1])
    );
}

async fn a_snapshot_tells_of_the_recalls_of_the_last_hour_alone(log: &Log) {
    const MINUTE: i64 = 60_000;
    let pair = Pair::fresh();
    let now = System.now();
    for (number, minutes_ago) in [(1, 120), (2, 61), (3, 59)] {
        log.record_one(pair.message(number, 10).into()).await.unwrap();
        log.record_one(pair.recall(number).into()).await.unwrap();
        log.set_recalled_at(person(number), now.plus(-minutes_ago * MINUTE)).await;
    }
    assert_eq!(sorted_snapshot(&**log, &pair).await, with_recalled(Snapshot::default(), &pair, &[3]));
    let recorded = log.record_one(pair.message(1, 10).into()).await.unwrap();
    assert_eq!(recorded.change, Some(pair.recalled(1)), "the log itself forgets none");
}

async fn how_far_a_pair_goes_is_known(log: &Log) {
    let pair = Pair::fresh();
    let other = pair.with_another();
    let reach_to = async |up_to| {
        let reach = log.reach(&pair.reader, &pair.peer, up_to).await.unwrap();
        let end = reach.unread.as_ref().map(|newest| newest.at).max(reach.mark);
        assert_eq!(reach.end(), end);
        let Reach { unread, mark } = reach;
        (unread.map(|newest| newest.at.0), mark.map(|at| at.0))
    };
    let reach = async || reach_to(Millis::END).await;
    assert_eq!(reach().await, (None, None), "nobody has written");
    for (pair, number, at) in [(&pair, 1, 10), (&pair, 2, 30), (&pair, 3, 20), (&other, 4, 90)] {
        log.record_one(pair.message(number, at).into()).await.unwrap();
    }
    log.record_one(Message { withheld: true, ..pair.message(5, 80) }.into()).await.unwrap();
    assert_eq!(reach().await, (Some(30), None));
    assert_eq!([reach_to(Millis(29)).await, reach_to(Millis(20)).await], [(Some(20), None); 2]);
    assert_eq!(reach_to(Millis(9)).await, (None, None), "older than all");
    let newest = log.reach(&pair.reader, &pair.peer, Millis::END).await.unwrap().unread.unwrap();
    let said = pair.message(2, 30);
    assert_eq!((newest.id, newest.client_id), (said.key.server_id, said.details.msgid_client));
    log.record_one(pair.recall(2).into()).await.unwrap();
    assert_eq!(reach().await, (Some(20), None));
    log.record_one(pair.receipt(10).into()).await.unwrap();
    assert_eq!(reach().await, (Some(20), Some(10)));
    log.record_one(pair.receipt(25).into()).await.unwrap();
    assert_eq!(reach().await, (None, Some(25)), "all is read");
}

async fn a_snapshot_holds_one_reader_whole(log: &Log) {
    let pair = Pair::fresh();
    let (other, silent, stranger) = (pair.with_another(), pair.with_another(), Pair::fresh());
    assert_eq!(log.snapshot(&pair.reader).await.unwrap(), Snapshot::default(), "nobody has heard of them");
    for (pair, number, at) in [(&pair, 1, 10), (&pair, i64::MAX, 30), (&other, 2, 10), (&stranger, 3, 10)] {
        log.record_one(pair.message(number, at).into()).await.unwrap();
    }
    for receipt in [pair.receipt(10), silent.receipt(99), stranger.receipt(5)] {
        log.record_one(receipt.clone().into()).await.unwrap();
    }
    let mut expected = pair.snapshot([(i64::MAX, 30)], Some(10));
    expected.unread.extend(other.snapshot([(2, 10)], None).unread);
    expected.marks.push((silent.peer.clone(), Millis(99)));
    expected.unread.sort();
    expected.marks.sort();
    assert_eq!(sorted_snapshot(&**log, &pair).await, expected);
}

/// A repeated copy is one that equals what the log has kept, in every field.
async fn text_comes_back_as_it_came(log: &Log) {
    let pair = Pair::fresh();
    let texts = ["", " ", "👩‍👩‍👧‍👦 𝕏 张三", "a\0b\0", "'; DROP TABLE messages; -- $where", &"长🙂".repeat(30_000)];
    for (number, text) in (i64::MAX - 5..=i64::MAX).zip(texts) {
        let some = || Some(text.to_owned());
        let details = Details {
            origin: Origin::Copy,
            from_client_type: some(),
            from_device_id: some(),
            from_nick: some(),
            body: some(),
            attach: some(),
            msgid_client: some(),
            resend_flag: some(),
            ..Details::default()
        };
        let message = Message { details, msg_type: text.into(), ..pair.message(number, 10) };
        assert_eq!(log.record_one(message.clone().into()).await.unwrap().copy, First);
        assert_eq!(log.record_one(message.clone().into()).await.unwrap().copy, Repeated);
        let other = Details { body: Some(format!("{text}.")), ..message.details.clone() };
        let other = Message { details: other, ..message };
        assert_eq!(log.record_one(other.clone().into()).await.unwrap().copy, Conflicting);
    }
    assert_eq!(log.snapshot(&pair.reader).await.unwrap().unread.len(), 6);
    let bare = Message { details: Details::default(), to: fresh_accid(), ..pair.message(1, 10) };
    assert_eq!(log.record_one(bare.clone().into()).await.unwrap().copy, First);
    assert_eq!(log.record_one(bare.clone().into()).await.unwrap().copy, Repeated);
    let change = log.record_one(bare.clone().into()).await.unwrap().change.unwrap();
    assert_eq!(change, Change::arrived(bare.unread().unwrap(), None));
}

async fn a_dead_letter_is_kept_whole_and_once(log: &Log) {
    assert_eq!(log.letters.count().await.unwrap(), 0);
    let raw = format!("{{\"body\": \"🙂\0{}", "长".repeat(300_000));
    let letter = DeadLetter { id: "a1".into(), received_at: NOW, reason: "first".into(), raw: raw.clone() };
    let again = DeadLetter { received_at: NOW.plus(1), reason: "second".into(), ..letter.clone() };
    for letter in [&letter, &again, &letter] {
        log.letters.keep_all(from_ref(letter)).await.unwrap();
    }
    assert_eq!(log.dead_letters().await, [("first".to_owned(), raw)]);
    let other = DeadLetter { id: "b2".into(), ..letter };
    let kept = futures_util::future::join_all((0..20).map(|_| log.letters.keep_all(from_ref(&other)))).await;
    assert!(kept.iter().all(Result::is_ok), "{kept:?}");
    assert_eq!(log.letters.count().await.unwrap(), 2);
}

async fn dead_letters_are_kept_together_and_forgotten_when_old(log: &Log) {
    let before = log.letters.count().await.unwrap();
    let letter = |n: i64| DeadLetter {
        id: format!("letter-{n:03}"),
        received_at: Millis(1_000 + n),
        reason: "odd".into(),
        raw: format!("[{n}]"),
    };
    let many: Vec<DeadLetter> = (0..101).map(letter).collect();
    // Some are there already, and one is named twice.
    log.letters.keep_all(&many[..10]).await.unwrap();
    log.letters.keep_all(&[&*many, &many[..1]].concat()).await.unwrap();
    log.letters.keep_all(&[]).await.unwrap();
    assert_eq!(log.letters.count().await.unwrap(), before + 101);
    assert_eq!(log.letters.find("letter-100").await.unwrap(), Some(letter(100)));

    assert_eq!(log.letters.forget(Millis(1_000), 50).await.unwrap(), 0, "none came before that");
    assert_eq!(log.letters.forget(Millis(1_090), 50).await.unwrap(), 50);
    assert_eq!(log.letters.forget(Millis(1_090), 50).await.unwrap(), 40);
    assert_eq!(log.letters.forget(Millis(1_090), 50).await.unwrap(), 0);
    assert_eq!(log.letters.count().await.unwrap(), before + 11);
}
