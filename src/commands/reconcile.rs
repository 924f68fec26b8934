//! Fills the message log from NetEase's history: what was written while copies were lost.

use std::collections::HashSet;
use std::sync::Arc;

use super::record_facts::record_facts;
use crate::domain::counting::CountingRules;
use crate::domain::ids::{Accid, Millis, ServerId};
use crate::domain::message::{Fact, Message, Receipt};
use crate::log_gate::LogGate;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::gateway::GatewayError;
use crate::ports::history::{History, Page, PageStart};
use crate::ports::log_upkeep::LogUpkeep;
use crate::ports::message_log::{InsertOutcome, MessageLog};
use crate::ports::unread_view::UnreadView;

/// What reconciling needs.
#[derive(Clone)]
pub struct Reconciler {
    /// What NetEase keeps.
    pub history: Arc<dyn History>,
    /// The truth.
    pub log: Arc<dyn MessageLog>,
    /// The log's unread messages of a pair.
    pub upkeep: Arc<dyn LogUpkeep>,
    /// The projection.
    pub view: Arc<dyn UnreadView>,
    /// Dates tombstones.
    pub clock: Arc<dyn Clock>,
    /// What the site counts.
    pub rules: CountingRules,
}

/// A stretch of time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its beginning.
    pub from: Millis,
    /// Its end.
    pub to: Millis,
}

/// Whether what is found is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is.
    Store,
    /// It is counted alone.
    DryRun,
}

/// What history and log have of a user's conversations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Conversations that were read.
    pub pairs: usize,
    /// Messages that history has of them.
    pub seen: usize,
    /// Of these, the ones that the log lacked: stored, unless it was a dry run.
    pub added: usize,
    /// Of these, the ones that the log has under the same number with another sender, recipient or time; the log's stay.
    pub conflicting: usize,
    /// Of these, the ones that could not be understood.
    pub unreadable: usize,
    /// Users and conversations that NetEase refused to show; nothing is known of those.
    pub refused: usize,
    /// Messages that the log counts as unread and history lacks. They stay: they may have been recalled, or sent so that
    /// NetEase does not persist them.
    pub not_in_history: usize,
}

impl Reconciled {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            pairs: self.pairs + other.pairs,
            seen: self.seen + other.seen,
            added: self.added + other.added,
            conflicting: self.conflicting + other.conflicting,
            unreadable: self.unreadable + other.unreadable,
            refused: self.refused + other.refused,
            not_in_history: self.not_in_history + other.not_in_history,
        }
    }
}

/// Why a user's conversations were not all read. What was stored until then stays, and is found again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// A store of ours failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// NetEase did not answer as it should.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// NetEase refused to show anything of anybody.
    #[error("NetEase shows nobody's history")]
    AllRefused,
}

/// The conversations that one run has read: each is read once, though both of its users ask for it.
#[derive(Debug, Default)]
pub struct PairsRead(HashSet<(Accid, Accid)>);

impl PairsRead {
    fn is_new(&mut self, one: &Accid, other: &Accid) -> bool {
        let (first, second) = if one < other { (one, other) } else { (other, one) };
        self.0.insert((first.clone(), second.clone()))
    }
}

/// One that NetEase does not show for good: it does not know an account, say.
fn refused(user: &Accid, error: &GatewayError) -> Reconciled {
    static REFUSED: LogGate = LogGate::new();
    if let Some(count) = REFUSED.pass() {
        tracing::warn!(count, %user, %error, "NetEase does not show a history");
    }
    Reconciled { refused: 1, ..Reconciled::default() }
}

impl Reconciler {
    /// Reads the conversations of `user` in which something was written within `window`, and stores what the log lacks of
    /// that time, in both directions. Idempotent.
    pub async fn user(
        &self,
        user: &Accid,
        window: Window,
        mode: Mode,
        read: &mut PairsRead,
    ) -> Result<Reconciled, ReconcileError> {
        let mut found = Reconciled::default();
        let peers = match self.history.peers(user, window.from).await {
            Err(error @ GatewayError::Rejected { .. }) => return Ok(refused(user, &error)),
            peers => peers?,
        };
        for peer in peers {
            if peer != *user && read.is_new(user, &peer) {
                found = found.and(match self.pair(user, &peer, window, mode).await {
                    Err(ReconcileError::Gateway(error @ GatewayError::Rejected { .. })) => {
                        refused(user, &error)
                    }
                    pair => pair?,
                });
            }
        }
        Ok(found)
    }

