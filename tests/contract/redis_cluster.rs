//! A cluster one of whose masters hangs: its connections stay up, and nothing comes back.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use otc_im::infra::redis::{Connection, RedisView};
use otc_im::ports::unread_view::UnreadView;

use super::facts::{NOW, Pair, apply, count, known_pair};
use crate::support::own_redis::OwnCluster;
use crate::support::service::eventually;

/// Slots below this are the first master's.
const FIRST: u16 = 5_461;

/// A reader whom the view knows, with one unread message, on the first master or on another one.
async fn pair_on(view: &dyn UnreadView, connection: &mut Connection, first: bool) -> Pair {
    loop {
        let pair = known_pair(view).await;
        let mut slot = redis::cmd("CLUSTER");
        slot.arg("KEYSLOT").arg(format!("im:{{{}}}:n", pair.reader));
        let slot: u16 = slot.query_async(connection).await.unwrap();
        if (slot < FIRST) == first {
            apply(view, [pair.arrived(1, 10)]).await;
            return pair;
        }
    }
}

#[tokio::test]
async fn a_master_that_hangs_is_left_for_its_replica_and_holds_nobody_elses_copies() {
    let mut cluster = OwnCluster::start().await;
    cluster.add_replica().await;
    let mut connection = Connection::open(&cluster.url()).await.unwrap();
    let watch = connection.watch().expect("a cluster is watched");
    let view: Arc<RedisView> = Arc::new(RedisView::new(connection.clone()));
    let hung = pair_on(&*view, &mut connection, true).await;
    let well = pair_on(&*view, &mut connection, false).await;
    let replaced = connection.replaced();
    assert_eq!(replaced.get(), 0);
    cluster.hang_first().await;
    let (to_hung, message) = (Arc::clone(&view), hung.arrived(2, 20));
    let held = tokio::spawn(async move { to_hung.apply(&message, NOW).await });
    tokio::task::yield_now().await;
    for number in 2..=50 {
        apply(&*view, [well.arrived(number, 20)]).await;
    }
    assert!(!held.is_finished(), "fifty copies of another reader have gone by");
    assert_eq!(count(&*view, &well).await, Some(50));
    assert!(held.await.unwrap().is_err(), "an outage is told");
    // Meanwhile polls and copies of the other masters' readers go on.
    let mut number = 50;
    let healed = async {
        while view.apply(&hung.arrived(2, 20), NOW).await.is_err() {
            number += 1;
            apply(&*view, [well.arrived(number, 20)]).await;
            assert_eq!(count(&*view, &well).await, Some(number.unsigned_abs()));
        }
    };
    tokio::time::timeout(Duration::from_mins(1), healed).await.expect("the replica takes over");
    eventually("readers are compared with the log", async || replaced.get() > 0).await;
    assert_eq!(count(&*view, &hung).await, Some(2));
    let all = join_all((0..50).map(|_| view.read(&hung.reader, &[]))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    watch.abort();
}
