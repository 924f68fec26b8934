//! An idempotency key makes a request that is repeated one request.

use futures_util::future::join_all;
use otc_im::ports::outbox::{Accepted, NewNotification};

use super::deliveries::{accept, at, claim, keyed, lease, notice, recipients, sent, settle};
use super::facts::NOW;
use crate::support::outboxes::{self, Outboxes};

on_each! {
    [
        the_same_request_is_repeated,
        a_request_that_the_release_before_stored_is_repeated,
        another_request_finds_the_key_taken,
        keys_of_others_have_nothing_to_do_with_it,
        keys_are_told_apart_to_the_last_byte,
        an_old_key_is_forgotten,
        without_a_key_nothing_is_repeated,
        of_fifty_accepts_at_once_one_is_new,
        of_many_that_find_an_old_key_one_is_new,
        a_forgotten_notification_frees_its_key,
    ]
    each sqlite: outboxes::sqlite().await;
    each mysql: outboxes::mysql().await;
}

fn asked(body: &str) -> NewNotification {
    keyed(notice(&["alice"]), "site", "order-1", body)
}

async fn the_same_request_is_repeated(store: &Outboxes) {
    let first = asked("1");
    accept(&**store, &first).await;
    for lease in [None, Some(&lease("a", NOW))] {
        let again = store.other.accept(&asked("1"), lease).await.unwrap();
        assert_eq!(again, Accepted::Repeated(first.id.clone()));
    }
    assert_eq!(store.backlog().await.unwrap().queued, 1);
    assert_eq!(recipients(&claim(&**store, "a", NOW).await), ["alice"]);
}

async fn a_request_that_the_release_before_stored_is_repeated(store: &Outboxes) {
    let stored = asked("1");
    accept(&**store, &stored).await;
    let formerly = |body: &str, former: &str| {
        let mut new = asked(body);
        let former = asked(former).key.unwrap().fingerprint;
        new.key.as_mut().unwrap().former_fingerprint = Some(former);
        new
    };
    assert_eq!(store.accept(&formerly("2", "1"), None).await.unwrap(), Accepted::Repeated(stored.id));
    assert_eq!(store.accept(&formerly("2", "3"), None).await.unwrap(), Accepted::KeyTaken);
}

async fn another_request_finds_the_key_taken(store: &Outboxes) {
    let (first, second) = (asked("1"), asked("2"));
    accept(&**store, &first).await;
    assert_eq!(store.accept(&second, None).await.unwrap(), Accepted::KeyTaken);
    assert_eq!(store.status(&second.id).await.unwrap(), None);
    assert_eq!(store.backlog().await.unwrap().queued, 1);
}

async fn keys_of_others_have_nothing_to_do_with_it(store: &Outboxes) {
    accept(&**store, &asked("1")).await;
    accept(&**store, &keyed(notice(&["alice"]), "desk", "order-1", "1")).await;
    accept(&**store, &keyed(notice(&["alice"]), "site", "order-2", "1")).await;
}

async fn keys_are_told_apart_to_the_last_byte(store: &Outboxes) {
    let longest = "🙂".repeat(128);
    for caller in ["site", "Site", "site ", "é", "e\u{301}", &longest] {
        for key in ["k", "K", "k ", " k", &"k".repeat(255)] {
            accept(&**store, &keyed(notice(&["alice"]), caller, key, "1")).await;
        }
    }
}

async fn an_old_key_is_forgotten(store: &Outboxes) {
    let first = asked("1");
    accept(&**store, &first).await;
    let at =
        |ms, body: &str| keyed(NewNotification { at: at(ms), ..notice(&["alice"]) }, "site", "order-1", body);
    let repeated = Accepted::Repeated(first.id.clone());
    assert_eq!(store.accept(&at(1_000, "1"), None).await.unwrap(), repeated, "as old as it may be");
    let second = at(1_001, "2");
    accept(&**store, &second).await;
    assert_eq!(store.accept(&at(1_001, "2"), None).await.unwrap(), Accepted::Repeated(second.id));
    assert_eq!(store.accept(&at(1_001, "1"), None).await.unwrap(), Accepted::KeyTaken);
    assert!(store.status(&first.id).await.unwrap().is_some(), "only its key is gone");
}

async fn without_a_key_nothing_is_repeated(store: &Outboxes) {
    for _ in 0..3 {
        accept(&**store, &notice(&["alice"])).await;
    }
    assert_eq!(store.backlog().await.unwrap().queued, 3);
}

/// Accepts all at once, by two instances in turn, half of them with a lease; exactly one must be new.
async fn one_of(store: &Outboxes, asked: &[NewNotification]) {
    let lease = lease("a", NOW);
    let accepts = asked.iter().enumerate().map(|(turn, new)| {
        let (instance, lease) = (store.of(turn), (turn % 4 < 2).then_some(&lease));
        async move { (new.id.clone(), instance.accept(new, lease).await.unwrap()) }
    });
    let (new, others): (Vec<_>, Vec<_>) =
        join_all(accepts).await.into_iter().partition(|(_, outcome)| matches!(outcome, Accepted::New(_)));
    assert_eq!(new.len(), 1);
    for (_, other) in others {
        assert_eq!(other, Accepted::Repeated(new[0].0.clone()));
    }
}

async fn of_fifty_accepts_at_once_one_is_new(store: &Outboxes) {
    let asked: Vec<_> = (0..50).map(|_| asked("1")).collect();
    one_of(store, &asked).await;
    assert_eq!(store.backlog().await.unwrap().queued, 1);
}

async fn of_many_that_find_an_old_key_one_is_new(store: &Outboxes) {
    for round in 0..5 {
        let young = NewNotification { at: at(2_000 * round), ..notice(&["alice"]) };
        let again =
            |_| keyed(NewNotification { id: notice(&[]).id, ..young.clone() }, "site", "order-1", "1");
        let asked: Vec<_> = (0..20).map(again).collect();
        one_of(store, &asked).await;
        assert_eq!(store.backlog().await.unwrap().queued, u64::try_from(round).unwrap() + 1);
    }
}

async fn a_forgotten_notification_frees_its_key(store: &Outboxes) {
    accept(&**store, &asked("1")).await;
    let claimed = claim(&**store, "a", NOW).await;
    settle(&**store, "a", &claimed, &sent()).await;
    assert_eq!(store.forget(at(1), 1).await.unwrap(), 1);
    accept(&**store, &asked("2")).await;
}
