//! Faults on real servers: the real binary at load, its stores and its network broken on a schedule, and every answer
//! held against what was acknowledged. Run by `scripts/test faults`; each test starts servers of its own.

mod accounts;
mod chance;
mod crashes;
mod daemon;
mod disk;
mod driver;
mod fleet;
mod ledger;
mod lost_copies;
mod maria;
mod million;
mod mongo;
mod mongo_failover;
mod netease_outage;
mod network;
mod redis_failover;
mod redis_lost;
mod redis_server;
mod switch_over;
mod trial;
mod truth;
mod wire;

use std::time::{Duration, Instant};

/// How often `condition` is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until `condition` holds; answers how long that took. The one place of this tier that waits for something.
async fn within(limit: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    let look = async {
        while !condition().await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let held = tokio::time::timeout(limit, look).await;
    assert!(held.is_ok(), "after {limit:?} it was still not so that {what}");
    began.elapsed()
}

/// How many times longer than usual to run: the argument of `scripts/test faults`.
fn times() -> u32 {
    setting("TEST_FAULTS_TIMES").map_or(1, |text| text.parse().expect("TEST_FAULTS_TIMES is a number"))
}

/// What decides all chance: the same seed, the same events and the same schedule.
fn seed() -> u64 {
    setting("TEST_FAULTS_SEED").map_or(1, |text| text.parse().expect("TEST_FAULTS_SEED is a number"))
}

#[expect(clippy::disallowed_methods, reason = "tests are told how long to run and where programs are")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}
