//! Takes in one verified message copy: reads it and does what it says. Acknowledge it only on `Ok`.

use std::sync::Arc;

use futures_util::future::try_join_all;

use super::bury::bury;
use super::group::{Group, Lost};
use super::mark_read::{mark_read, newest};
use super::recall_message::recall_message;
use super::record_messages::record_messages;
use crate::domain::copy::{self, Copy, Unintelligible};
use crate::domain::message::{Message, Receipt};
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::dead_letters::DeadLetters;
use crate::ports::message_log::{CopyNo, MessageLog};
use crate::ports::unread_view::UnreadView;

/// What an inbox works with.
#[derive(Clone)]
pub struct Ports {
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
    /// Messages, and receipts, that are written at once; at least 1.
    pub group: usize,
}

/// Where copies go. Messages that come at the same time are written together, and so are receipts.
pub struct Inbox {
    /// What it works with.
    pub ports: Ports,
    messages: Group<Message, Result<CopyNo, StoreError>>,
    receipts: Group<Receipt, Result<(), StoreError>>,
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
    /// Opens an inbox, on the runtime around it.
    pub fn new(ports: Ports) -> Self {
        let at = ports.clone();
        let messages = Group::new(ports.group, move |messages: Vec<Message>| {
            let at = at.clone();
            async move { record_messages(&*at.log, &*at.view, &*at.clock, &messages).await }
        });
        let at = ports.clone();
        let receipts = Group::new(ports.group, move |receipts: Vec<Receipt>| {
            let at = at.clone();
            async move { mark_read(&*at.log, &*at.view, &*at.clock, &receipts).await }
        });
        Self { ports, messages, receipts }
    }

    /// Takes in a body whose signature was verified. On an error nothing may be acknowledged: NetEase sends it again,
    /// and what was done already is safe to do again.
    pub async fn receive(&self, body: &[u8]) -> Result<Received, StoreError> {
        let labelled = match copy::parse(body) {
            Ok(labelled) => labelled,
            Err(what) => {
                let event_type = what.event_type;
                self.bury(what).await?;
                return Ok(Received { event_type, outcome: Outcome::Buried });
            }
        };
        let outcome = match labelled.copy {
            Copy::Message(message) => {
                Outcome::Recorded(self.messages.submit(*message).await.unwrap_or_else(lost)?)
            }
            Copy::Receipts(receipts) => self.read(receipts).await?,
            Copy::Recall(recall) => {
                let Ports { log, view, clock, .. } = &self.ports;
                recall_message(&**log, &**view, &**clock, &recall).await?;
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
        let (good, clamped) = newest(good, self.ports.clock.now(), self.ports.receipt_allowance_ms);
        let mark = async |receipt| self.receipts.submit(receipt).await.unwrap_or_else(lost);
        try_join_all(good.into_iter().map(mark)).await?;
        let buried = bad.len();
        for what in bad {
            self.bury(what).await?;
        }
        Ok(Outcome::Read { clamped, buried })
    }

    async fn bury(&self, what: Unintelligible) -> Result<(), StoreError> {
        bury(&*self.ports.letters, &*self.ports.clock, what).await
    }
}

/// What was given to a flush that did not end may be in the log or not.
fn lost<T>(lost: Lost) -> Result<T, StoreError> {
    Err(StoreError::unavailable("messages", lost))
}
