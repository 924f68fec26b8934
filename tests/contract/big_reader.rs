//! A reader with a hundred thousand unread messages: counted exactly, and nobody else waits while they are loaded.

use futures_util::future::{Either, select};
use otc_im::domain::ids::Millis;
use otc_im::domain::unread::{Merged, Snapshot};

use super::facts::{NOW, Pair, count, fresh_accid, id, known_pair};
use crate::support::backends::{self, View};
use crate::support::fresh_name;

const PEERS: usize = 4;
const MESSAGES_EACH: i64 = 25_000;
/// The pairs are merged side by side, each in pieces of a thousand ids; after each piece others have their turn.
const TURNS: i64 = MESSAGES_EACH / 1_000;

#[tokio::test]
async fn a_big_reader_is_counted_exactly_in_memory() {
    loaded_beside_polls(&backends::memory_view()).await;
}

#[tokio::test]
async fn a_big_reader_is_counted_exactly_and_others_are_answered_meanwhile() {
    let polls = loaded_beside_polls(&backends::redis_view().await).await;
    assert!(polls >= TURNS / 2, "{polls} polls of another reader meanwhile");
}

/// Loads the reader while another one is asked for without a break; answers how often that one was answered.
async fn loaded_beside_polls(view: &View) -> i64 {
    let (other, reader) = (known_pair(&**view).await, fresh_accid());
    let pairs: Vec<Pair> = (0..PEERS).map(|_| Pair { reader: reader.clone(), peer: fresh_accid() }).collect();
    let mut snapshot = Snapshot::default();
    for (pair, first) in pairs.iter().zip((0..).step_by(usize::try_from(MESSAGES_EACH).unwrap())) {
        let messages = (first + 1..=first + MESSAGES_EACH).map(|n| (pair.peer.clone(), id(n), Millis(n)));
        snapshot.unread.extend(messages);
    }
    let begun = view.begin_load(&reader, &fresh_name()).await.unwrap();
    let mut merging = Box::pin(view.merge(&reader, &begun, &snapshot, NOW));
    let mut polls = 0;
    let merged = loop {
        match select(merging, Box::pin(count(&**view, &other))).await {
            Either::Left((merged, _)) => break merged.unwrap(),
            Either::Right((answer, rest)) => {
                assert_eq!(answer, Some(0));
                (polls, merging) = (polls + 1, rest);
            }
        }
    };
    assert_eq!(merged, Merged::Done { added: PEERS * 25_000, removed: 0 });
    for pair in &pairs {
        assert_eq!(count(&**view, pair).await, Some(MESSAGES_EACH.unsigned_abs()));
    }
    polls
}
