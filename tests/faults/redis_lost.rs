//! Redis loses what it holds, all of it or one key, or loses its clients.

use std::time::Duration;

use super::fleet::Fleet;
use super::ledger::{READERS, reader};
use super::mongo::Mongo;
use super::redis_server::Redis;
use super::trial::Trial;
use super::truth::Log;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by scripts/test faults"]
async fn a_redis_that_forgets_everything_or_dies_is_never_taken_for_zero() {
    let (mongo, mut redis) = (Mongo::start(1).await, Redis::start().await);
    let stores = vec![("messages.url", mongo.url()), ("unread.url", redis.url())];
    let mut trial = Trial::start("Redis forgets everything", Fleet::start(2, stores).await).await;
    for round in 0..Trial::rounds(12) {
        trial.go_on(200, 600).await;
        match round % 4 {
            0 => redis.ask("FLUSHALL").await,
            1 => redis.ask("SCRIPT FLUSH").await,
            2 => {
                let _: u32 = redis.ask("CLIENT KILL TYPE normal SKIPME yes").await;
            }
            _ => redis.crash().await,
        }
        trial.recovered().await;
    }
    trial.finish(Log::Mongo(mongo.database().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by scripts/test faults"]
async fn any_single_key_that_redis_evicts_is_noticed_or_not_needed() {
    let (mongo, redis) = (Mongo::start(1).await, Redis::start().await);
    let stores = vec![("messages.url", mongo.url()), ("unread.url", redis.url())];
    let mut trial = Trial::start("Redis evicts keys", Fleet::start(2, stores).await).await;
    for _ in 0..Trial::rounds(20) {
        let quiet = trial.chance.index(READERS);
        trial.load.leave_alone(quiet);
        trial.go_on(200, 400).await;
        let keys: Vec<String> = redis.ask(&format!("KEYS im:{{{}}}*", reader(quiet))).await;
        let kind = [":n", ":m", ":g", ":u:"][trial.chance.index(4)];
        let keys: Vec<_> = keys.iter().filter(|key| key.contains(kind)).collect();
        if keys.is_empty() {
            continue;
        }
        let key = keys[trial.chance.index(keys.len())];
        let _: u32 = redis.ask(&format!("UNLINK {key}")).await;
        trial.recovered().await;
    }
    trial.finish(Log::Mongo(mongo.database().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by scripts/test faults"]
async fn a_redis_short_of_memory_makes_no_number_wrong() {
    let (mongo, redis) = (Mongo::start(1).await, Redis::start().await);
    let stores = vec![("messages.url", mongo.url()), ("unread.url", redis.url())];
    let mut trial = Trial::start("Redis is short of memory", Fleet::start(2, stores).await).await;
    for round in 0..Trial::rounds(4) {
        trial.go_on(800, 1_200).await;
        let policy = ["allkeys-lru", "allkeys-random"][round as usize % 2];
        let () = redis.ask(&format!("CONFIG SET maxmemory-policy {policy}")).await;
        // A little less than it has: some keys have to go at once, and more as new ones come.
        let bound = redis.used_memory().await - 16 * 1024;
        let () = redis.ask(&format!("CONFIG SET maxmemory {bound}")).await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let () = redis.ask("CONFIG SET maxmemory 0").await;
        trial.recovered().await;
    }
    let stats: String = redis.ask("INFO stats").await;
    let evicted = stats.lines().find_map(|line| line.strip_prefix("evicted_keys:")).map(str::trim);
    assert!(evicted.is_some_and(|count| count != "0"), "nothing was evicted");
    trial.finish(Log::Mongo(mongo.database().await)).await;
}
