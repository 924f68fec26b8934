//! Reads that NetEase is owed to be told of: of a pair one waits, the newest, and never before a notice.

use otc_im::domain::ids::{Millis, ServerId};
use otc_im::domain::message::MessageRef;
use otc_im::domain::outbox::{Settled, State};
use otc_im::ports::outbox::{Backlog, Claimed, Work};

use super::deliveries::{accept, at, claim, ids, lease, notice, recipients, sent, troubled, user};
use super::facts::NOW;
use crate::support::outboxes::{self, Outboxes};

on_each! {
    [
        of_a_pair_the_newest_alone_waits,
        what_is_held_goes_out_and_a_newer_one_after_it,
        one_that_is_done_or_given_up_leaves_nothing,
        one_that_is_postponed_comes_again_unless_a_newer_one_waits,
        reads_get_what_notices_leave_and_a_quarter_at_most,
        reads_are_no_part_of_what_notices_wait_behind,
        one_whose_holder_is_dead_comes_again,
        of_many_who_owe_at_once_the_newest_is_kept,
        an_odd_id_of_a_client_is_left_out,
    ]
    each sqlite: outboxes::sqlite().await;
    each mysql: outboxes::mysql().await;
}

fn message(number: i64) -> MessageRef {
    let client_id = Some(format!("客户端-{number}"));
    MessageRef { at: Millis(number), id: ServerId::new(number).unwrap(), client_id }
}

async fn owe(store: &Outboxes, peer: &str, number: i64) {
    store.owe_read(&user("alice"), &user(peer), &message(number), NOW).await.unwrap();
}

fn told(claimed: &[Claimed]) -> Vec<(&str, i64)> {
    let read = |claimed: &Claimed| match &claimed.work {
        Work::Read(entry, newest) => Some((entry.to.as_str().to_owned(), newest.id.get())),
        _ => None,
    };
    let of = |claimed: &Claimed| read(claimed).map(|(_, number)| number);
    claimed.iter().filter_map(|it| Some((recipients(std::slice::from_ref(it))[0], of(it)?))).collect()
}

async fn settle(store: &Outboxes, token: &str, claimed: &[Claimed], settled: &Settled) {
    for entry in ids(claimed) {
        store.settle_read(&lease(token, NOW), entry, settled).await.unwrap();
    }
}

async fn reads(store: &Outboxes) -> u64 {
    store.backlog().await.unwrap().reads
}

async fn of_a_pair_the_newest_alone_waits(store: &Outboxes) {
    for (peer, number) in [("bob", 5), ("bob", 7), ("bob", 6), ("bob", 7), ("carol", 3)] {
        owe(store, peer, number).await;
    }
    store.owe_read(&user("bob"), &user("alice"), &message(9), NOW).await.unwrap();
    assert_eq!(reads(store).await, 3);
    let claimed = claim(&**store, "a", NOW).await;
    assert_eq!(told(&claimed), [("bob", 7), ("carol", 3), ("alice", 9)]);
    let Work::Read(entry, newest) = &claimed[0].work else { panic!("{claimed:?}") };
    assert_eq!((newest, entry.attempts, claimed[0].from.as_str()), (&message(7), 0, "alice"));
    assert_eq!(claimed[0].notification, None);
}

async fn what_is_held_goes_out_and_a_newer_one_after_it(store: &Outboxes) {
    owe(store, "bob", 5).await;
    let first = claim(&**store, "a", NOW).await;
    owe(store, "bob", 4).await;
    assert_eq!(reads(store).await, 1, "nothing new");
    owe(store, "bob", 6).await;
    owe(store, "bob", 7).await;
    assert_eq!(claim(&*store.other, "b", NOW).await, [], "one after another");
    settle(store, "a", &first, &sent()).await;
    let second = claim(&*store.other, "b", NOW).await;
    assert_eq!((told(&first), told(&second)), (vec![("bob", 5)], vec![("bob", 7)]));
}

async fn one_that_is_done_or_given_up_leaves_nothing(store: &Outboxes) {
    for state in [State::Sent, State::Failed] {
        owe(store, "bob", 5).await;
        let held = claim(&**store, "a", NOW).await;
        assert_eq!(told(&held), [("bob", 5)]);
        settle(store, "b", &held, &sent()).await;
        assert_eq!(reads(store).await, 1, "not by somebody else");
        settle(store, "a", &held, &Settled { state, ..sent() }).await;
        assert_eq!(reads(store).await, 0);
        assert_eq!(store.forget(at(1_000), 10).await.unwrap(), 0);
    }
}

