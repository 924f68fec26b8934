//! A recipient gets notices one after another, in the order in which they were accepted.

use otc_im::domain::ids::{LetterCase, UserId};
use otc_im::domain::outbox::{Settled, State};
use otc_im::ports::outbox::NewNotification;

use super::deliveries::{
    accept, at, batch, claim, ids, lease, notice, recipients, sent, settle, troubled, user,
};
use super::facts::NOW;
use crate::support::outboxes::{self, Outboxes};

on_each! {
    [
        the_second_waits_until_the_first_is_settled,
        whatever_came_of_the_first_the_second_follows,
        the_second_waits_for_one_that_is_not_due,
        the_second_waits_for_one_whose_holder_is_dead,
        a_single_and_a_batch_to_one_recipient_keep_their_order,
        user_ids_of_one_account_share_a_lane,
        a_friendship_holds_no_notice_back,
        one_that_is_seen_late_waits_for_what_is_being_done,
    ]
    each sqlite: outboxes::sqlite().await;
    each mysql: outboxes::mysql().await;
}

/// Two notices to `alice`, and one to `bob` between them.
async fn two_to_alice(store: &Outboxes) {
    for to in ["alice", "bob", "alice"] {
        accept(&**store, &notice(&[to])).await;
    }
}

async fn the_second_waits_until_the_first_is_settled(store: &Outboxes) {
    two_to_alice(store).await;
    let first = claim(&**store, "a", NOW).await;
    assert_eq!(recipients(&first), ["alice", "bob"]);
    assert_eq!(claim(&*store.other, "b", NOW).await, [], "the first is held");
    assert!(store.begin(&lease("a", NOW), &ids(&first)).await.unwrap());
    assert_eq!(claim(&*store.other, "b", NOW).await, [], "the first is being sent");
    settle(&**store, "a", &first[..1], &sent()).await;
    let second = claim(&*store.other, "b", NOW).await;
    assert_eq!(recipients(&second), ["alice"]);
    assert!(ids(&second) > ids(&first));
}

async fn whatever_came_of_the_first_the_second_follows(store: &Outboxes) {
    for state in [State::Failed, State::Unknown] {
        two_to_alice(store).await;
        let first = claim(&**store, "a", NOW).await;
        settle(&**store, "a", &first, &Settled { state, ..sent() }).await;
        let second = claim(&**store, "b", NOW).await;
        assert_eq!(recipients(&second), ["alice"]);
        settle(&**store, "b", &second, &sent()).await;
    }
}

async fn the_second_waits_for_one_that_is_not_due(store: &Outboxes) {
    two_to_alice(store).await;
    let first = claim(&**store, "a", NOW).await;
    settle(&**store, "a", &first, &troubled(at(10))).await;
    assert_eq!(claim(&**store, "b", at(9)).await, []);
    let again = claim(&**store, "b", at(10)).await;
    assert_eq!(ids(&again), ids(&first));
}

async fn the_second_waits_for_one_whose_holder_is_dead(store: &Outboxes) {
    two_to_alice(store).await;
    let first = claim(&**store, "a", NOW).await;
    assert!(store.begin(&lease("a", NOW), &ids(&first)).await.unwrap());
    let later = lease("a", NOW).until;
    assert_eq!(claim(&**store, "b", later).await, [], "begun, so it is not known what came of it");
    assert_eq!(store.reclaim_expired(later, "its holder died").await.unwrap(), 2);
    assert_eq!(recipients(&claim(&**store, "b", later).await), ["alice"]);
}

async fn a_single_and_a_batch_to_one_recipient_keep_their_order(store: &Outboxes) {
    accept(&**store, &batch(&["alice", "bob"])).await;
    accept(&**store, &notice(&["alice"])).await;
    accept(&**store, &batch(&["alice", "bob"])).await;
    for expected in [vec!["alice", "bob"], vec!["alice", "bob"], vec!["alice"]] {
        let claimed = claim(&**store, "a", NOW).await;
        assert_eq!(recipients(&claimed), expected);
        assert_eq!(claim(&**store, "b", NOW).await, []);
        settle(&**store, "a", &claimed, &sent()).await;
    }
    assert_eq!(claim(&**store, "a", NOW).await, []);
}

async fn user_ids_of_one_account_share_a_lane(store: &Outboxes) {
    let folded = |id| UserId::parse(id, LetterCase::Fold).unwrap();
    let to = ["alice", "Alice", "alice "].map(folded).into();
    accept(&**store, &NewNotification { to, ..notice(&[]) }).await;
    assert_eq!(recipients(&claim(&**store, "a", NOW).await), ["alice", "alice "]);
}

async fn a_friendship_holds_no_notice_back(store: &Outboxes) {
    store.owe_friendship(&user("bob"), &user("alice"), NOW).await.unwrap();
    two_to_alice(store).await;
    assert_eq!(recipients(&claim(&**store, "a", NOW).await), ["alice", "alice", "bob"]);
}

async fn one_that_is_seen_late_waits_for_what_is_being_done(store: &Outboxes) {
    accept(&**store, &notice(&["alice", "bob"])).await;
    accept(&**store, &notice(&["alice"])).await;
    // Two who accept at once are numbered before they commit, and may be seen the other way round.
    store.run("UPDATE outbox SET state = 1").await;
    store.run("UPDATE outbox SET state = 0 WHERE id > 2").await;
    let later = claim(&**store, "a", NOW).await;
    assert_eq!(recipients(&later), ["alice"]);
    store.run("UPDATE outbox SET state = 0").await;
    assert_eq!(recipients(&claim(&**store, "b", NOW).await), ["bob"]);
    settle(&**store, "a", &later, &sent()).await;
    assert_eq!(recipients(&claim(&**store, "b", NOW).await), ["alice"]);
}
