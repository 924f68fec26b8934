//! What instances know together of the flow of copies, and of its gaps.

use otc_im::domain::ids::{Accid, Millis};
use otc_im::ports::gaps::{Beat, Gap, GapCause};

use crate::support::backends::{self, Log};

on_each! {
    [
        the_last_beat_is_known_to_all,
        copies_are_counted_by_hour,
        a_gap_is_one_instances_until_its_lease_ends,
        a_gap_that_grows_while_it_is_reconciled_begins_again,
        whoever_was_active_is_walked_in_order,
    ]
    each sqlite: backends::sqlite_log().await;
    each mongo: backends::mongo_log().await;
}

const HOUR: i64 = 3_600_000;

async fn the_last_beat_is_known_to_all(log: &Log) {
    let last = async || log.gaps.last_beat().await.unwrap();
    assert_eq!(last().await, Beat::default());
    log.gaps.beat(Millis(10), 0, None).await.unwrap();
    assert_eq!(last().await, Beat { at: Some(Millis(10)), newest: None });
    log.gaps.beat(Millis(20), 1, Some(Millis(15))).await.unwrap();
    log.gaps.beat(Millis(5), 1, Some(Millis(3))).await.unwrap();
    let second = Beat { at: Some(Millis(20)), newest: Some(Millis(15)) };
    assert_eq!(last().await, second, "a clock behind lowers nothing");
}

async fn copies_are_counted_by_hour(log: &Log) {
    for (at, copies) in [(HOUR, 3), (2 * HOUR - 1, 4), (2 * HOUR, 5), (50 * HOUR, 0)] {
        log.gaps.beat(Millis(at), copies, None).await.unwrap();
    }
    let mut hours = log.gaps.hours(0).await.unwrap();
    hours.sort_unstable();
    assert_eq!(hours, [(1, 7), (2, 5)]);
    assert_eq!(log.gaps.hours(2).await.unwrap(), [(2, 5)]);
    log.gaps.forget_flow(1).await.unwrap();
    assert!(log.gaps.hours(0).await.unwrap().is_empty(), "both are of the first day");
}

fn gap(id: &str, from: i64, to: i64) -> Gap {
    Gap { id: id.into(), cause: GapCause::Refused, from: Millis(from), to: Millis(to) }
}

async fn a_gap_is_one_instances_until_its_lease_ends(log: &Log) {
    log.gaps.put(&gap("late", 30, 40)).await.unwrap();
    log.gaps.put(&gap("early", 10, 20)).await.unwrap();
    log.gaps.put(&gap("early", 12, 25)).await.unwrap();
    let claim = async |holder, before, now| {
        log.gaps.claim(holder, Millis(before), Millis(now), Millis(now + 100)).await.unwrap()
    };
    assert_eq!(claim("a", 24, 50).await, None, "it is not over for long enough");
    let mut early = claim("a", 25, 50).await.expect("the one that is over");
    assert_eq!((&early.gap, &early.after), (&gap("early", 10, 25), &None));
    assert_eq!(claim("b", 25, 149).await, None, "it is somebody's");
    early.after = Some(Accid::of_user("m"));
    assert!(log.gaps.progress(&early, Millis(200)).await.unwrap());
    assert_eq!(claim("b", 25, 199).await, None, "the lease is extended");
    let taken = claim("b", 25, 200).await.expect("the lease has ended");
    assert_eq!(taken.after, early.after, "it goes on where it was");
    assert!(!log.gaps.progress(&early, Millis(900)).await.unwrap(), "it is b's now");
    log.gaps.close(&early).await.unwrap();
    log.gaps.close(&taken).await.unwrap();
    assert_eq!(claim("c", 60, 5_000).await.map(|claimed| claimed.gap), Some(gap("late", 30, 40)));
    assert_eq!(claim("c", 60, 5_050).await, None);
}

async fn a_gap_that_grows_while_it_is_reconciled_begins_again(log: &Log) {
    log.gaps.put(&gap("one", 10, 20)).await.unwrap();
    let mut claimed = log.gaps.claim("a", Millis(90), Millis(50), Millis(100)).await.unwrap().unwrap();
    claimed.after = Some(Accid::of_user("m"));
    log.gaps.progress(&claimed, Millis(100)).await.unwrap();
    log.gaps.put(&gap("one", 10, 30)).await.unwrap();
    log.gaps.close(&claimed).await.unwrap();
    let again = log.gaps.claim("a", Millis(90), Millis(51), Millis(100)).await.unwrap().unwrap();
    assert_eq!((again.gap, again.after), (gap("one", 10, 30), None));
    log.gaps.forget_flow(1).await.unwrap();
    assert_eq!(log.gaps.claim("a", Millis(90), Millis(900), Millis(901)).await.unwrap(), None, "too old");
}

async fn whoever_was_active_is_walked_in_order(log: &Log) {
    let users: Vec<Accid> = ["dora", "anna", "carl", "bert"].map(Accid::of_user).into();
    log.gaps.note_active(&users, 7).await.unwrap();
    log.gaps.note_active(&users[..1], 9).await.unwrap();
    log.gaps.note_active(&users[..2], 8).await.unwrap();
    let active = async |day, after: Option<&str>| {
        let after = after.map(Accid::of_user);
        let found = log.gaps.active(day, after.as_ref(), 2).await.unwrap();
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(active(7, None).await, ["anna", "bert"]);
    assert_eq!(active(7, Some("bert")).await, ["carl", "dora"]);
    assert_eq!(active(8, None).await, ["anna", "dora"]);
    assert_eq!(active(9, None).await, ["dora"]);
    log.gaps.forget_flow(8).await.unwrap();
    assert_eq!(active(0, None).await, ["anna", "dora"]);
}