    async fn pair(
        &self,
        user: &Accid,
        peer: &Accid,
        window: Window,
        mode: Mode,
    ) -> Result<Reconciled, ReconcileError> {
        let mut found = Reconciled { pairs: 1, ..Reconciled::default() };
        let mut in_history = HashSet::new();
        let mut start = Some(PageStart { from: window.from, to: window.to, after: None, token: None });
        while let Some(at) = start {
            let Page { messages, unreadable, next } = self.history.page(user, peer, &at).await?;
            let new = |message: &Message| in_history.insert(message.key.server_id);
            let messages: Vec<Message> = messages.into_iter().filter(new).collect();
            found.seen += messages.len() + unreadable;
            found.unreadable += unreadable;
            let (added, conflicting) = match mode {
                Mode::Store => self.store(messages).await?,
                Mode::DryRun => (self.lacking(&messages, user, peer).await?, 0),
            };
            found.added += added;
            found.conflicting += conflicting;
            start = next;
        }
        for (reader, peer) in [(user, peer), (peer, user)] {
            found.not_in_history += self.not_in(&in_history, reader, peer, window).await?;
            if mode == Mode::Store
                && self.history.tells_last_read()
                && let Some(up_to) = self.history.last_read(reader, peer).await?
            {
                // A mark from the future would silence the chat until then.
                let up_to = up_to.min(self.clock.now());
                let receipt = Receipt { reader: reader.clone(), peer: peer.clone(), up_to };
                self.record(vec![receipt.into()]).await?;
            }
        }
        Ok(found)
    }

    /// How many of the messages were new, and how many the log has otherwise.
    async fn store(&self, messages: Vec<Message>) -> Result<(usize, usize), StoreError> {
        if messages.is_empty() {
            return Ok((0, 0));
        }
        let messages: Vec<Message> = messages.into_iter().map(|found| self.rules.decided(found)).collect();
        let receipts: Vec<Receipt> =
            messages.iter().filter_map(|found| self.rules.read_by_reply(found)).collect();
        let stored = messages.len();
        let facts = messages.into_iter().map(Fact::from).chain(receipts.into_iter().map(Fact::from));
        let outcomes = self.record(facts.collect()).await?;
        let count = |of| outcomes.iter().take(stored).filter(|outcome| **outcome == of).count();
        Ok((count(InsertOutcome::First), count(InsertOutcome::Conflicting)))
    }

    /// Log, then view, as for copies. The view is told of what the log had already, too: a copy may have been refused
    /// because the view was away.
    async fn record(&self, facts: Vec<Fact>) -> Result<Vec<InsertOutcome>, StoreError> {
        record_facts(&*self.log, &*self.view, &*self.clock, facts).await
    }

    /// How many of the messages the log holds nothing of.
    async fn lacking(&self, messages: &[Message], user: &Accid, peer: &Accid) -> Result<usize, StoreError> {
        let mut lacking = 0;
        for reader in [user, peer] {
            let to_reader = messages.iter().filter(|message| message.to == *reader);
            let ids: Vec<ServerId> = to_reader.map(|message| message.key.server_id).collect();
            if !ids.is_empty() {
                lacking += self.log.unknown(reader, &ids).await?.len();
            }
        }
        Ok(lacking)
    }

    async fn not_in(
        &self,
        in_history: &HashSet<ServerId>,
        reader: &Accid,
        peer: &Accid,
        window: Window,
    ) -> Result<usize, StoreError> {
        let unread = self.upkeep.pair(reader, peer).await?.unread;
        let within = unread.iter().filter(|(_, at)| (window.from..=window.to).contains(at));
        Ok(within.filter(|(id, _)| !in_history.contains(id)).count())
    }
}
