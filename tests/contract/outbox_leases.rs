//! A lease is a hold: nobody else gets what it holds while it lasts, and it counts for nothing once it is lost.

use otc_im::domain::outbox::{Settled, State};
use otc_im::ports::StoreError;
use otc_im::ports::outbox::Lease;

use super::deliveries::{
    LEASE_MS, accept, at, batch, claim, deliveries, ids, lease, notice, recipients, resendable, sent, settle,
    states, troubled, user,
};
use super::facts::NOW;
use crate::support::outboxes::{self, Outboxes};

on_each! {
    [
        an_expired_lease_can_be_claimed_anew,
        an_old_holder_has_no_say,
        beginning_is_all_or_nothing,
        beginning_prolongs,
        settling_lets_go,
        the_dead_leave_what_they_had_begun,
        what_the_dead_had_not_begun_is_simply_claimed,
        a_friendship_of_the_dead_is_owed_still,
        what_cannot_be_seen_is_let_go_of_and_never_given_up,
        one_row_that_was_never_written_is_given_up_alone,
        what_was_taken_and_could_not_be_read_back_waits_for_no_lease,
    ]
    each sqlite: outboxes::sqlite().await;
    each mysql: outboxes::mysql().await;
}

async fn an_expired_lease_can_be_claimed_anew(store: &Outboxes) {
    accept(&**store, &batch(&["a", "b"])).await;
    accept(&**store, &notice(&["c"])).await;
    let claimed = claim(&**store, "a", NOW).await;
    assert_eq!(recipients(&claimed), ["c", "a", "b"]);
    assert_eq!(claim(&*store.other, "b", at(LEASE_MS - 1)).await, []);
    assert_eq!(claim(&*store.other, "b", at(LEASE_MS)).await, claimed);
}

async fn an_old_holder_has_no_say(store: &Outboxes) {
    let new = notice(&["alice"]);
    accept(&**store, &new).await;
    let claimed = claim(&**store, "a", NOW).await;
    let later = at(LEASE_MS);
    assert_eq!(claim(&*store.other, "b", later).await, claimed);
    let before = deliveries(&**store, &new).await;
    assert!(!store.begin(&lease("a", later), &ids(&claimed)).await.unwrap());
    settle(&**store, "a", &claimed, &Settled { state: State::Failed, ..sent() }).await;
    assert_eq!(deliveries(&**store, &new).await, before);
    assert!(store.begin(&lease("b", later), &ids(&claimed)).await.unwrap());
    settle(&**store, "b", &claimed, &sent()).await;
    assert_eq!(states(&**store, &new).await, [State::Sent]);
    for token in ["a", "b"] {
        assert!(!store.begin(&lease(token, later), &ids(&claimed)).await.unwrap());
        settle(&**store, token, &claimed, &troubled(NOW)).await;
        assert_eq!(states(&**store, &new).await, [State::Sent]);
    }
}

async fn beginning_is_all_or_nothing(store: &Outboxes) {
    accept(&**store, &notice(&["a", "b"])).await;
    let claimed = claim(&**store, "a", NOW).await;
    settle(&**store, "a", &claimed[1..], &troubled(NOW)).await;
    assert!(!store.begin(&lease("a", at(1_000)), &ids(&claimed)).await.unwrap());
    assert_eq!(store.reclaim_expired(at(LEASE_MS), "gone").await.unwrap(), 0, "nothing was begun");
    let free = claim(&**store, "b", at(LEASE_MS)).await;
    assert_eq!(recipients(&free), ["a", "b"], "nothing was prolonged");
}

async fn beginning_prolongs(store: &Outboxes) {
    accept(&**store, &notice(&["alice"])).await;
    let claimed = claim(&**store, "a", NOW).await;
    let longer = Lease { until: at(3 * LEASE_MS), ..lease("a", NOW) };
    for _ in 0..2 {
        assert!(store.begin(&longer, &ids(&claimed)).await.unwrap());
        assert_eq!(store.reclaim_expired(at(3 * LEASE_MS - 1), "gone").await.unwrap(), 0);
        assert_eq!(claim(&**store, "b", at(3 * LEASE_MS - 1)).await, []);
    }
    assert_eq!(store.reclaim_expired(longer.until, "gone").await.unwrap(), 1);
}

async fn settling_lets_go(store: &Outboxes) {
    accept(&**store, &notice(&["alice"])).await;
    for token in ["a", "b", "c"] {
        let claimed = claim(&**store, token, NOW).await;
        assert_eq!(recipients(&claimed), ["alice"]);
        assert!(store.begin(&lease(token, NOW), &ids(&claimed)).await.unwrap());
        settle(&**store, token, &claimed, &troubled(NOW)).await;
        assert_eq!(store.reclaim_expired(at(LEASE_MS), "gone").await.unwrap(), 0);
    }
}

