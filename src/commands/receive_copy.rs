//! Takes in one verified message copy: reads it and does what it says. Acknowledge it only on `Ok`.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::clamp_receipt::clamp_receipt;
use super::copy_flow::ActiveUsers;
use super::keep_dead_letters::keep_dead_letters;
use super::record_facts::{record_fact, record_facts};
use crate::domain::copy::{self, CopyEvent, Receipts, Unintelligible};
use crate::domain::counting::CountingRules;
use crate::domain::ids::Millis;
use crate::domain::message::{Fact, Message, Receipt};
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::dead_letters::DeadLetters;
use crate::ports::message_log::{InsertOutcome, MessageLog};
use crate::ports::unread_view::UnreadView;

/// How far a signature may be dated ahead of our clock and still say what time it is: a day.
const BELIEVED_AHEAD_MS: i64 = 24 * 3_600 * 1_000;

/// Receipts of one copy that are taken in at once: as many as a flush of the log takes by default.
const RECEIPTS_AT_ONCE: usize = 200;

/// Where copies go.
pub struct CopyReceiver {
    /// The truth.
    pub log: Arc<dyn MessageLog>,
    /// The projection.
    pub view: Arc<dyn UnreadView>,
    /// What cannot be understood.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Dates receipts and tombstones.
    pub clock: Arc<dyn Clock>,
    /// Who chats.
    pub active: Arc<ActiveUsers>,
    /// What the site counts.
    pub rules: CountingRules,
    /// How far a receipt may lie ahead of whatever is latest: now, the signature of its copy, or the newest message that
    /// it could mean; in milliseconds.
    pub receipt_allowance_ms: i64,
}

/// What became of a copy, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Of a closed list: a known event type, `probe` or `unknown`.
    pub event_type: &'static str,
    /// What was done.
    pub outcome: Outcome,
}

/// What was done with a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The message is stored.
    Recorded(InsertOutcome),
    /// The receipts are applied.
    Read {
        /// How many were pulled back from the future.
        clamped: usize,
        /// How many could not be understood and are kept.
        dead_letters: usize,
    },
    /// The message is taken back.
    Recalled,
    /// The message is edited.
    Edited,
    /// Messages are withdrawn after a review.
    Withdrawn,
    /// Nothing is kept of it.
    Acknowledged,
    /// It is about a message that NetEase itself does not keep, and has given no number.
    NotKept,
    /// It is about a team's message by somebody who can have no account here.
    Foreign,
    /// It could not be understood and is kept whole.
    DeadLetter,
    /// It is a third-party callback, which wants a verdict: refuse it.
    Callback,
}

impl CopyReceiver {
    /// Takes in a body whose signature, of the time `signed_at`, was verified. On an error nothing may be acknowledged:
    /// NetEase sends it again, and what was done already is safe to do again.
    pub async fn receive(&self, body: &[u8], signed_at: Millis) -> Result<Received, StoreError> {
        let (received, unintelligible) = self.take_in(body, signed_at).await?;
        keep_dead_letters(&*self.dead_letters, &*self.clock, unintelligible).await?;
        Ok(received)
    }

    /// The same, but what cannot be understood is handed back, and kept nowhere yet.
    pub(super) async fn take_in(
        &self,
        body: &[u8],
        signed_at: Millis,
    ) -> Result<(Received, Vec<Unintelligible>), StoreError> {
        let parsed = match copy::parse(body) {
            Ok(parsed) => parsed,
            Err(what) => {
                let received = Received { event_type: what.event_type, outcome: Outcome::DeadLetter };
                return Ok((received, vec![what]));
            }
        };
        let mut unintelligible = Vec::new();
        let outcome = match parsed.copy {
            CopyEvent::Message(message) => {
                if message.is_between_two() {
                    self.active.note(&message.from);
                    self.active.note(&message.to);
                }
                Outcome::Recorded(self.record_message(*message, self.latest(signed_at)).await?)
            }
            CopyEvent::Receipts(Receipts { good, bad, bad_objects: dead_letters }) => {
                unintelligible = bad;
                let clamped = self.mark_read(good, signed_at).await?;
                Outcome::Read { clamped, dead_letters }
            }
            CopyEvent::Recall(recall) => {
                self.record(Fact::Recall(recall)).await?;
                Outcome::Recalled
            }
            CopyEvent::Edit(edit) => {
                self.record(Fact::Edit(edit)).await?;
                Outcome::Edited
            }
            CopyEvent::Withdrawn(recalls) => {
                let recorded = stream::iter(recalls).map(|recall| self.record(recall.into()));
                recorded.buffer_unordered(RECEIPTS_AT_ONCE).try_for_each(|_| ready(Ok(()))).await?;
                Outcome::Withdrawn
            }
            CopyEvent::Numberless => Outcome::NotKept,
            CopyEvent::Foreign => Outcome::Foreign,
            CopyEvent::Probe | CopyEvent::Other => Outcome::Acknowledged,
            CopyEvent::Callback => Outcome::Callback,
        };
        Ok((Received { event_type: parsed.event_type, outcome }, unintelligible))
    }

    /// Records a message, and what its sender has read by writing it, in one call of the log.
    async fn record_message(&self, message: Message, latest: Millis) -> Result<InsertOutcome, StoreError> {
        let message = self.rules.decided(message);
        let Some(receipt) = self.rules.read_by_reply(&message) else {
            return self.record(message.into()).await;
        };
        let (receipt, _) = clamp_receipt(&*self.log, receipt, latest, self.receipt_allowance_ms).await?;
        let facts = vec![message.into(), receipt.into()];
        let copies = record_facts(&*self.log, &*self.view, &*self.clock, facts).await?;
        copies.first().copied().ok_or_else(|| StoreError::unavailable("messages", "no outcome"))
    }

    async fn record(&self, fact: Fact) -> Result<InsertOutcome, StoreError> {
        record_fact(&*self.log, &*self.view, &*self.clock, fact).await
    }

    /// The latest time that a receipt in a copy signed then may speak of.
    fn latest(&self, signed_at: Millis) -> Millis {
        let now = self.clock.now();
        // NetEase's clock where ours is slow; a date that no clock shows is none.
        let signed_at = if signed_at <= now.plus(BELIEVED_AHEAD_MS) { signed_at } else { now };
        now.max(signed_at).plus(self.receipt_allowance_ms)
    }

    /// Records the newest receipt of each pair; answers how many were pulled back from the future.
    async fn mark_read(&self, receipts: Vec<Receipt>, signed_at: Millis) -> Result<usize, StoreError> {
        let latest = self.latest(signed_at);
        let mark_read = |receipt| async move {
            let (receipt, clamped) =
                clamp_receipt(&*self.log, receipt, latest, self.receipt_allowance_ms).await?;
            self.record(Fact::Receipt(receipt)).await?;
            Ok(usize::from(clamped))
        };
        let marked = stream::iter(newest(receipts)).map(mark_read).buffer_unordered(RECEIPTS_AT_ONCE);
        marked.try_fold(0, |sum, clamped| ready(Ok(sum + clamped))).await
    }
}

/// The newest of `receipts` for each pair.
fn newest(receipts: Vec<Receipt>) -> Vec<Receipt> {
    let mut newest = BTreeMap::new();
    for receipt in receipts {
        let latest = newest.entry((receipt.reader, receipt.peer)).or_insert(receipt.up_to);
        *latest = receipt.up_to.max(*latest);
    }
    newest.into_iter().map(|((reader, peer), up_to)| Receipt { reader, peer, up_to }).collect()
}
