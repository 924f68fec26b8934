//! What another instance changes: how soon it is seen.

use std::time::{Duration, Instant};

use super::Rig;
use crate::contract::facts::{NOW, known_pair};

const CHANGES: i64 = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_by_another_instance_is_seen_soon() {
    let rig = Rig::new(Duration::from_secs(5)).await;
    let pair = known_pair(&*rig.other).await;
    let mut delays = Vec::new();
    for number in 1..=CHANGES {
        rig.keep(&pair).await;
        rig.other.apply(&pair.arrived(number, 10), NOW).await.unwrap();
        let acknowledged = Instant::now();
        while rig.ask(&pair).await != Some(number.unsigned_abs()) {
            tokio::task::yield_now().await;
        }
        delays.push(acknowledged.elapsed());
    }
    delays.sort();
    let of = |percent: usize| delays[(delays.len() - 1) * percent / 100];
    println!("from acknowledgement to sight: p50 {:?}, p99 {:?}, max {:?}", of(50), of(99), of(100));
    // Typically below a millisecond; a machine with other things to do may take long for a single one.
    assert!(of(50) < Duration::from_millis(50), "{:?}", of(50));
    assert!(of(100) < Duration::from_secs(5), "{:?}", of(100));
}
