//! The real commands and loads, held before every call of a port until the model has got there too.
//!
//! A call that is not let through is refused as an outage, after which a command or load may do nothing more and must
//! not have succeeded: from outside, that is what its crash looks like.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use otc_im::commands::projector::{LoadBounds, Projector};
use otc_im::commands::record_facts::record_fact;
use otc_im::domain::ids::{Accid, Millis, ServerId};
use otc_im::domain::message::Fact;
use otc_im::domain::unread::{Change, Load, Merged, Reading, Snapshot, Total};
use otc_im::ports::StoreError;
use otc_im::ports::clock::{Clock, Ids};
use otc_im::ports::message_log::{MessageLog, Reach, Recorded};
use otc_im::ports::unread_view::{UnreadView, ViewedPair};
use otc_im::ports::view_loader::ViewLoader;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::stage::Stage;
use super::world::NOW;

/// A call of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Record,
    Snapshot,
    Apply,
    BeginLoad,
    Merge,
}

/// A call that waits to be let through.
type Waiting = (Call, oneshot::Sender<()>);

/// A command or load in between two calls.
pub struct Machine {
    calls: mpsc::UnboundedReceiver<Waiting>,
    next: Option<Waiting>,
    work: JoinHandle<bool>,
}

impl Machine {
    /// The command for this copy, before its first call.
    pub async fn handler(stage: &Stage, fact: &Fact) -> Self {
        let (gate, calls) = Gate::new(stage);
        let fact = fact.clone();
        let work = tokio::spawn(async move {
            let (log, view): (&dyn MessageLog, &dyn UnreadView) = (&gate, &gate);
            record_fact(log, view, &Still, fact).await.is_ok()
        });
        Self::waiting(calls, work).await
    }

    /// A load of this reader on an instance of its own, before its first call.
    pub async fn load(stage: &Stage, reader: &Accid, token: String) -> Self {
        let (gate, calls) = Gate::new(stage);
        let gate = Arc::new(gate);
        let bounds = LoadBounds { at_once: 1, remove_unknown: None };
        let loads = Projector::new(gate.clone(), gate, Arc::new(Still), Arc::new(Fixed(token)), bounds);
        let reader = reader.clone();
        let work = tokio::spawn(async move { loads.load(&reader).await.is_ok() });
        Self::waiting(calls, work).await
    }

    async fn waiting(mut calls: mpsc::UnboundedReceiver<Waiting>, work: JoinHandle<bool>) -> Self {
        let next = calls.recv().await;
        Self { calls, next, work }
    }

    /// Lets it make the call that it waits for, which must be this one.
    pub async fn step(&mut self, expected: Call) {
        let (call, through) = self.next.take().expect("it makes one more call");
        assert_eq!(call, expected, "the code calls its ports in another order than the model");
        through.send(()).expect("it waits");
        self.next = self.calls.recv().await;
    }

    /// It has made its calls, and says that all went well.
    pub async fn finish(self) {
        assert_eq!(
            self.next.map(|(call, _)| call),
            None,
            "the code makes a call that the model does not know"
        );
        assert!(self.work.await.expect("no panic"), "it failed though no call did");
    }

    /// It comes no further.
    pub async fn crash(mut self) {
        let cut_short = self.next.take().is_some();
        assert!(self.calls.recv().await.is_none(), "after a refusal it goes on");
        let succeeded = self.work.await.expect("no panic");
        assert_eq!(succeeded, !cut_short, "a copy is acknowledged only when every call went well");
    }
}

/// Both ports of a stage, each call held.
struct Gate {
    log: Arc<dyn MessageLog>,
    view: Arc<dyn UnreadView>,
    calls: mpsc::UnboundedSender<Waiting>,
}

impl Gate {
    fn new(stage: &Stage) -> (Self, mpsc::UnboundedReceiver<Waiting>) {
        let (calls, waiting) = mpsc::unbounded_channel();
        (Self { log: stage.log(), view: stage.view(), calls }, waiting)
    }

    async fn pass(&self, call: Call) -> Result<(), StoreError> {
        let (through, let_through) = oneshot::channel();
        // With nobody there to receive it, the channel is dropped and the call refused.
        let _ = self.calls.send((call, through));
        let_through.await.map_err(|refused| StoreError::unavailable("unread", refused))
    }
}

#[async_trait]
impl MessageLog for Gate {
    async fn record(&self, facts: Vec<Fact>) -> Vec<Result<Recorded, StoreError>> {
        match self.pass(Call::Record).await {
            Ok(()) => self.log.record(facts).await,
            Err(refused) => refused.of_all(facts.len()),
        }
    }

    async fn reach(&self, reader: &Accid, peer: &Accid, up_to: Millis) -> Result<Reach, StoreError> {
        self.log.reach(reader, peer, up_to).await
    }

    async fn snapshot(&self, reader: &Accid) -> Result<Snapshot, StoreError> {
        self.pass(Call::Snapshot).await?;
        self.log.snapshot(reader).await
    }

    /// Never asked by loads that remove whatever is unknown.
    async fn unknown(&self, reader: &Accid, ids: &[ServerId]) -> Result<HashSet<ServerId>, StoreError> {
        self.log.unknown(reader, ids).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.log.ping().await
    }
}

#[async_trait]
impl UnreadView for Gate {
    async fn read(&self, reader: &Accid, peers: &[Accid]) -> Result<Reading, StoreError> {
        self.view.read(reader, peers).await
    }

    async fn total(&self, reader: &Accid) -> Result<Reading<Total>, StoreError> {
        self.view.total(reader).await
    }

    async fn apply(&self, change: &Change, now: Millis) -> Result<(), StoreError> {
        self.pass(Call::Apply).await?;
        self.view.apply(change, now).await
    }

    async fn begin_load(&self, reader: &Accid, fresh_token: &str) -> Result<Load, StoreError> {
        self.pass(Call::BeginLoad).await?;
        self.view.begin_load(reader, fresh_token).await
    }

    async fn merge(
        &self,
        reader: &Accid,
        load: &Load,
        snapshot: &Snapshot,
        now: Millis,
    ) -> Result<Merged, StoreError> {
        self.pass(Call::Merge).await?;
        self.view.merge(reader, load, snapshot, now).await
    }

    async fn explain(&self, reader: &Accid, peer: &Accid) -> Result<ViewedPair, StoreError> {
        self.view.explain(reader, peer).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.view.ping().await
    }
}

/// The model's hour.
struct Still;

impl Clock for Still {
    fn now(&self) -> Millis {
        NOW
    }
}

/// The model's token.
struct Fixed(String);

impl Ids for Fixed {
    fn fresh(&self) -> String {
        self.0.clone()
    }
}