async fn the_dead_leave_what_they_had_begun(store: &Outboxes) {
    let again = resendable(notice(&["a"]));
    let (once, untouched) = (notice(&["b"]), notice(&["c"]));
    for new in [&again, &once, &untouched] {
        accept(&**store, new).await;
    }
    let claimed = claim(&**store, "a", NOW).await;
    assert!(store.begin(&lease("a", NOW), &ids(&claimed[..2])).await.unwrap());
    assert_eq!(store.reclaim_expired(at(LEASE_MS - 1), "gone").await.unwrap(), 0);
    assert_eq!(store.reclaim_expired(at(LEASE_MS), &"🙂".repeat(501)).await.unwrap(), 2);
    let told = async |new| deliveries(&**store, new).await.remove(0);
    let (first, second, third) = (told(&again).await, told(&once).await, told(&untouched).await);
    assert_eq!((first.state, first.attempts), (State::Queued, 1));
    assert_eq!((second.state, second.attempts), (State::Unknown, 1));
    assert_eq!((third.state, third.attempts, third.last_error), (State::Queued, 0, None));
    for delivery in [first, second] {
        assert_eq!(delivery.last_error, Some("🙂".repeat(500)));
    }
    assert!(!store.begin(&lease("a", NOW), &ids(&claimed[..1])).await.unwrap());
    assert_eq!(store.reclaim_expired(at(LEASE_MS), "gone").await.unwrap(), 0);
    assert_eq!(recipients(&claim(&**store, "b", at(LEASE_MS)).await), ["a", "c"]);
}

async fn what_the_dead_had_not_begun_is_simply_claimed(store: &Outboxes) {
    let new = notice(&["alice"]);
    accept(&**store, &new).await;
    let claimed = claim(&**store, "a", NOW).await;
    assert_eq!(store.reclaim_expired(at(LEASE_MS), "gone").await.unwrap(), 0);
    assert!(store.begin(&lease("a", at(LEASE_MS)), &ids(&claimed)).await.unwrap(), "it still holds it");
}

async fn a_friendship_of_the_dead_is_owed_still(store: &Outboxes) {
    store.owe_friendship(&user("buyer"), &user("seller"), NOW).await.unwrap();
    let claimed = claim(&**store, "a", NOW).await;
    assert!(store.begin(&lease("a", NOW), &ids(&claimed)).await.unwrap());
    assert_eq!(store.reclaim_expired(at(LEASE_MS), "gone").await.unwrap(), 1);
    store.owe_friendship(&user("buyer"), &user("seller"), NOW).await.unwrap();
    let again = claim(&**store, "b", at(LEASE_MS)).await;
    assert_eq!((ids(&again), again[0].work.entries()[0].attempts), (ids(&claimed), 1));
}

async fn what_cannot_be_seen_is_let_go_of_and_never_given_up(store: &Outboxes) {
    for new in [notice(&["alice"]), batch(&["a", "b"])] {
        accept(&**store, &new).await;
        // As a server does that has not heard of the notification yet.
        let id = &new.id;
        store.run(format!("UPDATE notifications SET id = 'not yet here' WHERE id = '{id}'").leak()).await;
        assert_eq!(claim(&**store, "a", NOW).await, []);
        accept(&**store, &notice(&["other"])).await;
        let others = claim(&**store, "a", NOW).await;
        assert_eq!(recipients(&others), ["other"], "nobody else waits for it");
        settle(&**store, "a", &others, &sent()).await;
        assert!(states(&**store, &new).await.iter().all(|state| *state == State::Queued));
        store.run(format!("UPDATE notifications SET id = '{id}' WHERE id = 'not yet here'").leak()).await;
        let claimed = claim(&*store.other, "b", at(5_000)).await;
        assert_eq!(recipients(&claimed).len(), new.to.len(), "well before the lease of the first is over");
        settle(&*store.other, "b", &claimed, &sent()).await;
    }
}

async fn one_row_that_was_never_written_is_given_up_alone(store: &Outboxes) {
    let new = notice(&["alice", "bob"]);
    accept(&**store, &new).await;
    store.run("UPDATE outbox SET from_user = '' WHERE to_user = 'alice'").await;
    assert_eq!(recipients(&claim(&**store, "a", NOW).await), ["bob"]);
    assert_eq!(states(&**store, &new).await, [State::Failed, State::Queued]);
}

async fn what_was_taken_and_could_not_be_read_back_waits_for_no_lease(store: &Outboxes) {
    accept(&**store, &notice(&["alice"])).await;
    store.run("ALTER TABLE notifications RENAME TO elsewhere").await;
    let refused = store.claim(&lease("a", NOW), NOW, 10).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    store.run("ALTER TABLE elsewhere RENAME TO notifications").await;
    assert_eq!(recipients(&claim(&*store.other, "b", NOW).await), ["alice"]);
}
