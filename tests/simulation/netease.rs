//! NetEase as the webhook knows it: tells every event until it is acknowledged, some more than once, some at the same
//! time on both instances, and seldom gives up.

use std::sync::Arc;
use std::time::Duration;

use otc_im::commands::receive_copy::{Outcome, Received};
use otc_im::domain::message::MessageKey;
use otc_im::ports::StoreError;
use otc_im::ports::message_log::InsertOutcome;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::history::{BEGIN, Event, Fact, History};
use super::service::{Instance, Service};
use super::world::{About, Happening, World};

/// The service answers within this, or ends the call itself.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How one attempt ended.
enum Ended {
    Answered(Result<Received, StoreError>),
    /// The instance died, the connection broke, or it took too long: what had begun was dropped.
    Dropped,
}

/// Who tells, and whom.
#[derive(Clone)]
pub struct Netease {
    pub world: Arc<World>,
    pub instances: Vec<Arc<Instance>>,
}

impl Netease {
    /// Tells the whole history; ends when everything has been acknowledged or given up.
    pub async fn tell(&self, history: Arc<History>) {
        let mut telling = JoinSet::new();
        for (number, event) in history.events.iter().enumerate() {
            let (netease, all) = (self.clone(), Arc::clone(&history));
            telling.spawn(async move {
                let event = &all.events[number];
                sleep(Duration::from_millis(event.first_ms)).await;
                netease.until_acknowledged(number, event).await;
            });
            for ms in event.again_ms.clone() {
                let (netease, all) = (self.clone(), Arc::clone(&history));
                telling.spawn(async move {
                    sleep(Duration::from_millis(ms)).await;
                    netease.world.count(Happening::Duplicated);
                    netease.attempt(number, &all.events[number]).await;
                });
            }
        }
        while let Some(ended) = telling.join_next().await {
            if let Err(panic) = ended {
                self.world.wrong(format!("a delivery panicked: {panic}"));
            }
        }
    }

    async fn until_acknowledged(&self, number: usize, event: &Event) {
        let mut attempts = 0;
        while !self.attempt(number, event).await {
            attempts += 1;
            if event.patience.is_some_and(|patience| attempts >= patience) {
                self.world.note("netease", "gives up", About::Event(number), "");
                return self.world.count(Happening::GaveUp);
            }
            let ms = self.world.draw(|rng| rng.within(10, 2_000));
            sleep(Duration::from_millis(ms)).await;
        }
    }

    /// One attempt; answers whether it was acknowledged.
    async fn attempt(&self, number: usize, event: &Event) -> bool {
        let (instance, body) =
            self.world.draw(|rng| (rng.pick(&self.instances).clone(), rng.pick(&event.bodies).clone()));
        let Some(service) = instance.current() else {
            self.world.note(instance.name, "is down", About::Event(number), "");
            sleep(Duration::from_millis(10)).await;
            return false;
        };
        let attempt = self.world.ledger().begin(event, service.latest_receipt());
        self.world.note(instance.name, "is told", About::Event(number), "");
        let ended = self.post(&service, &body).await;
        let acked = matches!(ended, Ended::Answered(Ok(_)));
        self.world.ledger().end(attempt, acked);
        let how = match &ended {
            Ended::Answered(Ok(received)) => format!("{:?}", received.outcome),
            Ended::Answered(Err(error)) => error.to_string(),
            Ended::Dropped => "dropped".to_owned(),
        };
        self.world.note(instance.name, "answers", About::Event(number), how);
        if let Ended::Answered(Ok(received)) = ended {
            self.judge(number, event, &received.outcome);
        }
        acked
    }

    async fn post(&self, service: &Service, body: &str) -> Ended {
        let hang_up = self.world.strikes(self.world.weather.hang_up);
        let patience = if hang_up {
            self.world.count(Happening::HungUp);
            Duration::from_millis(self.world.draw(|rng| rng.within(1, 300)))
        } else {
            TIMEOUT
        };
        tokio::select! {
            biased;
            () = service.life.cancelled() => Ended::Dropped,
            answer = service.receiver.receive(body.as_bytes(), BEGIN) => Ended::Answered(answer),
            () = sleep(patience) => Ended::Dropped,
        }
    }

    /// Whether the answer fits the event.
    fn judge(&self, number: usize, event: &Event, outcome: &Outcome) {
        let fits = match (&event.fact, outcome) {
            (Fact::Sent(_), Outcome::Recorded(copy)) => {
                if *copy == InsertOutcome::Conflicting {
                    self.world.count(Happening::Conflicting);
                }
                *copy != InsertOutcome::Conflicting || event.bodies.len() > 1 || shares_its_number(event)
            }
            (Fact::Read(_), Outcome::Read { clamped, dead_letters }) => {
                if *clamped > 0 {
                    self.world.count(Happening::Clamped);
                }
                *dead_letters == usize::from(event.letter.is_some())
            }
            (Fact::Recalled(MessageKey { .. }), Outcome::Recalled) => true,
            (Fact::Noise, Outcome::DeadLetter) => {
                self.world.count(Happening::DeadLetter);
                event.letter.is_some()
            }
            (Fact::Noise, Outcome::Acknowledged) => event.letter.is_none(),
            _ => false,
        };
        if !fits {
            self.world.wrong(format!("event {number} was answered with {outcome:?}"));
        }
    }
}

/// Two notices in a row may carry one number; the second is a conflict of the first.
fn shares_its_number(event: &Event) -> bool {
    matches!(&event.fact, Fact::Sent(sent) if !sent.counts)
}
