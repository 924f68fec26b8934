//! Near caches under test, and how to wait until they have heard of everything.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use otc_im::domain::ids::{Accid, Millis};
use otc_im::domain::unread::{Change, Load, Merged, Reading, Snapshot, Total};
use otc_im::infra::redis::near::NearSettings;
use otc_im::infra::redis::{Connection, NearView};
use otc_im::ports::StoreError;
use otc_im::ports::unread_view::{UnreadView, ViewedPair};
use redis::aio::ConnectionLike;

use super::backends::redis_key;
use super::service::eventually;
use super::{fresh_name, server};

/// As short as a busy machine allows: the bound is no part of what most tests look at.
const STALENESS: Duration = Duration::from_secs(2);

/// A near cache over the server that all tests share, once it answers from memory.
pub async fn one() -> Arc<NearView> {
    let url = server("TEST_REDIS_URL");
    at(&url, &url, STALENESS).await
}

/// One whose polls go to `polls` and whose tracking goes to `tracking`, once it answers from memory.
pub async fn at(polls: &str, tracking: &str, staleness: Duration) -> Arc<NearView> {
    let connection = Connection::open(polls).await.unwrap();
    let settings = NearSettings { readers: 10_000, staleness };
    let (near, _) = NearView::over(connection, tracking, settings).unwrap();
    let near = Arc::new(near);
    is_active(&near).await;
    near
}

/// Waits until polls are answered from memory.
pub async fn is_active(near: &NearView) {
    eventually("polls are answered from memory", async || near.counters().active.get() == 1).await;
}

/// Waits until `near` has heard of everything that Redis has acknowledged before: changes are told in order, so it is
/// enough that one more has been heard of.
pub async fn heard_everything(near: &NearView, beside: &mut impl ConnectionLike) {
    let reader = Accid::from_nim(&fresh_name()).unwrap();
    let key = redis_key(&reader, "n");
    redis::cmd("HSET").arg(&key).arg("!at").arg(1).query_async::<()>(beside).await.unwrap();
    // The first poll may fill, the second finds it filled: unless polls go to Redis, which is as good.
    for _ in 0..2 {
        near.read(&reader, &[]).await.unwrap();
    }
    redis::cmd("DEL").arg(&key).query_async::<()>(beside).await.unwrap();
    let heard = async {
        while near.read(&reader, &[]).await.unwrap() != Reading::Unknown {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(2 * STALENESS, heard).await.expect("a near cache hears of a change in time");
}

/// Two instances that take turns. A poll asks both, once they have heard of everything, and they must agree.
pub struct Both {
    instances: [Arc<NearView>; 2],
    turn: AtomicUsize,
}

impl Both {
    pub fn new(instances: [Arc<NearView>; 2]) -> Self {
        Self { instances, turn: AtomicUsize::new(0) }
    }

    fn next(&self) -> &NearView {
        &self.instances[self.turn.fetch_add(1, Ordering::Relaxed) % 2]
    }

    async fn agreed<T: Debug + PartialEq, F>(&self, ask: impl Fn(Arc<NearView>) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        let mut beside = Connection::open(&server("TEST_REDIS_URL")).await.unwrap();
        let [one, other] = &self.instances;
        for instance in [one, other] {
            heard_everything(instance, &mut beside).await;
        }
        let asked = async || Ok((ask(Arc::clone(one)).await?, ask(Arc::clone(other)).await?));
        let (first, again) = (asked().await?, asked().await?);
        assert_eq!(first, again, "from Redis and from memory");
        assert_eq!(first.0, first.1, "two instances");
        Ok(first.0)
    }
}

#[async_trait]
impl UnreadView for Both {
    async fn read(&self, reader: &Accid, peers: &[Accid]) -> Result<Reading, StoreError> {
        self.agreed(|view| async move { view.read(reader, peers).await }).await
    }

    async fn total(&self, reader: &Accid) -> Result<Reading<Total>, StoreError> {
        self.agreed(|view| async move { view.total(reader).await }).await
    }

    async fn apply(&self, change: &Change, now: Millis) -> Result<(), StoreError> {
        self.next().apply(change, now).await
    }

    async fn begin_load(&self, reader: &Accid, fresh_token: &str) -> Result<Load, StoreError> {
        self.next().begin_load(reader, fresh_token).await
    }

    async fn merge(
        &self,
        reader: &Accid,
        load: &Load,
        snapshot: &Snapshot,
        now: Millis,
    ) -> Result<Merged, StoreError> {
        self.next().merge(reader, load, snapshot, now).await
    }

    async fn explain(&self, reader: &Accid, peer: &Accid) -> Result<ViewedPair, StoreError> {
        self.next().explain(reader, peer).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.next().ping().await
    }
}
