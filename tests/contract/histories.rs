//! Shuffled and repeated histories of messages, receipts and recalls, fed through the commands and asked for through
//! the query of the order page, with the view lost now and then: every answer is that of the definition.

use std::sync::Arc;

use otc_im::commands::record_facts::record_fact;
use otc_im::domain::ids::Accid;
use otc_im::domain::message::Message;
use otc_im::domain::unread::Total;
use otc_im::queries::unread_counts::UnreadCounts;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::facts::{Pair, fresh_accid};
use super::interleavings::runner;
use super::model::Model;
use super::watched::{SetClock, counts};
use crate::support::backends::{self, Stack};

const READERS: u8 = 2;
const PEERS: u8 = 3;
/// Two for each pair.
const MESSAGES: u8 = 2 * READERS * PEERS;

/// What comes next. The parties of a message follow from its number.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Message so-and-so, or another copy of it; in one case of some it is no copy but differs.
    Message(u8, Kind),
    /// This reader has read this peer up to that time.
    Receipt(u8, u8, i64),
    /// Message so-and-so is taken back.
    Recall(u8),
    /// This reader's page asks.
    Poll(u8),
    /// The view loses this reader.
    Lose(u8),
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Plain,
    Withheld,
    Altered,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = prop_oneof![8 => Just(Kind::Plain), 1 => Just(Kind::Withheld), 1 => Just(Kind::Altered)];
    let step = prop_oneof![
        8 => (0..MESSAGES, kind).prop_map(|(number, kind)| Step::Message(number, kind)),
        3 => (0..READERS, 0..PEERS, 1..=5_i64).prop_map(|(r, p, up_to)| Step::Receipt(r, p, up_to)),
        2 => (0..MESSAGES).prop_map(Step::Recall),
        3 => (0..READERS).prop_map(Step::Poll),
        1 => (0..READERS).prop_map(Step::Lose),
    ];
    prop::collection::vec(step, 1..40)
}

/// One history on its way through the stores and the model.
struct Run<'a> {
    stack: &'a Stack,
    counts: UnreadCounts,
    clock: Arc<SetClock>,
    readers: Vec<Accid>,
    peers: Vec<Accid>,
    /// The numbers of messages begin after this one: each history has its own.
    base: i64,
    times: [i64; MESSAGES as usize],
    model: Model,
}

impl<'a> Run<'a> {
    fn new(stack: &'a Stack, base: i64, times: [i64; MESSAGES as usize]) -> Self {
        let clock = Arc::new(SetClock::default());
        let counts = counts(stack.view.port.clone(), stack.log.messages.clone(), clock.clone());
        let fresh = |many| (0..many).map(|_| fresh_accid()).collect();
        let (readers, peers) = (fresh(READERS), fresh(PEERS));
        Self { stack, counts, clock, readers, peers, base, times, model: Model::default() }
    }

    fn pair(&self, reader: u8, peer: u8) -> Pair {
        let (reader, peer) = (&self.readers[usize::from(reader)], &self.peers[usize::from(peer)]);
        Pair { reader: reader.clone(), peer: peer.clone() }
    }

    fn pair_of(&self, number: u8) -> Pair {
        self.pair(number % READERS, number / READERS % PEERS)
    }

    fn message(&self, number: u8, kind: Kind) -> Message {
        let message =
            self.pair_of(number).message(self.base + i64::from(number) + 1, self.times[usize::from(number)]);
        match kind {
            Kind::Plain => message,
            Kind::Withheld => Message { withheld: true, ..message },
            Kind::Altered => Message { timestamp: message.timestamp.plus(1), ..message },
        }
    }

    async fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        let (log, view, clock) = (&*self.stack.log, &*self.stack.view, &*self.clock);
        match step {
            Step::Message(number, kind) => {
                let message = self.message(number, kind);
                record_fact(log, view, clock, message.clone().into()).await.unwrap();
                self.model.messages.push(message);
            }
            Step::Receipt(reader, peer, up_to) => {
                let receipt = self.pair(reader, peer).receipt(up_to);
                record_fact(log, view, clock, receipt.clone().into()).await.unwrap();
                self.model.receipts.push(receipt);
            }
            Step::Recall(number) => {
                let recall = self.pair_of(number).recall(self.base + i64::from(number) + 1);
                record_fact(log, view, clock, recall.clone().into()).await.unwrap();
                self.model.recalls.push(recall);
            }
            Step::Poll(reader) => self.poll(reader).await?,
            Step::Lose(reader) => self.stack.view.lose(&self.readers[usize::from(reader)], &self.peers).await,
        }
        Ok(())
    }

    async fn poll(&self, reader: u8) -> Result<(), TestCaseError> {
        let reader = &self.readers[usize::from(reader)];
        let expected: Vec<u64> = self.peers.iter().map(|peer| self.model.unread(reader, peer)).collect();
        let answered = self.counts.of(reader, &self.peers).await.unwrap();
        prop_assert_eq!(&answered, &expected);
        prop_assert_eq!(self.counts.total(reader).await.unwrap(), expected.into_iter().collect::<Total>());
        Ok(())
    }

    async fn live(mut self, steps: &[Step]) -> Result<(), TestCaseError> {
        for step in steps {
            self.take(*step).await?;
        }
        for reader in 0..READERS {
            self.poll(reader).await?;
            self.take(Step::Lose(reader)).await?;
            self.poll(reader).await?;
        }
        Ok(())
    }
}

fn on(stack: Stack, runtime: &Runtime, cases: u32) {
    let histories = (prop::array::uniform12(1..=5_i64), steps());
    let base = std::cell::Cell::new(0);
    let outcome = runner(cases).run(&histories, |(times, steps)| {
        base.set(base.get() + i64::from(MESSAGES));
        runtime.block_on(Run::new(&stack, base.get(), times).live(&steps))
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    runtime.block_on(stack.close());
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn every_history_ends_right_on_memory_and_sqlite() {
    let runtime = runtime();
    let stack = runtime.block_on(backends::embedded());
    on(stack, &runtime, 256);
}

#[test]
fn every_history_ends_right_on_redis_and_mongodb() {
    let runtime = runtime();
    let stack = runtime.block_on(backends::production());
    on(stack, &runtime, 48);
}

#[test]
fn every_history_ends_right_on_two_instances_with_near_caches() {
    let runtime = runtime();
    let stack = runtime.block_on(backends::two_instances());
    on(stack, &runtime, 96);
}
