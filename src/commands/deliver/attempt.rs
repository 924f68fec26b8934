//! One delivery: attempted, and its outcome written down.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable};
use futures_util::{StreamExt, stream};

use super::{DeliveryWorker, Leased, log};
use crate::commands::befriend::befriend;
use crate::commands::log_failure::store_failed;
use crate::commands::register_account::RegisterError;
use crate::domain::ids::{Accid, UserId};
use crate::domain::outbox::{Attempt, Progress, Settled, State};
use crate::ports::StoreError;
use crate::ports::gateway::{Addressee, BeforeSend, GatewayError, Notice};
use crate::ports::outbox::{Claimed, EntryId, Lease, OutboxEntry, OutboxNotice, Work};

/// What is said of a recipient whom a batch did not reach, because NetEase does not know them.
const UNREGISTERED: &str = "NetEase does not know this user: they have no account there yet";
/// What a caller is told of our own troubles; the log has more.
const OUT_OF_REACH: &str = "a store of this service is out of reach";
const REFUSES: &str = "a store of this service refuses what is asked of it; see its log";
const CORRUPT: &str = "a store of this service holds something unexpected; see its log";
/// Account rows that a batch looks at at once.
const LOOKS_AT_ONCE: usize = 16;
/// How soon it is worth asking again when NetEase does not accept this service: somebody has to act first.
const NOT_ACCEPTED_PAUSE_MS: i64 = 10_000;
/// The longest pause between two tries to write down an outcome.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What an attempt ends with before anything is sent.
struct Before(Attempt);

impl DeliveryWorker {
    /// Does what is held, writes down what came of it, and answers that for each recipient. Whatever happens in here,
    /// the entries end settled, or are free again when the lease runs out.
    pub async fn deliver(&self, Leased { lease, claimed }: Leased) -> Vec<(UserId, Settled)> {
        let _in_flight = InFlight::new(&self.in_flight);
        let Claimed { notification, from, work } = claimed;
        let id = notification.as_deref();
        let attempts = match self.attempt(&lease, id, &from, &work).await {
            Ok(attempts) => attempts,
            Err(Before(attempt)) => vec![attempt; work.entries().len()],
        };
        let outcomes = self.settled(&work, attempts);
        self.write_down(&lease, id, &work, &outcomes).await;
        let recipients = work.entries().iter().map(|entry| entry.to.clone());
        recipients.zip(outcomes.into_iter().map(|(_, settled)| settled)).collect()
    }

    /// One attempt for each entry, in their order.
    async fn attempt(
        &self,
        lease: &Lease,
        id: Option<&str>,
        from: &UserId,
        work: &Work,
    ) -> Result<Vec<Attempt>, Before> {
        let now = self.ports.clock.now();
        // Entries of one call were accepted together.
        if work.entries().first().is_some_and(|entry| self.bounds.policy.is_over(entry.accepted_at, now)) {
            return Err(Before(Attempt::NotReached("it waited for too long".to_owned(), None)));
        }
        let before = Begin { worker: self, lease, id, work };
        match work {
            // NetEase has brought the one a message of the other, so it knows both.
            Work::Read(entry, newest) => {
                let told = self.ports.gateway.tell_read(from.accid(), entry.to.accid(), newest);
                Ok(vec![outcome(told.await)])
            }
            Work::Friendship(entry) => {
                let (ports, from) = (&self.ports, self.registered(from).await?);
                befriend(&*ports.accounts, &*ports.gateway, &ports.registrar, &from, &entry.to, None).await?;
                Ok(vec![Attempt::Done])
            }
            Work::Notice(entry, notice) => {
                let (from, to) = (self.registered(from).await?, self.registered(&entry.to).await?);
                Ok(vec![self.send(from, Addressee::Person(to), notice, &before).await])
            }
            Work::Team(entry, notice) => {
                let (from, to) = (self.registered(from).await?, entry.to.accid().clone());
                Ok(vec![self.send(from, Addressee::Team(to), notice, &before).await])
            }
            Work::Batch(entries, notice) => {
                let from = self.registered(from).await?;
                self.send_batch(&from, entries, notice, &before).await
            }
        }
    }

