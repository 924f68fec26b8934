//! A MongoDB replica set of three loses its primary at load.

use super::fleet::Fleet;
use super::mongo::Mongo;
use super::redis_server::Redis;
use super::trial::Trial;
use super::truth::Log;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by scripts/test faults"]
async fn what_was_acknowledged_survives_the_primary() {
    let (mut mongo, redis) = (Mongo::start(3).await, Redis::start().await);
    let stores = vec![("messages.url", mongo.url()), ("unread.url", redis.url())];
    let mut trial = Trial::start("MongoDB loses its primary", Fleet::start(2, stores).await).await;
    for round in 0..Trial::rounds(3) {
        trial.go_on(500, 1_500).await;
        let primary = mongo.has_primary().await;
        match round % 3 {
            0 => {
                mongo.kill(primary);
                // What the view has lost can only be read again once there is another primary.
                let () = redis.ask("FLUSHALL").await;
                mongo.has_primary().await;
                trial.recovered().await;
                mongo.restart(primary);
            }
            1 => {
                mongo.step_down(primary).await;
                mongo.has_primary().await;
                trial.recovered().await;
            }
            _ => {
                // The primary is left without a majority: whatever it still takes is not durable.
                let others = [(primary + 1) % 3, (primary + 2) % 3];
                for member in others {
                    mongo.kill(member);
                }
                trial.go_on(3_000, 4_000).await;
                for member in others {
                    mongo.restart(member);
                }
                mongo.has_primary().await;
                trial.recovered().await;
            }
        }
    }
    trial.finish(Log::Mongo(mongo.database().await)).await;
}
