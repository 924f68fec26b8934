//! What the outbox promises of notifications and friendships: what goes in comes out, and goes when it is old.

use otc_im::domain::outbox::{Settled, State};
use otc_im::ports::StoreError;
use otc_im::ports::gateway::NoticeContent;
use otc_im::ports::outbox::{
    Accepted, BATCH, Backlog, Claimed, Delivery, NewNotification, OutboxNotice, Work,
};

use super::deliveries::{
    accept, at, batch, claim, content, deliveries, ids, is_batch, lease, notice, recipients, resendable,
    sent, settle, states, troubled, user,
};
use super::facts::NOW;
use crate::support::outboxes::{self, Outboxes};

on_each! {
    [
        nothing_is_owed_at_first,
        a_notice_comes_back_as_it_was_accepted,
        everything_fits_in_at_its_longest,
        deliveries_are_in_the_order_of_the_request,
        a_claim_takes_the_oldest_and_no_more_than_its_limit,
        accepting_with_a_lease_claims_what_a_claim_could,
        five_thousand_recipients_are_one_batch,
        a_batch_leaves_out_a_recipient_until_it_is_free,
        one_batch_at_a_time_and_singles_beside_it,
        a_friendship_owed_twice_is_owed_once,
        a_settled_friendship_can_be_owed_again,
        a_long_error_is_cut,
        what_was_never_written_is_corrupt,
        the_backlog_counts_what_is_queued,
        what_is_queued_is_not_forgotten,
        forgetting_keeps_to_its_limit,
    ]
    each sqlite: outboxes::sqlite().await;
    each mysql: outboxes::mysql().await;
}

async fn nothing_is_owed_at_first(store: &Outboxes) {
    assert_eq!(claim(&**store, "a", NOW).await, []);
    assert_eq!(store.backlog().await.unwrap(), Backlog::default());
    assert_eq!(store.status(&notice(&["alice"]).id).await.unwrap(), None);
    assert_eq!(store.reclaim_expired(NOW, "gone").await.unwrap(), 0);
    assert_eq!(store.forget(NOW, 100).await.unwrap(), 0);
    assert!(store.begin(&lease("a", NOW), &[]).await.unwrap());
    store.settle(&lease("a", NOW), &[]).await.unwrap();
}

async fn a_notice_comes_back_as_it_was_accepted(store: &Outboxes) {
    let new = resendable(notice(&["Alice "]));
    accept(&**store, &new).await;
    let claimed = claim(&**store, "a", NOW).await;
    let [Claimed { notification, from, work: Work::Notice(entry, notice) }] = &*claimed else {
        panic!("{claimed:?}")
    };
    assert_eq!(notification.as_ref(), Some(&new.id));
    assert_eq!(*notice, new.notice);
    assert_eq!((from.as_str(), entry.to.as_str()), ("shop", "Alice "));
    assert_eq!((entry.attempts, entry.accepted_at), (0, NOW));
    let queued = Delivery { to: user("Alice "), state: State::Queued, attempts: 0, last_error: None };
    assert_eq!(deliveries(&**store, &new).await, std::slice::from_ref(&queued));
    settle(&**store, "a", &claimed, &troubled(NOW)).await;
    let troubled = Delivery { attempts: 1, last_error: Some("trouble".into()), ..queued.clone() };
    assert_eq!(deliveries(&**store, &new).await, [troubled]);
    let claimed = claim(&**store, "b", NOW).await;
    assert_eq!(claimed[0].work.entries()[0].attempts, 1);
    settle(&**store, "b", &claimed, &Settled { attempts: 2, ..sent() }).await;
    assert_eq!(deliveries(&**store, &new).await, [Delivery { state: State::Sent, attempts: 2, ..queued }]);
}

