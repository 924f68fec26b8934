//! A review that finds a message bad after it was delivered takes it back as a recall does.

use otc_im::domain::message::Message;
use otc_im::domain::unread::Snapshot;
use otc_im::ports::message_log::InsertOutcome::{Conflicting, First, Repeated};
use otc_im::queries::explain::{Standing, standing};

use super::facts::{Pair, id, person, with_recalled};
use super::message_log::sorted_snapshot;
use crate::support::backends::{self, Log};

on_each! {
    [
        a_withdrawn_message_counts_no_more_and_is_withheld,
        a_withdrawal_that_comes_first_keeps_its_message_out,
    ]
    each sqlite: backends::sqlite_log().await;
    each mongo: backends::mongo_log().await;
}

async fn is_withheld(log: &Log, pair: &Pair, number: i64) {
    let found = log.upkeep.message(person(number)).await.unwrap().unwrap();
    assert!(found.recalled && found.message.unwrap().withheld);
    let standing = standing(&*log.upkeep, &pair.reader, &pair.peer, id(number)).await.unwrap();
    assert_eq!(standing, Standing::Withheld);
}

async fn a_withdrawn_message_counts_no_more_and_is_withheld(log: &Log) {
    let pair = Pair::fresh();
    for number in [1, 2] {
        log.record_one(pair.message(number, 10).into()).await.unwrap();
    }
    for _ in 0..2 {
        let recorded = log.record_one(pair.withdrawal(1).into()).await.unwrap();
        assert_eq!(recorded.change, Some(pair.recalled(1)));
    }
    let expected = with_recalled(pair.snapshot([(2, 10)], None), &pair, &[1]);
    assert_eq!(sorted_snapshot(&**log, &pair).await, expected);
    is_withheld(log, &pair, 1).await;
    // Its first copy comes again: no conflict, and the view is told again.
    let again = log.record_one(pair.message(1, 10).into()).await.unwrap();
    assert_eq!((again.copy, again.change), (Repeated, Some(pair.recalled(1))));
    let other = Message { msg_type: "AUDIO".into(), ..pair.message(1, 10) };
    assert_eq!(log.record_one(other.into()).await.unwrap().copy, Conflicting);
    assert_eq!(sorted_snapshot(&**log, &pair).await, expected);
}

async fn a_withdrawal_that_comes_first_keeps_its_message_out(log: &Log) {
    let pair = Pair::fresh();
    log.record_one(pair.withdrawal(1).into()).await.unwrap();
    log.record_one(pair.recall(1).into()).await.unwrap();
    assert_eq!(log.snapshot(&pair.reader).await.unwrap(), Snapshot::default());
    for copy in [First, Repeated] {
        let recorded = log.record_one(pair.message(1, 10).into()).await.unwrap();
        assert_eq!((recorded.copy, recorded.change), (copy, Some(pair.recalled(1))));
    }
    is_withheld(log, &pair, 1).await;
    assert_eq!(log.snapshot(&pair.reader).await.unwrap(), with_recalled(Snapshot::default(), &pair, &[1]));
}
