//! Takes in one verified message copy: reads it and does what it says. Acknowledge it only on `Ok`.

use std::sync::Arc;

use super::bury::bury;
use super::mark_read::mark_read;
use super::recall_message::recall_message;
use super::record_message::record_message;
use crate::domain::copy::{self, Copy, Unintelligible};
use crate::domain::message::Receipt;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::dead_letters::DeadLetters;
use crate::ports::message_log::{CopyNo, MessageLog};
use crate::ports::unread_view::UnreadView;

/// Where copies go.
pub struct Inbox {
    /// The truth.
    pub log: Arc<dyn MessageLog>,
    /// The projection.
    pub view: Arc<dyn UnreadView>,
    /// What cannot be understood.
    pub letters: Arc<dyn DeadLetters>,
    /// Dates receipts and tombstones.
    pub clock: Arc<dyn Clock>,
    /// How far ahead of now a receipt may lie, in milliseconds.
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
    Recorded(CopyNo),
    /// The receipts are applied.
    Read {
        /// How many were pulled back from the future.
        clamped: usize,
        /// How many could not be understood and are kept.
        buried: usize,
    },
    /// The message is taken back.
    Recalled,
    /// Nothing is kept of it.
    Acknowledged,
    /// It could not be understood and is kept whole.
    Buried,
    /// It is a third-party callback, which wants a verdict: refuse it.
    Callback,
}

impl Inbox {
    /// Takes in a body whose signature was verified. On an error nothing may be acknowledged: NetEase sends it again,
    /// and what was done already is safe to do again.
    pub async fn receive(&self, body: &[u8]) -> Result<Received, StoreError> {
        let labelled = match copy::parse(body) {
            Ok(labelled) => labelled,
            Err(what) => {
                let event_type = what.event_type;
                bury(&*self.letters, &*self.clock, what).await?;
                return Ok(Received { event_type, outcome: Outcome::Buried });
            }
        };
        let (log, view, clock) = (&*self.log, &*self.view, &*self.clock);
        let outcome = match labelled.copy {
            Copy::Message(message) => Outcome::Recorded(record_message(log, view, clock, &message).await?),
            Copy::Receipts(receipts) => self.read(receipts).await?,
            Copy::Recall(recall) => {
                recall_message(log, view, clock, &recall).await?;
                Outcome::Recalled
            }
            Copy::Probe | Copy::Other => Outcome::Acknowledged,
            Copy::Callback => Outcome::Callback,
        };
        Ok(Received { event_type: labelled.event_type, outcome })
    }

    async fn read(&self, receipts: Vec<Result<Receipt, Unintelligible>>) -> Result<Outcome, StoreError> {
        let (mut good, mut bad) = (Vec::with_capacity(receipts.len()), Vec::new());
        for receipt in receipts {
            match receipt {
                Ok(receipt) => good.push(receipt),
                Err(what) => bad.push(what),
            }
        }
        let clamped =
            mark_read(&*self.log, &*self.view, &*self.clock, good, self.receipt_allowance_ms).await?;
        let buried = bad.len();
        for what in bad {
            bury(&*self.letters, &*self.clock, what).await?;
        }
        Ok(Outcome::Read { clamped, buried })
    }
}
