//! What the outbox makes of instances that work at once.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use futures_util::future::{join, join_all};
use otc_im::domain::ids::Accid;
use otc_im::ports::outbox::{Accepted, Claimed, EntryId, Work};

use super::deliveries::{accept, at, batch, ids, lease, notice, sent, settle, user};
use super::facts::NOW;
use crate::support::outboxes::{self, Outboxes, Store};

/// Instances' workers.
const CLAIMERS: usize = 8;

on_each! {
    [
        claimers_at_once_get_each_entry_once_and_in_order,
        claimers_and_those_who_accept_do_not_get_in_each_others_way,
        a_batch_is_not_torn_by_claimers_at_once,
        friendships_owed_at_once_are_one,
        of_a_claim_and_an_old_holder_one_has_the_entry,
    ]
    each sqlite: outboxes::sqlite().await;
    each mysql: outboxes::mysql().await;
}

/// What all have seen.
#[derive(Default)]
struct Seen {
    busy: HashSet<Accid>,
    done: BTreeMap<Accid, Vec<EntryId>>,
    count: usize,
}

impl Seen {
    fn start(&mut self, claimed: &[Claimed]) {
        for entry in claimed.iter().flat_map(|claimed| claimed.work.entries()) {
            let lane = entry.to.accid().clone();
            assert!(self.busy.insert(lane.clone()), "two of {lane} are held at once");
            self.done.entry(lane).or_default().push(entry.id);
        }
    }

    fn end(&mut self, claimed: &[Claimed]) {
        for entry in claimed.iter().flat_map(|claimed| claimed.work.entries()) {
            self.busy.remove(entry.to.accid());
            self.count += 1;
        }
    }

    fn check(&self, lanes: usize) {
        assert_eq!(self.done.len(), lanes);
        let all: HashSet<_> = self.done.values().flatten().collect();
        assert_eq!(all.len(), self.count, "an entry was done twice");
    }

    fn in_order(&self) -> bool {
        self.done.values().all(|ids| ids.is_sorted())
    }
}

/// Does what was claimed: says so first, settles last.
async fn work(store: &dyn Store, seen: &Mutex<Seen>, token: &str, claimed: &[Claimed]) {
    seen.lock().unwrap().start(claimed);
    for claimed in claimed.chunks(1) {
        assert!(store.begin(&lease(token, NOW), &ids(claimed)).await.unwrap());
    }
    // Before the rest is let before: whoever claims next may be quicker than this task.
    seen.lock().unwrap().end(claimed);
    settle(store, token, claimed, &sent()).await;
}

/// Claims and works until `total` entries are done.
async fn drain(store: Arc<dyn Store>, seen: Arc<Mutex<Seen>>, claimer: usize, total: usize) {
    let mut turn = 0;
    while seen.lock().unwrap().count < total {
        turn += 1;
        let token = format!("{claimer}-{turn}");
        let claimed = store.claim(&lease(&token, NOW), NOW, 7).await.unwrap();
        work(&*store, &seen, &token, &claimed).await;
    }
}

/// Eight claimers of two instances, each a task of its own.
async fn drain_all(store: &Outboxes, seen: &Arc<Mutex<Seen>>, total: usize) {
    let claimers = (0..CLAIMERS).map(|n| tokio::spawn(drain(store.of(n), seen.clone(), n, total)));
    for claimer in join_all(claimers).await {
        claimer.unwrap();
    }
    assert_eq!(seen.lock().unwrap().count, total);
    assert_eq!(store.backlog().await.unwrap().queued, 0);
}

async fn claimers_at_once_get_each_entry_once_and_in_order(store: &Outboxes) {
    for n in 0..300 {
        accept(&**store, &notice(&[&format!("user-{}", n * 7 % 40)])).await;
    }
    let seen = Arc::new(Mutex::new(Seen::default()));
    drain_all(store, &seen, 300).await;
    let seen = seen.lock().unwrap();
    seen.check(40);
    assert!(seen.in_order());
}

async fn claimers_and_those_who_accept_do_not_get_in_each_others_way(store: &Outboxes) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let accepting = (0..6).map(|n| {
        let (store, seen) = (store.of(n), seen.clone());
        tokio::spawn(async move {
            for round in 0..15 {
                let [one, other] = [0, 1].map(|k| format!("user-{}", (n + round * 3 + k) % 5));
                let to = [one.as_str(), other.as_str()];
                let new = if round % 3 == 0 { batch(&to) } else { notice(&to) };
                let token = format!("accept-{n}-{round}");
                let lease = (round % 2 == 0).then(|| lease(&token, NOW));
                let accepted = store.accept(&new, lease.as_ref()).await.unwrap();
                let Accepted::New(held) = accepted else { panic!("{accepted:?}") };
                work(&*store, &seen, &token, &held).await;
            }
        })
    });
    let accepting = join_all(accepting.collect::<Vec<_>>());
    let (accepted, ()) = join(accepting, drain_all(store, &seen, 6 * 15 * 2)).await;
    accepted.into_iter().for_each(Result::unwrap);
    seen.lock().unwrap().check(5);
}

async fn a_batch_is_not_torn_by_claimers_at_once(store: &Outboxes) {
    let names: Vec<String> = (0..2_000).map(|n| format!("user-{n}")).collect();
    accept(&**store, &batch(&names.iter().map(String::as_str).collect::<Vec<_>>())).await;
    let claims = (0..CLAIMERS).map(|n| {
        let store = store.of(n);
        tokio::spawn(async move { store.claim(&lease(&n.to_string(), NOW), NOW, 10).await.unwrap() })
    });
    let claims = join_all(claims.collect::<Vec<_>>()).await;
    let claimed: Vec<Claimed> = claims.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].work.entries().len(), names.len());
}

async fn friendships_owed_at_once_are_one(store: &Outboxes) {
    let (buyer, seller) = (user("buyer"), user("seller"));
    let owing = (0..50).map(|n| {
        let (store, pair) = (store.of(n), if n % 3 == 0 { (&seller, &buyer) } else { (&buyer, &seller) });
        async move { store.owe_friendship(pair.0, pair.1, NOW).await }
    });
    for owed in join_all(owing).await {
        owed.unwrap();
    }
    let claimed = store.claim(&lease("a", NOW), NOW, 10).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert!(matches!(claimed[0].work, Work::Friendship(_)));
}

async fn of_a_claim_and_an_old_holder_one_has_the_entry(store: &Outboxes) {
    for round in 0..20 {
        accept(&**store, &notice(&["alice"])).await;
        let held = store.claim(&lease("a", NOW), NOW, 1).await.unwrap();
        let later = at(60_000);
        let claimer = lease("b", later);
        let begun = lease("a", later);
        let held_ids = ids(&held);
        let (begun, claimed) =
            join(store.one.begin(&begun, &held_ids), store.other.claim(&claimer, later, 1)).await;
        let (begun, claimed) = (begun.unwrap(), claimed.unwrap());
        assert_ne!(begun, !claimed.is_empty(), "round {round}");
        settle(&**store, if begun { "a" } else { "b" }, &held, &sent()).await;
    }
}
