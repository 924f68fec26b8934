//! What another instance changes is told, and seen at once.

use std::time::Duration;

use super::Rig;
use crate::contract::facts::{NOW, known_pair};

const CHANGES: i64 = 500;
/// Far beyond what the test takes: no answer is old enough to be read anew without being told of a change.
const NEVER: Duration = Duration::from_hours(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_by_another_instance_is_told_and_seen() {
    let rig = Rig::new(NEVER).await;
    let pair = known_pair(&*rig.other).await;
    for number in 1..=CHANGES {
        rig.keep(&pair).await;
        let (told, past) = (rig.counted().invalidations.get(), rig.counted().bypassed.get());
        rig.other.apply(&pair.arrived(number, 10), NOW).await.unwrap();
        let seen = async {
            while rig.ask(&pair).await != Some(number.unsigned_abs()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), seen).await.expect("the change is seen");
        assert!(rig.counted().invalidations.get() > told, "it was told");
        assert_eq!(rig.counted().bypassed.get(), past, "no poll went past the near cache");
    }
}
