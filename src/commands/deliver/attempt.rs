//! One delivery: attempted, and its outcome written down.

use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering;

use backon::{ExponentialBuilder, Retryable};

use super::{Courier, Held};
use crate::commands::befriend::befriend;
use crate::commands::register_account::RegisterError;
use crate::domain::ids::{Accid, UserId};
use crate::domain::outbox::{Attempt, Progress, Settled, State};
use crate::ports::StoreError;
use crate::ports::gateway::{GatewayError, Notice};
use crate::ports::outbox::{Claimed, Entry, EntryId, Errand, Lease, Letter};

/// What NetEase's answer to a batch says of a recipient whom it names.
const STRANGER: &str = "NetEase does not know this user: they have no account there yet";

/// What a caller is told of our own troubles; the log has more.
const OUT_OF_REACH: &str = "a store of this service is out of reach";
const CORRUPT: &str = "a store of this service holds something unexpected; see its log";

/// Why nothing was sent.
enum Halt {
    /// The lease has run out: the entries are somebody else's now.
    Lost,
    /// What came before it failed, and so did the attempt.
    Before(Attempt),
}

impl Courier {
    /// Does what is held, writes down what came of it, and answers that for each recipient. Whatever happens in here,
    /// the entries end settled, or are free again when the lease runs out.
    pub async fn carry(&self, held: Held) -> Vec<(UserId, Settled)> {
        self.in_hand.fetch_add(1, Ordering::Relaxed);
        let outcomes = self.attempt_and_settle(held).await;
        self.in_hand.fetch_sub(1, Ordering::Relaxed);
        outcomes
    }

    async fn attempt_and_settle(&self, Held { lease, claimed }: Held) -> Vec<(UserId, Settled)> {
        let Claimed { from, errand } = claimed;
        let attempts = match self.attempt(&lease, &from, &errand).await {
            Ok(attempts) => attempts,
            Err(Halt::Before(attempt)) => vec![attempt; errand.entries().len()],
            Err(Halt::Lost) => return Vec::new(),
        };
        let outcomes = self.judge(&errand, attempts);
        self.write_down(&lease, &outcomes).await;
        let recipients = errand.entries().iter().map(|entry| entry.to.clone());
        recipients.zip(outcomes.into_iter().map(|(_, settled)| settled)).collect()
    }

    /// One attempt for each entry, in their order.
    async fn attempt(&self, lease: &Lease, from: &UserId, errand: &Errand) -> Result<Vec<Attempt>, Halt> {
        if self.stop.is_cancelled() {
            return Err(Halt::Before(Attempt::NotReached("this instance is stopping".to_owned(), Some(0))));
        }
        let from = self.way.registrar.register(from, None).await?.accid;
        match errand {
            Errand::Friendship(entry) => {
                let way = &self.way;
                befriend(&*way.accounts, &*way.gateway, &way.registrar, &from, &entry.to).await?;
                Ok(vec![Attempt::Done])
            }
            Errand::Notice(entry, letter) => {
                let to = self.way.registrar.register(&entry.to, None).await?.accid;
                self.begin(lease, errand).await?;
                let notice = Notice { from, to, content: letter.content.clone() };
                Ok(vec![outcome(self.way.gateway.send_notice(&notice).await)])
            }
            Errand::Batch(entries, letter) => {
                self.begin(lease, errand).await?;
                Ok(self.send_batch(&from, entries, letter).await)
            }
        }
    }

    /// Recipients are not registered first: that would take a call for each, and a batch is there to save them.
    async fn send_batch(&self, from: &Accid, entries: &[Entry], letter: &Letter) -> Vec<Attempt> {
        let to: Vec<Accid> = entries.iter().map(|entry| entry.to.accid()).collect();
        let strangers = match self.way.gateway.send_batch(from, &to, &letter.content).await {
            Ok(strangers) => strangers,
            Err(error) => return vec![outcome(Err(error)); to.len()],
        };
        let each = to.iter().map(|accid| match strangers.contains(accid) {
            true => Attempt::Refused(STRANGER.to_owned()),
            false => Attempt::Done,
        });
        each.collect()
    }

