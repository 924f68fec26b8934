//! The network between the service and a store: cut, held, swallowed, slow, or losing replies.

use std::time::Duration;

use super::fleet::Fleet;
use super::mongo::Mongo;
use super::redis_server::Redis;
use super::trial::Trial;
use super::truth::Log;
use super::wire::{Fault, Wire};

const FAULTS: [(Fault, u64); 5] = [
    (Fault::Cut, 700),
    (Fault::LoseReplies, 1_000),
    (Fault::Delay(Duration::from_millis(150)), 1_000),
    (Fault::Hold, 1_500),
    (Fault::Swallow, 1_500),
];

struct Net {
    mongo: Mongo,
    redis: Redis,
    to_mongo: Wire,
    to_redis: Wire,
}

async fn trial(name: &'static str) -> (Net, Trial) {
    let (mongo, redis) = (Mongo::start(1).await, Redis::start().await);
    let (to_mongo, to_redis) = (Wire::to(mongo.place()).await, Wire::to(redis.place()).await);
    let stores = vec![
        ("messages.url", Mongo::url_through(&to_mongo.place())),
        ("unread.url", format!("redis://{}", to_redis.place())),
    ];
    let trial = Trial::start(name, Fleet::start(2, stores).await).await;
    (Net { mongo, redis, to_mongo, to_redis }, trial)
}

async fn suffer(trial: &mut Trial, wire: &Wire) {
    for (fault, time) in FAULTS {
        trial.go_on(200, 500).await;
        wire.set(fault);
        trial.go_on(time, time + 500).await;
        wire.set(Fault::None);
        trial.recovered().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by scripts/test faults"]
async fn a_bad_network_to_redis_makes_no_number_wrong() {
    let (net, mut trial) = trial("a bad network to Redis").await;
    for _ in 0..Trial::rounds(1) {
        suffer(&mut trial, &net.to_redis).await;
    }
    trial.finish(Log::Mongo(net.mongo.database().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by scripts/test faults"]
async fn a_bad_network_to_mongodb_loses_nothing_acknowledged() {
    let (net, mut trial) = trial("a bad network to MongoDB").await;
    for _ in 0..Trial::rounds(1) {
        suffer(&mut trial, &net.to_mongo).await;
        // And once with an empty view, which has to be read through this network.
        net.to_mongo.set(Fault::Hold);
        let () = net.redis.ask("FLUSHALL").await;
        trial.go_on(3_500, 4_000).await;
        net.to_mongo.set(Fault::None);
        trial.recovered().await;
    }
    trial.finish(Log::Mongo(net.mongo.database().await)).await;
}
