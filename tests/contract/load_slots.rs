//! Who waits for whom when many readers are loaded: polls for no recheck, small readers for no big one.

use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::Duration;

use futures_util::future::join_all;
use otc_im::commands::projector::Projector;
use otc_im::domain::unread::Snapshot;
use otc_im::infra::memory::MemoryView;
use otc_im::ports::StoreError;
use otc_im::ports::unread_view::UnreadView;
use otc_im::ports::view_loader::ViewLoader;
use tokio::task::JoinHandle;

use super::facts::{Pair, count, load};
use super::watched::{AT_ONCE, SetClock, WatchedLog, projector};
use crate::support::backends::{self, Log};

/// What does not wait for anything is done long before.
const PATIENCE: Duration = Duration::from_secs(20);

type Load = JoinHandle<Result<(), Arc<StoreError>>>;

/// A projection whose log holds every load back until the gate is opened.
struct Held {
    behind: Log,
    log: Arc<WatchedLog>,
    view: Arc<dyn UnreadView>,
    projector: Projector,
    recorded: AtomicI64,
}

impl Held {
    async fn new() -> Self {
        let behind = backends::sqlite_log().await;
        let log = WatchedLog::over(&behind.messages, 0);
        let view: Arc<dyn UnreadView> = Arc::new(MemoryView::new(1_000));
        let projector = projector(Arc::clone(&view), log.clone(), Arc::new(SetClock::default()));
        Self { behind, log, view, projector, recorded: AtomicI64::new(0) }
    }

    /// A reader with one unread message in the log.
    async fn pair(&self) -> Pair {
        let pair = Pair::fresh();
        let number = self.recorded.fetch_add(1, SeqCst) + 1;
        self.behind.record_one(pair.message(number, 10).into()).await.unwrap();
        pair
    }

    async fn pairs(&self, many: usize) -> Vec<Pair> {
        join_all((0..many).map(|_| self.pair())).await
    }

    fn load(&self, pair: &Pair) -> Load {
        let (projector, reader) = (self.projector.clone(), pair.reader.clone());
        tokio::spawn(async move { projector.load(&reader).await })
    }

    /// Waits until so many loads have come to the gate.
    async fn at_the_gate(&self, many: usize) {
        let come = async {
            while self.log.snapshots.load(SeqCst) < many {
                tokio::task::yield_now().await;
            }
        };
        let come = tokio::time::timeout(PATIENCE, come).await;
        assert!(come.is_ok(), "{} of {many} loads have come to the log", self.log.snapshots.load(SeqCst));
    }

    /// Lets all loads go on, and waits for these.
    async fn open_for(&self, loads: Vec<Load>) {
        self.log.gate.add_permits(1);
        let done = tokio::time::timeout(PATIENCE, join_all(loads)).await.expect("each comes to its end");
        assert!(done.iter().all(|load| load.as_ref().unwrap().is_ok()), "{done:?}");
    }

    async fn counts_one_each(&self, pairs: &[Pair]) {
        for pair in pairs {
            assert_eq!(count(&*self.view, pair).await, Some(1));
        }
    }
}

/// On one thread, so that whoever asks first for a slot has it first.
#[tokio::test]
async fn a_recheck_takes_no_place_in_front_of_polls() {
    let held = Held::new().await;
    let (first, known, poll) = (held.pairs(AT_ONCE).await, held.pair().await, held.pair().await);
    load(&*held.view, &known.reader, &Snapshot::default()).await;
    let mut loads: Vec<_> = first.iter().map(|pair| held.load(pair)).collect();
    held.at_the_gate(AT_ONCE).await;
    held.projector.recheck(&known.reader);
    loads.push(held.load(&poll));
    held.open_for(loads).await;
    assert_eq!(held.log.snapshots.load(SeqCst), AT_ONCE + 1, "the log was read for polls alone");
    held.counts_one_each(&first).await;
    held.counts_one_each(slice::from_ref(&poll)).await;
    // Nothing was put off either: it is the next poll that asks for it, and now there is room.
    let counters = held.projector.counters();
    assert_eq!((counters.loads.get(), counters.rechecks.get()), (5, 0));
    held.projector.recheck(&known.reader);
    held.at_the_gate(AT_ONCE + 2).await;
    let rechecked = async {
        while counters.rechecks.get() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, rechecked).await.expect("with room for it a recheck is made");
    held.counts_one_each(slice::from_ref(&known)).await;
    held.behind.close().await;
}

#[tokio::test]
async fn big_readers_are_loaded_one_at_a_time_and_small_ones_beside_them() {
    let held = Held::new().await;
    let (big, small) = (held.pairs(AT_ONCE + 2).await, held.pairs(AT_ONCE).await);
    held.log.big.lock().unwrap().extend(big.iter().map(|pair| pair.reader.clone()));
    let mut loads: Vec<_> = big.iter().map(|pair| held.load(pair)).collect();
    held.at_the_gate(1).await;
    loads.extend(small.iter().map(|pair| held.load(pair)));
    held.at_the_gate(1 + AT_ONCE).await;
    assert_eq!(held.log.of_big.0.load(SeqCst), 1, "the other big ones wait for it");
    held.open_for(loads).await;
    assert_eq!(held.log.snapshots.load(SeqCst), big.len() + small.len());
    assert_eq!(held.log.of_big.1.load(SeqCst), 1, "never two at once");
    held.counts_one_each(&big).await;
    held.counts_one_each(&small).await;
    held.behind.close().await;
}
