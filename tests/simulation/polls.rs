//! Order pages, polling both instances all the time: each answer is held against its bounds as it comes.

use std::sync::Arc;
use std::time::Duration;

use otc_im::domain::ids::Accid;
use tokio::time::sleep;

use super::service::Instance;
use super::world::{About, Happening, World};

/// Everybody whose counts are asked for.
#[derive(Clone)]
pub struct Pages {
    pub world: Arc<World>,
    /// Readers, and each other's peers.
    pub people: Vec<Accid>,
}

impl Pages {
    /// Polls `instance` until the world ends.
    pub async fn poll_for_ever(self, instance: Arc<Instance>) {
        loop {
            let (ms, reader) = self.world.draw(|rng| (rng.within(5, 1_800), rng.pick(&self.people).clone()));
            sleep(Duration::from_millis(ms)).await;
            self.poll(&instance, &reader).await;
        }
    }

    /// One poll; the counts, unless the instance did not answer.
    pub async fn poll(&self, instance: &Instance, reader: &Accid) -> Option<Vec<u64>> {
        let service = instance.current()?;
        let (settled, from) = (self.world.is_settled(), self.world.ledger().tick());
        let answer = tokio::select! {
            biased;
            () = service.life.cancelled() => return None,
            answer = service.counts.of(reader, &self.people) => answer,
        };
        match answer {
            Ok(counts) => {
                self.world.note(
                    instance.name,
                    "counts",
                    About::Reader(reader.clone()),
                    format!("{counts:?}"),
                );
                self.hold_against_bounds(instance, reader, from, &counts);
                Some(counts)
            }
            Err(error) => {
                self.world.note(instance.name, "no count", About::Reader(reader.clone()), error.to_string());
                self.world.count(Happening::PollFailed);
                if settled {
                    self.world.wrong(format!("{reader} got no answer though nothing fails: {error}"));
                }
                None
            }
        }
    }

    fn hold_against_bounds(&self, instance: &Instance, reader: &Accid, from: u64, counts: &[u64]) {
        self.world.count(Happening::PollBounded);
        for (peer, count) in self.people.iter().zip(counts) {
            let bounds = self.world.ledger().bounds(reader, peer, from);
            if !(bounds.least..=bounds.most).contains(count) {
                self.world.wrong(format!(
                    "{} answered {count} for {reader} from {peer}; {bounds:?}",
                    instance.name
                ));
            }
        }
    }
}