    /// A user's account, which NetEase has.
    async fn registered(&self, user: &UserId) -> Result<Accid, Before> {
        self.ports.registrar.ensure(user, None).await?;
        Ok(user.accid().clone())
    }

    async fn send(&self, from: Accid, to: Addressee, notice: &OutboxNotice, before: &Begin<'_>) -> Attempt {
        let addressed = Notice { from, to, content: notice.content.clone() };
        outcome(self.ports.gateway.send_notice(&addressed, before).await)
    }

    /// Recipients are not registered first: that would take a call for each, and a batch is there to save them.
    async fn send_batch(
        &self,
        from: &Accid,
        entries: &[OutboxEntry],
        notice: &OutboxNotice,
        before: &Begin<'_>,
    ) -> Result<Vec<Attempt>, Before> {
        let taken = self.taken(entries).await?;
        let to: Vec<Accid> = entries.iter().map(|entry| entry.to.accid().clone()).collect();
        let theirs: Vec<Accid> =
            to.iter().zip(&taken).filter(|(_, taken)| !**taken).map(|(accid, _)| accid.clone()).collect();
        let sent = match theirs.is_empty() {
            true => Ok(HashMap::new()),
            false => {
                let sent = self.ports.gateway.send_batch(from, &theirs, &notice.content, before).await;
                sent.map(|left_out| left_out.into_iter().map(|left| (left.to, left.refusal)).collect())
            }
        };
        let each = to.iter().zip(taken).map(|(accid, taken)| match &sent {
            _ if taken => Attempt::Refused(RegisterError::Taken(accid.clone()).to_string()),
            Ok(left_out) => match left_out.get(accid) {
                Some(refusal) => Attempt::Refused(why_left_out(refusal.as_deref())),
                None => Attempt::Done,
            },
            Err(error) => outcome(Err(error.clone())),
        });
        Ok(each.collect())
    }

    /// For each entry, whether its account is another user's: rows of earlier versions ignored letter case.
    async fn taken(&self, entries: &[OutboxEntry]) -> Result<Vec<bool>, Before> {
        let look = |to: UserId| async move {
            let account = self.ports.accounts.find(to.accid()).await?;
            Ok(account.is_some_and(|account| account.user != to))
        };
        let users: Vec<UserId> = entries.iter().map(|entry| entry.to.clone()).collect();
        let looks: Vec<Result<bool, StoreError>> =
            stream::iter(users).map(look).buffered(LOOKS_AT_ONCE).collect().await;
        looks.into_iter().collect::<Result<_, _>>().map_err(|error| RegisterError::Store(error).into())
    }

    fn settled(&self, work: &Work, attempts: Vec<Attempt>) -> Vec<(EntryId, Settled)> {
        let (now, repeatable) = (self.ports.clock.now(), work.is_repeatable());
        // The same for all of a batch: they stay together, and what is alike is written down as one.
        let mut chance = DefaultHasher::new();
        work.entries().first().map(|entry| (entry.id, entry.attempts)).hash(&mut chance);
        let chance = chance.finish();
        let settled = |(entry, attempt): (&OutboxEntry, Attempt)| {
            let OutboxEntry { id, attempts, accepted_at, .. } = *entry;
            let progress = Progress { attempts, accepted_at, repeatable };
            (id, self.bounds.policy.settle(progress, attempt, now, chance))
        };
        work.entries().iter().zip(attempts).map(settled).collect()
    }

