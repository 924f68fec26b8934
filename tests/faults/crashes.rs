//! The service itself goes: killed, told to stop, and beside another instance that takes the same copies.

use super::fleet::Fleet;
use super::mongo::Mongo;
use super::redis_server::Redis;
use super::trial::Trial;
use super::truth::Log;
use crate::support::stores::Settings;

async fn servers() -> (Mongo, Redis, Settings) {
    let (mongo, redis) = (Mongo::start(1).await, Redis::start().await);
    let stores = vec![("messages.url", mongo.url()), ("unread.url", redis.url())];
    (mongo, redis, stores)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by scripts/test faults"]
async fn what_a_killed_service_acknowledged_is_kept_and_the_rest_is_mended_by_redelivery() {
    let (mongo, _redis, stores) = servers().await;
    let mut trial = Trial::start("the service is killed", Fleet::start(2, stores).await).await;
    for _ in 0..Trial::rounds(8) {
        trial.go_on(200, 700).await;
        // Now and then both at once.
        let first = trial.chance.index(2);
        let victims = if trial.chance.one_in(3) { vec![first, 1 - first] } else { vec![first] };
        for victim in &victims {
            trial.fleet.kill(*victim);
        }
        trial.go_on(50, 300).await;
        for victim in victims {
            trial.fleet.launch(victim).await;
        }
        trial.recovered().await;
    }
    trial.finish(Log::Mongo(mongo.database().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by scripts/test faults"]
async fn a_service_told_to_stop_at_load_ends_in_time_and_loses_nothing() {
    let (mongo, _redis, stores) = servers().await;
    let mut trial = Trial::start("the service is told to stop", Fleet::start(2, stores).await).await;
    for _ in 0..Trial::rounds(6) {
        trial.go_on(300, 800).await;
        let instance = trial.chance.index(2);
        trial.fleet.terminate(instance).await;
        trial.fleet.launch(instance).await;
        trial.recovered().await;
    }
    trial.finish(Log::Mongo(mongo.database().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by scripts/test faults"]
async fn copies_that_two_instances_take_at_once_count_once() {
    let (mongo, _redis, stores) = servers().await;
    let mut trial =
        Trial::start_on_all("every copy goes to both instances", Fleet::start(2, stores).await).await;
    for _ in 0..Trial::rounds(4) {
        trial.go_on(1_500, 1_500).await;
        // One is replaced while the other goes on, as when a new version is rolled out.
        let instance = trial.chance.index(2);
        trial.fleet.terminate(instance).await;
        trial.fleet.launch(instance).await;
        trial.recovered().await;
    }
    trial.finish(Log::Mongo(mongo.database().await)).await;
}