async fn one_that_is_postponed_comes_again_unless_a_newer_one_waits(store: &Outboxes) {
    owe(store, "bob", 5).await;
    let held = claim(&**store, "a", NOW).await;
    settle(store, "a", &held, &troubled(at(10))).await;
    assert_eq!(claim(&**store, "a", at(9)).await, []);
    let again = claim(&**store, "b", at(10)).await;
    assert_eq!((told(&again), ids(&again)), (vec![("bob", 5)], ids(&held)));
    assert_eq!(again[0].work.entries()[0].attempts, 1);
    owe(store, "bob", 6).await;
    settle(store, "b", &again, &troubled(at(20))).await;
    assert_eq!(reads(store).await, 1);
    let newer = claim(&**store, "a", at(11)).await;
    assert_eq!((told(&newer), newer[0].work.entries()[0].attempts), (vec![("bob", 6)], 0));
    // A newer one takes the place of one that was postponed, with all attempts before it.
    settle(store, "a", &newer, &troubled(at(90))).await;
    owe(store, "bob", 8).await;
    let newest = claim(&**store, "a", at(12)).await;
    assert_eq!((told(&newest), newest[0].work.entries()[0].attempts), (vec![("bob", 8)], 0));
}

async fn reads_get_what_notices_leave_and_a_quarter_at_most(store: &Outboxes) {
    let peers: Vec<String> = (0..12).map(|n| format!("peer{n}")).collect();
    for peer in &peers {
        owe(store, peer, 1).await;
    }
    for _ in 0..7 {
        accept(&**store, &notice(&[&crate::support::fresh_name()])).await;
    }
    let first = store.claim(&lease("a", NOW), NOW, 4).await.unwrap();
    assert_eq!((first.len(), told(&first).len()), (4, 0), "they were owed first, and wait");
    let second = store.claim(&lease("a", NOW), NOW, 4).await.unwrap();
    assert_eq!((second.len(), told(&second).len()), (4, 1), "three notices left a place");
    let third = store.claim(&lease("a", NOW), NOW, 8).await.unwrap();
    assert_eq!((third.len(), told(&third).len()), (2, 2), "whatever comes next finds hands");
}

async fn reads_are_no_part_of_what_notices_wait_behind(store: &Outboxes) {
    owe(store, "bob", 1).await;
    assert_eq!(store.backlog().await.unwrap(), Backlog { queued: 0, oldest_at: None, reads: 1 });
    accept(&**store, &notice(&["bob"])).await;
    assert_eq!(store.backlog().await.unwrap(), Backlog { queued: 1, oldest_at: Some(NOW), reads: 1 });
    let claimed = claim(&**store, "a", NOW).await;
    assert_eq!(recipients(&claimed), ["bob", "bob"], "no lane is shared");
}

async fn one_whose_holder_is_dead_comes_again(store: &Outboxes) {
    owe(store, "bob", 1).await;
    let held = claim(&**store, "a", NOW).await;
    let later = lease("a", NOW).until;
    assert_eq!(told(&claim(&*store.other, "b", later).await), [("bob", 1)]);
    // Nor does one stay for ever that was begun.
    assert!(store.begin(&lease("b", later), &ids(&held)).await.unwrap());
    let latest = lease("b", later).until;
    assert_eq!(store.reclaim_expired(latest, "its holder died").await.unwrap(), 1);
    assert_eq!(told(&claim(&**store, "a", latest).await), [("bob", 1)]);
}

async fn of_many_who_owe_at_once_the_newest_is_kept(store: &Outboxes) {
    let (alice, bob) = (user("alice"), user("bob"));
    for round in 0..5_i64 {
        let (alice, bob) = (&alice, &bob);
        let owe = |n: i64| async move {
            let instance = store.of(usize::try_from(n).unwrap());
            instance.owe_read(alice, bob, &message(round * 10 + n), NOW).await
        };
        let all = futures_util::future::join_all((1..=8).map(owe)).await;
        assert!(all.iter().all(Result::is_ok), "{all:?}");
        assert_eq!(reads(store).await, 1);
        let claimed = claim(&**store, "a", NOW).await;
        assert_eq!(told(&claimed), [("bob", round * 10 + 8)]);
        settle(store, "a", &claimed, &sent()).await;
    }
}

async fn an_odd_id_of_a_client_is_left_out(store: &Outboxes) {
    for (length, kept) in [(128, true), (129, false)] {
        let newest = MessageRef { client_id: Some("文".repeat(length)), ..message(1) };
        store.owe_read(&user("alice"), &user("bob"), &newest, NOW).await.unwrap();
        let claimed = claim(&**store, "a", NOW).await;
        let Work::Read(_, stored) = &claimed[0].work else { panic!("{claimed:?}") };
        assert_eq!(stored.client_id.is_some(), kept);
        settle(store, "a", &claimed, &sent()).await;
    }
}
