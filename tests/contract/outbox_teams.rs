//! Notices to teams: claimed with all others, in lanes of their own.

use otc_im::domain::outbox::{Settled, State};
use otc_im::ports::outbox::{NewNotification, Way, Work};

use super::deliveries::{
    accept, at, claim, deliveries, ids, lease, notice, recipients, resendable, sent, settle, states,
};
use super::facts::NOW;
use crate::support::outboxes::{self, Outboxes};

on_each! {
    [
        a_team_is_no_user_of_the_same_id,
        they_go_out_with_all_others_oldest_first,
        a_teams_notices_keep_their_order,
        one_whose_holder_is_dead_is_unknown_or_sent_again,
    ]
    each sqlite: outboxes::sqlite().await;
    each mysql: outboxes::mysql().await;
}

fn to_team(id: &str) -> NewNotification {
    NewNotification { way: Way::Team, ..notice(&[id]) }
}

async fn a_team_is_no_user_of_the_same_id(store: &Outboxes) {
    let (team, user) = (to_team("123"), notice(&["123"]));
    accept(&**store, &team).await;
    accept(&**store, &user).await;
    let claimed = claim(&**store, "a", NOW).await;
    assert_eq!(recipients(&claimed), ["123", "123"], "no lane is shared");
    assert!(
        matches!((&claimed[0].work, &claimed[1].work), (Work::Team(..), Work::Notice(..))),
        "{claimed:?}"
    );
    assert_eq!(claimed[0].notification, Some(team.id.clone()));
    let Work::Team(_, said) = &claimed[0].work else { panic!("{claimed:?}") };
    assert_eq!(said, &team.notice);
    let failed = Settled { state: State::Failed, last_error: Some("no such team".into()), ..sent() };
    settle(&**store, "a", &claimed[..1], &failed).await;
    let told = deliveries(&**store, &team).await;
    assert_eq!((told[0].state, told[0].last_error.as_deref()), (State::Failed, Some("no such team")));
    assert_eq!(states(&**store, &user).await, [State::Queued]);
    assert_eq!(store.backlog().await.unwrap().queued, 1);
}

async fn they_go_out_with_all_others_oldest_first(store: &Outboxes) {
    for (team, id) in [(true, "1"), (false, "a"), (true, "2"), (false, "b"), (true, "3")] {
        accept(&**store, &if team { to_team(id) } else { notice(&[id]) }).await;
    }
    let first = store.claim(&lease("a", NOW), NOW, 3).await.unwrap();
    assert_eq!(recipients(&first), ["1", "a", "2"]);
    assert_eq!(recipients(&claim(&*store.other, "b", NOW).await), ["b", "3"]);
}

async fn a_teams_notices_keep_their_order(store: &Outboxes) {
    accept(&**store, &to_team("1")).await;
    accept(&**store, &to_team("1")).await;
    let first = claim(&**store, "a", NOW).await;
    assert_eq!((first.len(), claim(&*store.other, "b", NOW).await), (1, Vec::new()));
    settle(&**store, "a", &first, &sent()).await;
    assert!(ids(&claim(&*store.other, "b", at(1)).await) > ids(&first));
}

async fn one_whose_holder_is_dead_is_unknown_or_sent_again(store: &Outboxes) {
    let (once, again) = (to_team("1"), resendable(to_team("2")));
    accept(&**store, &once).await;
    accept(&**store, &again).await;
    let held = claim(&**store, "a", NOW).await;
    assert!(store.begin(&lease("a", NOW), &ids(&held)).await.unwrap());
    let later = lease("a", NOW).until;
    assert_eq!(store.reclaim_expired(later, "its holder died").await.unwrap(), 2);
    assert_eq!(states(&**store, &once).await, [State::Unknown]);
    assert_eq!(recipients(&claim(&**store, "b", later).await), ["2"]);
}
