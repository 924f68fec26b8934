//! A Redis replica takes over, without the last writes of its master.

use std::time::{Duration, Instant};

use super::fleet::Fleet;
use super::mongo::Mongo;
use super::redis_server::Redis;
use super::trial::Trial;
use super::truth::Log;
use super::wire::Wire;

/// `unread.recheck_after`, the load itself, and something for the machine.
const WINDOW: Duration = Duration::from_millis(2_000 + 1_500);

async fn healed(trial: &Trial) -> u64 {
    let mut healed = 0;
    for instance in 0..trial.fleet.len() {
        healed += trial.fleet.client(instance).counted("view_healed").await;
    }
    healed
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by scripts/test faults"]
async fn a_replica_without_the_last_writes_is_put_right_within_the_recheck_interval() {
    let (mongo, mut master, mut replica) =
        (Mongo::start(1).await, Redis::start().await, Redis::start().await);
    let wire = Wire::to(master.place()).await;
    let stores = vec![("messages.url", mongo.url()), ("unread.url", format!("redis://{}", wire.place()))];
    let mut trial = Trial::start("a replica takes over", Fleet::start(2, stores).await).await;
    for _ in 0..Trial::rounds(2) {
        replica.follow(&master).await;
        trial.go_on(500, 1_000).await;
        let () = replica.ask("REPLICAOF NO ONE").await;
        trial.go_on(500, 1_000).await; // what is written now is lost
        trial.load.excuse(None);
        wire.turn_to(replica.place());
        wire.break_all().await;
        trial.load.excuse(Some(Instant::now() + WINDOW));
        tokio::time::sleep(WINDOW).await;
        trial.recovered().await;
        std::mem::swap(&mut master, &mut replica);
    }
    assert!(healed(&trial).await > 0, "nothing was healed, so nothing was lost: the test is wrong");
    trial.finish(Log::Mongo(mongo.database().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by scripts/test faults"]
async fn a_master_that_became_a_replica_is_left_for_the_new_one() {
    let (mongo, mut master, mut replica) =
        (Mongo::start(1).await, Redis::start().await, Redis::start().await);
    let wire = Wire::to(master.place()).await;
    let stores = vec![("messages.url", mongo.url()), ("unread.url", format!("redis://{}", wire.place()))];
    let mut trial = Trial::start("a master becomes a replica", Fleet::start(2, stores).await).await;
    for _ in 0..Trial::rounds(3) {
        replica.follow(&master).await;
        trial.go_on(300, 600).await;
        trial.load.excuse(None);
        let () = replica.ask("REPLICAOF NO ONE").await;
        master.follow(&replica).await; // READONLY from now on
        trial.go_on(500, 1_000).await;
        // The name points to the new master now, and nobody ends the connections to the old one.
        wire.turn_to(replica.place());
        trial.load.excuse(Some(Instant::now() + WINDOW));
        trial.recovered().await;
        std::mem::swap(&mut master, &mut replica);
    }
    tokio::time::sleep(WINDOW).await;
    trial.finish(Log::Mongo(mongo.database().await)).await;
}
