//! The near cache on real Redis servers: what it may answer while the connection that tells of changes is well, slow,
//! silent or gone, and while the server behind polls is another one.

mod another_redis;
mod bulk_lane;
mod instances;
mod races;
mod sentinel;
mod totals;
mod tracking_lost;

use std::sync::Arc;
use std::time::Duration;

use otc_im::domain::unread::{Reading, Snapshot};
use otc_im::infra::redis::counters::NearCounters;
use otc_im::infra::redis::{Connection, NearView};
use otc_im::ports::unread_view::UnreadView;

use crate::contract::facts::{NOW, Pair, count, known_pair};
use crate::support::backends::{self, View};
use crate::support::near;
use crate::support::own_redis::OwnRedis;
use crate::support::proxy::Proxy;

/// A server of its own, one instance with a near cache whose ways to it are proxies, and another instance without.
struct Rig {
    server: OwnRedis,
    polls: Proxy,
    tracking: Proxy,
    near: Arc<NearView>,
    other: View,
}

impl Rig {
    async fn new(staleness: Duration) -> Self {
        let server = OwnRedis::start();
        let url = server.url();
        let (polls, tracking) = (Proxy::of(&url).await, Proxy::of(&url).await);
        let near = near::at(&polls.through(&url), &tracking.through(&url), staleness).await;
        let other = backends::redis_view_at(&url).await;
        Self { server, polls, tracking, near, other }
    }

    /// A connection that is nobody's.
    async fn beside(&self) -> Connection {
        Connection::open(&self.server.url()).await.unwrap()
    }

    fn counted(&self) -> NearCounters {
        self.near.counters()
    }

    /// A reader with one unread message, in memory.
    async fn kept_pair(&self) -> Pair {
        let pair = known_pair(&*self.other).await;
        self.other.apply(&pair.arrived(1, 10), NOW).await.unwrap();
        near::heard_everything(&self.near, &mut self.beside().await).await;
        self.keep(&pair).await;
        pair
    }

    /// Polls until the answer comes from memory.
    async fn keep(&self, pair: &Pair) {
        let kept = async {
            loop {
                let before = self.counted().hits.get();
                self.ask(pair).await;
                if self.counted().hits.get() > before {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), kept).await.expect("an answer from memory");
    }

    async fn ask(&self, pair: &Pair) -> Option<u64> {
        count(&*self.near, pair).await
    }
}

#[tokio::test]
async fn a_poll_of_a_reader_who_has_not_changed_asks_redis_once() {
    let rig = Rig::new(Duration::from_secs(5)).await;
    let pair = known_pair(&*rig.other).await;
    rig.other.apply(&pair.arrived(1, 10), NOW).await.unwrap();
    // The changes above may be heard of only now, and drop what was read meanwhile.
    rig.keep(&pair).await;
    let (hits, misses) = (rig.counted().hits.get(), rig.counted().misses.get());
    let peers = [pair.with_another().peer, pair.peer.clone(), pair.peer.clone()];
    for _ in 0..100 {
        let reading = rig.near.read(&pair.reader, &peers).await.unwrap();
        assert_eq!(reading, Reading::Known { counts: vec![0, 1, 1], loaded_at: NOW });
    }
    assert_eq!((rig.counted().hits.get(), rig.counted().misses.get()), (hits + 100, misses));
}

#[tokio::test]
async fn a_reader_whom_redis_does_not_know_is_not_kept() {
    let rig = Rig::new(Duration::from_secs(5)).await;
    let pair = Pair::fresh();
    for polls in 1..=3 {
        assert_eq!(rig.ask(&pair).await, None);
        assert_eq!((rig.counted().hits.get(), rig.counted().misses.get()), (0, polls));
    }
}

#[tokio::test]
async fn of_a_reader_with_very_many_peers_the_last_page_is_kept() {
    let rig = Rig::new(Duration::from_secs(5)).await;
    let pair = known_pair(&*rig.other).await;
    let many: Vec<_> = (0..300).map(|_| pair.with_another()).collect();
    for pair in &many {
        rig.near.apply(&pair.arrived(1, 10), NOW).await.unwrap();
    }
    for pair in &many[..10] {
        assert_eq!(rig.ask(pair).await, Some(1));
    }
    assert_eq!(rig.counted().hits.get(), 0);
    rig.keep(&many[9]).await;
    rig.near.apply(&many[9].read(10), NOW).await.unwrap();
    assert_eq!(rig.ask(&many[9]).await, Some(0));
    rig.keep(&many[9]).await;
    rig.other.apply(&many[9].arrived(2, 20), NOW).await.unwrap();
    near::heard_everything(&rig.near, &mut rig.beside().await).await;
    assert_eq!(rig.ask(&many[9]).await, Some(1));
    // Whoever is few again is kept whole.
    for pair in &many[..200] {
        rig.near.apply(&pair.read(10), NOW).await.unwrap();
    }
    rig.keep(&many[250]).await;
    assert_eq!((rig.ask(&many[0]).await, rig.ask(&many[250]).await), (Some(0), Some(1)));
}

#[tokio::test]
async fn an_emptied_server_is_heard_of() {
    let rig = Rig::new(Duration::from_secs(10)).await;
    let pair = rig.kept_pair().await;
    rig.other.redis::<()>(&["FLUSHALL"]).await.unwrap();
    let unknown = async {
        while rig.ask(&pair).await.is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), unknown).await.expect("long before the bound");
    let load = rig.other.begin_load(&pair.reader, "token").await.unwrap();
    rig.other.merge(&pair.reader, &load, &Snapshot::default(), NOW).await.unwrap();
    assert_eq!(rig.ask(&pair).await, Some(0));
}