    /// Tried for as long as the lease holds: what was sent and is not written down will count as unknown.
    async fn write_down(
        &self,
        lease: &Lease,
        id: Option<&str>,
        work: &Work,
        outcomes: &[(EntryId, Settled)],
    ) {
        let pauses = ExponentialBuilder::default()
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times()
            .with_total_delay(Some(Duration::from_millis(self.bounds.lease_ms.unsigned_abs() / 2)));
        let read = match (work, outcomes) {
            (Work::Read(..), [(entry, settled)]) => Some((*entry, settled)),
            _ => None,
        };
        let write = || async {
            match read {
                Some((entry, settled)) => self.ports.outbox.settle_read(lease, entry, settled).await,
                None => self.ports.outbox.settle(lease, outcomes).await,
            }
        };
        if let Err(error) = write.retry(pauses).await {
            return log::not_written_down(id, &error);
        }
        if let Some((_, settled)) = read {
            return self.read_settled(settled);
        }
        for (entry, settled) in outcomes {
            match settled.state {
                State::Sent => self.counters.sent.inc(),
                State::Queued => self.counters.postponed.inc(),
                State::Failed => self.counters.failed.inc(),
                State::Unknown => self.counters.unknown.inc(),
            };
            log::settled(id, *entry, settled);
        }
    }

    /// Only counted: what the counts of this service are does not depend on it.
    fn read_settled(&self, settled: &Settled) {
        match settled.state {
            State::Sent => self.counters.reads_told.inc(),
            State::Queued => 0,
            State::Failed | State::Unknown => self.counters.reads_given_up.inc(),
        };
    }
}

/// Says in the outbox that a call is about to be sent. From here on a death leaves an unknown outcome; before, it left
/// nothing done.
struct Begin<'a> {
    worker: &'a DeliveryWorker,
    lease: &'a Lease,
    /// Of the notification, if it is one.
    id: Option<&'a str>,
    work: &'a Work,
}

#[async_trait]
impl BeforeSend for Begin<'_> {
    async fn may_send(&self) -> bool {
        if self.worker.stop.is_cancelled() {
            return false;
        }
        let ids: Vec<EntryId> = self.work.entries().iter().map(|entry| entry.id).collect();
        let lease = Lease { token: self.lease.token.clone(), ..self.worker.lease() };
        // If the outbox does not answer, it may have been said all the same: settling takes it back.
        self.worker.ports.outbox.begin(&lease, &ids).await.unwrap_or_else(|error| {
            log::nothing_sent(self.id, &error);
            false
        })
    }
}

/// One of the hands that deliver, until it is dropped.
struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    fn new(in_flight: &'a AtomicUsize) -> Self {
        in_flight.fetch_add(1, Ordering::Relaxed);
        Self(in_flight)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn why_left_out(refusal: Option<&str>) -> String {
    refusal
        .map_or_else(|| UNREGISTERED.to_owned(), |refusal| format!("NetEase left this user out: {refusal}"))
}

/// What a call that was sent, or refused on the way, came to.
fn outcome(answer: Result<(), GatewayError>) -> Attempt {
    let Err(error) = answer else { return Attempt::Done };
    let why = error.to_string();
    match error {
        GatewayError::OutOfReach(_) => Attempt::NotReached(why, None),
        GatewayError::CalledOff(_) => Attempt::NotReached(why, Some(0)),
        GatewayError::NotAccepted { .. } => Attempt::NotReached(why, Some(NOT_ACCEPTED_PAUSE_MS)),
        GatewayError::Busy { again_in, .. } => {
            Attempt::NotReached(why, Some(i64::try_from(again_in.as_millis()).unwrap_or(i64::MAX)))
        }
        GatewayError::Transient { .. } => Attempt::Transient(why),
        GatewayError::OutcomeUnknown(_) => Attempt::Unknown(why),
        GatewayError::Rejected { .. } => Attempt::Refused(why),
    }
}

impl From<RegisterError> for Before {
    fn from(error: RegisterError) -> Self {
        Self(match error {
            RegisterError::Gateway(error) => outcome(Err(error)),
            RegisterError::Store(error) => {
                store_failed(&error);
                match error {
                    StoreError::Unavailable { .. } => Attempt::NotReached(OUT_OF_REACH.to_owned(), None),
                    // Rights can be granted, and what is accepted is owed.
                    StoreError::Refused { .. } => Attempt::NotReached(REFUSES.to_owned(), None),
                    StoreError::Corrupt { .. } => Attempt::Refused(CORRUPT.to_owned()),
                }
            }
            RegisterError::Taken(_) => Attempt::Refused(error.to_string()),
        })
    }
}