    /// From here on a death leaves an unknown outcome; before, it left nothing done.
    async fn begin(&self, lease: &Lease, errand: &Errand) -> Result<(), Halt> {
        let ids: Vec<EntryId> = errand.entries().iter().map(|entry| entry.id).collect();
        let lease = Lease { token: lease.token.clone(), ..self.lease() };
        match self.way.outbox.begin(&lease, &ids).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Halt::Lost),
            // It may have been said, so the entries wait for the end of the lease.
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "the outbox is out of reach; nothing was sent");
                Err(Halt::Lost)
            }
        }
    }

    fn judge(&self, errand: &Errand, attempts: Vec<Attempt>) -> Vec<(EntryId, Settled)> {
        let (now, repeatable) = (self.way.clock.now(), errand.is_repeatable());
        // The same for all of a batch: they stay together, and what is alike is written down as one.
        let mut chance = DefaultHasher::new();
        errand.entries().first().map(|entry| (entry.id, entry.attempts)).hash(&mut chance);
        let chance = chance.finish();
        let judge = |(entry, attempt): (&Entry, Attempt)| {
            let Entry { id, attempts, accepted_at, .. } = *entry;
            let progress = Progress { attempts, accepted_at, repeatable };
            (id, self.bounds.policy.settle(progress, attempt, now, chance))
        };
        errand.entries().iter().zip(attempts).map(judge).collect()
    }

    /// Worth some patience: what was sent and is not written down will count as unknown.
    async fn write_down(&self, lease: &Lease, outcomes: &[(EntryId, Settled)]) {
        let write = || self.way.outbox.settle(lease, outcomes);
        if let Err(error) = write.retry(ExponentialBuilder::default().with_max_times(3)).await {
            tracing::error!(
                error = &error as &dyn Error,
                "what came of deliveries could not be written down"
            );
            return;
        }
        for (EntryId(entry), settled) in outcomes {
            match settled.state {
                State::Sent => self.counters.sent.inc(),
                State::Queued => self.counters.postponed.inc(),
                State::Failed => self.counters.failed.inc(),
                State::Unknown => self.counters.unknown.inc(),
            };
            if let Some(why) = &settled.last_error {
                let (state, attempts) = (settled.state, settled.attempts);
                tracing::warn!(entry, ?state, attempts, %why, "a delivery did not succeed");
            }
        }
    }
}

/// What a call that was sent, or refused on the way, came to.
fn outcome(answer: Result<(), GatewayError>) -> Attempt {
    let Err(error) = answer else { return Attempt::Done };
    let why = error.to_string();
    match error {
        GatewayError::OutOfReach(_) => Attempt::NotReached(why, None),
        GatewayError::Busy { again_in, .. } => {
            Attempt::NotReached(why, Some(i64::try_from(again_in.as_millis()).unwrap_or(i64::MAX)))
        }
        GatewayError::Troubled { .. } => Attempt::Troubled(why),
        GatewayError::OutcomeUnknown(_) => Attempt::Unknown(why),
        GatewayError::Rejected { .. } => Attempt::Refused(why),
    }
}

impl From<RegisterError> for Halt {
    fn from(error: RegisterError) -> Self {
        Self::Before(match error {
            RegisterError::Gateway(error) => outcome(Err(error)),
            RegisterError::Store(error) => {
                tracing::error!(error = &error as &dyn Error, "a store failed");
                match error {
                    StoreError::Unavailable { .. } => Attempt::NotReached(OUT_OF_REACH.to_owned(), None),
                    StoreError::Corrupt { .. } => Attempt::Refused(CORRUPT.to_owned()),
                }
            }
            RegisterError::Taken(_) => Attempt::Refused(error.to_string()),
        })
    }
}