async fn everything_fits_in_at_its_longest(store: &Outboxes) {
    for text in ["🙂", "\u{1}", "\"", "张"] {
        let longest = |chars: usize| Some(text.repeat(chars));
        let new = NewNotification {
            from: user(&"👑".repeat(128)),
            to: vec![user(&"🙂".repeat(128)), user(&"张".repeat(128))],
            notice: OutboxNotice {
                content: NoticeContent {
                    push_content: longest(500),
                    payload: longest(2048),
                    sound: longest(30),
                    save: 1,
                    ..content(&text.repeat(4096))
                },
                resendable: false,
            },
            ..notice(&[])
        };
        accept(&**store, &new).await;
        let claimed = claim(&**store, "a", NOW).await;
        let to: Vec<_> = claimed.iter().map(|claimed| claimed.work.entries()[0].to.clone()).collect();
        assert_eq!(to, new.to);
        for claimed in &claimed {
            assert_eq!(claimed.from, new.from);
            assert!(matches!(&claimed.work, Work::Notice(_, notice) if *notice == new.notice));
        }
        settle(&**store, "a", &claimed, &sent()).await;
    }
}

async fn deliveries_are_in_the_order_of_the_request(store: &Outboxes) {
    let names: Vec<String> = (0..1_200).map(|n| format!("u{}", n * 7_919 % 1_200)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let new = notice(&names);
    accept(&**store, &new).await;
    let told: Vec<_> = deliveries(&**store, &new).await.into_iter().map(|delivery| delivery.to).collect();
    assert_eq!(told, new.to);
    let claimed = store.claim(&lease("a", NOW), NOW, 1_200).await.unwrap();
    assert_eq!(recipients(&claimed), names);
}

async fn a_claim_takes_the_oldest_and_no_more_than_its_limit(store: &Outboxes) {
    accept(&**store, &notice(&["a", "b"])).await;
    store.owe_friendship(&user("x"), &user("y"), NOW).await.unwrap();
    accept(&**store, &notice(&["c"])).await;
    assert_eq!(store.claim(&lease("a", NOW), NOW, 0).await.unwrap(), []);
    let first = store.claim(&lease("a", NOW), NOW, 3).await.unwrap();
    assert_eq!(recipients(&first), ["a", "b", "y"]);
    assert!(matches!(first[2].work, Work::Friendship(_)));
    assert_eq!(first[2].from.as_str(), "x");
    assert_eq!(recipients(&store.claim(&lease("b", NOW), NOW, 3).await.unwrap()), ["c"]);
}

async fn accepting_with_a_lease_claims_what_a_claim_could(store: &Outboxes) {
    accept(&**store, &notice(&["b"])).await;
    let new = notice(&["a", "b", "c"]);
    let Accepted::New(held) = store.accept(&new, Some(&lease("a", NOW))).await.unwrap() else { panic!() };
    assert_eq!(recipients(&held), ["a", "c"]);
    assert!(store.begin(&lease("a", NOW), &ids(&held)).await.unwrap());
    settle(&**store, "a", &held, &sent()).await;
    assert_eq!(states(&**store, &new).await, [State::Sent, State::Queued, State::Sent]);
    let older = claim(&**store, "b", NOW).await;
    assert_eq!(recipients(&older), ["b"]);
    settle(&**store, "b", &older, &sent()).await;
    assert_eq!(recipients(&claim(&**store, "b", NOW).await), ["b"]);
    let many = batch(&["d", "e"]);
    let Accepted::New(held) = store.accept(&many, Some(&lease("c", NOW))).await.unwrap() else { panic!() };
    assert_eq!((held.len(), is_batch(&held[0]), recipients(&held)), (1, true, vec!["d", "e"]));
}

async fn five_thousand_recipients_are_one_batch(store: &Outboxes) {
    let names: Vec<String> = (0..BATCH).map(|n| format!("user-{n}")).collect();
    let new = batch(&names.iter().map(String::as_str).collect::<Vec<_>>());
    accept(&**store, &new).await;
    let claimed = claim(&**store, "a", NOW).await;
    assert_eq!(claimed.len(), 1);
    assert!(matches!(&claimed[0].work, Work::Batch(_, notice) if *notice == new.notice));
    assert_eq!(recipients(&claimed), names);
    assert!(store.begin(&lease("a", NOW), &ids(&claimed)).await.unwrap());
    let failed = Settled { state: State::Failed, last_error: Some("nobody".into()), ..sent() };
    let outcome = |id| (id, if id == claimed[0].work.entries()[7].id { failed.clone() } else { sent() });
    let outcomes: Vec<_> = ids(&claimed).into_iter().map(outcome).collect();
    store.settle(&lease("a", NOW), &outcomes).await.unwrap();
    let told = states(&**store, &new).await;
    assert_eq!(told[7], State::Failed);
    assert_eq!(told.iter().filter(|state| **state == State::Sent).count(), names.len() - 1);
    assert_eq!(store.forget(at(1), 100).await.unwrap(), 1);
}

async fn a_batch_leaves_out_a_recipient_until_it_is_free(store: &Outboxes) {
    accept(&**store, &notice(&["b"])).await;
    accept(&**store, &batch(&["a", "b", "c"])).await;
    let first = claim(&**store, "a", NOW).await;
    assert_eq!(recipients(&first), ["b", "a", "c"]);
    assert_eq!(first.iter().map(is_batch).collect::<Vec<_>>(), [false, true]);
    assert_eq!(claim(&**store, "b", NOW).await, []);
    settle(&**store, "a", &first[..1], &sent()).await;
    let rest = claim(&**store, "b", NOW).await;
    assert_eq!((recipients(&rest), is_batch(&rest[0])), (vec!["b"], true));
}

async fn one_batch_at_a_time_and_singles_beside_it(store: &Outboxes) {
    for to in [["a", "b"], ["c", "d"], ["e", "f"]] {
        accept(&**store, &batch(&to)).await;
    }
    accept(&**store, &notice(&["g"])).await;
    assert_eq!(recipients(&claim(&**store, "a", NOW).await), ["g", "a", "b"]);
    assert_eq!(recipients(&store.claim(&lease("b", NOW), NOW, 0).await.unwrap()), ["c", "d"]);
    assert_eq!(recipients(&claim(&*store.other, "c", NOW).await), ["e", "f"]);
}

async fn a_friendship_owed_twice_is_owed_once(store: &Outboxes) {
    let (buyer, seller) = (user("Buyer"), user("Seller"));
    for (one, other) in [(&buyer, &seller), (&buyer, &seller), (&seller, &buyer)] {
        store.owe_friendship(one, other, NOW).await.unwrap();
    }
    let claimed = claim(&**store, "a", NOW).await;
    assert_eq!(recipients(&claimed), ["Seller"]);
    store.owe_friendship(&buyer, &seller, NOW).await.unwrap();
    settle(&**store, "a", &claimed, &troubled(NOW)).await;
    store.owe_friendship(&buyer, &seller, NOW).await.unwrap();
    assert_eq!(ids(&claim(&**store, "b", NOW).await), ids(&claimed));
    store.owe_friendship(&buyer, &user("another"), NOW).await.unwrap();
    assert_eq!(recipients(&claim(&**store, "c", NOW).await), ["another"]);
}

async fn a_settled_friendship_can_be_owed_again(store: &Outboxes) {
    for state in [State::Sent, State::Failed, State::Unknown] {
        store.owe_friendship(&user("buyer"), &user("seller"), NOW).await.unwrap();
        let claimed = claim(&**store, "a", NOW).await;
        assert_eq!(recipients(&claimed), ["seller"]);
        settle(&**store, "a", &claimed, &Settled { state, ..sent() }).await;
        assert_eq!(claim(&**store, "b", NOW).await, []);
    }
}

async fn a_long_error_is_cut(store: &Outboxes) {
    let new = notice(&["alice"]);
    accept(&**store, &new).await;
    let claimed = claim(&**store, "a", NOW).await;
    settle(&**store, "a", &claimed, &Settled { last_error: Some("🙂".repeat(501)), ..sent() }).await;
    assert_eq!(deliveries(&**store, &new).await[0].last_error, Some("🙂".repeat(500)));
}

async fn what_was_never_written_is_corrupt(store: &Outboxes) {
    let new = notice(&["alice"]);
    accept(&**store, &new).await;
    store.run("UPDATE notifications SET content = '{}'").await;
    accept(&**store, &notice(&["bob"])).await;
    assert_eq!(recipients(&claim(&**store, "a", NOW).await), ["bob"], "its neighbour is not held up");
    assert_eq!(states(&**store, &new).await, [State::Failed]);
    store.run("UPDATE outbox SET state = 4").await;
    let status = store.status(&new.id).await;
    assert!(matches!(status, Err(StoreError::Corrupt { .. })), "{status:?}");
}

async fn the_backlog_counts_what_is_queued(store: &Outboxes) {
    accept(&**store, &NewNotification { at: at(2), ..batch(&["a", "b"]) }).await;
    accept(&**store, &NewNotification { at: at(1), ..notice(&["c"]) }).await;
    store.owe_friendship(&user("x"), &user("y"), at(3)).await.unwrap();
    let told = store.backlog().await.unwrap();
    assert_eq!(told, Backlog { queued: 4, oldest_at: Some(at(1)), reads: 0 });
    let claimed = claim(&**store, "a", at(3)).await;
    let told = store.backlog().await.unwrap();
    assert_eq!(told, Backlog { queued: 4, oldest_at: Some(at(1)), reads: 0 }, "what is held is still owed");
    settle(&**store, "a", &claimed[..1], &sent()).await;
    let told = store.backlog().await.unwrap();
    assert_eq!(told, Backlog { queued: 3, oldest_at: Some(at(2)), reads: 0 });
    settle(&**store, "a", &claimed[1..], &sent()).await;
    assert_eq!(store.backlog().await.unwrap(), Backlog::default());
}

async fn what_is_queued_is_not_forgotten(store: &Outboxes) {
    let (done, half, young) =
        (notice(&["a"]), notice(&["b", "c"]), NewNotification { at: at(1), ..notice(&["d"]) });
    for new in [&done, &half, &young] {
        accept(&**store, new).await;
    }
    store.owe_friendship(&user("x"), &user("y"), NOW).await.unwrap();
    assert_eq!(store.forget(at(1), 100).await.unwrap(), 0);
    let claimed = claim(&**store, "a", at(1)).await;
    assert_eq!(recipients(&claimed), ["a", "b", "c", "d", "y"]);
    for held in [&claimed[..2], &claimed[3..]] {
        settle(&**store, "a", held, &sent()).await;
    }
    assert_eq!(store.forget(at(1), 100).await.unwrap(), 2, "a notification and a friendship");
    assert_eq!(store.status(&done.id).await.unwrap(), None);
    assert_eq!(states(&**store, &half).await, [State::Sent, State::Queued]);
    assert_eq!(states(&**store, &young).await, [State::Sent]);
    settle(&**store, "a", &claimed[2..3], &sent()).await;
    assert_eq!(store.forget(at(2), 100).await.unwrap(), 2);
    assert_eq!(store.forget(at(2), 100).await.unwrap(), 0);
}

async fn forgetting_keeps_to_its_limit(store: &Outboxes) {
    for name in ["a", "b", "c"] {
        accept(&**store, &notice(&[name])).await;
        store.owe_friendship(&user("x"), &user(name), NOW).await.unwrap();
    }
    let claimed = claim(&**store, "a", NOW).await;
    settle(&**store, "a", &claimed, &sent()).await;
    for forgotten in [2, 2, 2, 0] {
        assert_eq!(store.forget(at(1), 2).await.unwrap(), forgotten);
    }
}
