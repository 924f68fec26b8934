//! A message log in memory. The order of its steps is the code of the one on MongoDB: anything may come between two of
//! them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::future::join_all;
use otc_im::domain::ids::{Accid, Millis, ServerId};
use otc_im::domain::message::{ConvType, Edit, Fact, Message, MessageKey, MessageRef, Recall, Receipt};
use otc_im::domain::unread::Snapshot;
use otc_im::infra::mongo::steps::{self, Pair, Steps, StoredCopy};
use otc_im::ports::StoreError;
use otc_im::ports::dead_letters::{DeadLetter, DeadLetters};
use otc_im::ports::message_log::{MessageLog, Reach, Recorded, Since};

use super::port::{Port, Step, Store};
use super::world::About;

/// What is durable.
#[derive(Debug, Default)]
pub struct Disk {
    pub messages: BTreeMap<MessageKey, Row>,
    pub marks: BTreeMap<(Accid, Accid), Millis>,
    pub letters: BTreeMap<String, DeadLetter>,
}

/// A document of `messages`; without a message it is a tombstone that came first.
#[derive(Debug, Clone)]
pub struct Row {
    pub message: Option<Message>,
    pub to: Accid,
    pub read: bool,
    pub counted: bool,
    pub recalled: bool,
}

impl Disk {
    fn insert(&mut self, message: &Message) -> bool {
        let vacant = !self.messages.contains_key(&message.key);
        if vacant {
            let row = Row {
                message: Some(message.clone()),
                to: message.to.clone(),
                read: false,
                counted: message.counts(),
                recalled: false,
            };
            self.messages.insert(message.key, row);
        }
        vacant
    }

    fn fill_tombstone(&mut self, message: &Message) -> bool {
        let row = self.messages.get_mut(&message.key).filter(|row| row.message.is_none());
        let Some(row) = row else { return false };
        (row.message, row.counted) = (Some(message.clone()), false);
        true
    }

    fn complete(&mut self, copy: Message) {
        let Some(row) = self.messages.get_mut(&copy.key) else { return };
        row.counted &= !copy.withheld;
        row.message = Some(copy);
    }

    fn mark_messages(&mut self, Receipt { reader, peer, up_to }: &Receipt) {
        for row in self.messages.values_mut().filter(|row| row.counted && row.to == *reader) {
            row.read |= row.message.as_ref().is_some_and(|m| m.from == *peer && m.timestamp <= *up_to);
        }
    }

    fn read(&mut self, keys: &[MessageKey]) {
        for (_, row) in self.messages.iter_mut().filter(|(key, _)| keys.contains(key)) {
            row.read |= row.counted;
        }
    }

    fn raise(&mut self, Receipt { reader, peer, up_to }: &Receipt) {
        let mark = self.marks.entry((reader.clone(), peer.clone())).or_insert(*up_to);
        *mark = (*up_to).max(*mark);
    }

    fn lay_tombstone(&mut self, recall: &Recall) {
        let row = Row { message: None, to: recall.to.clone(), read: false, counted: false, recalled: true };
        let row = self.messages.entry(recall.key).or_insert(row);
        (row.recalled, row.counted) = (true, false);
    }

    fn unread(&self, reader: &Accid) -> Snapshot {
        let counted = self.messages.values().filter(|r| r.counted && !r.read && r.to == *reader);
        let unread = counted.filter_map(|row| row.message.as_ref());
        let unread = unread.map(|m| (m.from.clone(), m.key.server_id, m.timestamp)).collect();
        Snapshot { unread, ..Snapshot::default() }
    }

    /// Recalled messages; a tombstone whose message has not come yet is none.
    fn recalled(&self, reader: &Accid) -> Vec<(Accid, ServerId)> {
        let messages = self.messages.values().filter(|r| r.recalled && r.to == *reader);
        let persons = messages.filter_map(|row| row.message.as_ref());
        let persons = persons.filter(|m| m.key.conv_type == ConvType::Person);
        persons.map(|m| (m.from.clone(), m.key.server_id)).collect()
    }

    fn marks_of(&self, reader: &Accid) -> Vec<(Accid, Millis)> {
        let of_reader = self.marks.iter().filter(|((of, _), _)| of == reader);
        of_reader.map(|((_, peer), mark)| (peer.clone(), *mark)).collect()
    }
}

/// The log as one instance sees it.
pub struct SimLog {
    pub port: Port,
    pub disk: Arc<Mutex<Disk>>,
}

impl SimLog {
    async fn step<T: Send + 'static>(
        &self,
        what: &'static str,
        about: About,
        act: impl FnOnce(&mut Disk) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        self.port.step(Step { store: Store::Log, what, about }, &self.disk, act).await
    }

    async fn insert_or_find_one<'a>(&self, message: &'a Message) -> Result<StoredCopy<'a>, StoreError> {
        let (key, about) = (message.key, About::Key(message.key));
        let copy = message.clone();
        if self.step("insert", about.clone(), move |disk| disk.insert(&copy)).await? {
            return Ok(StoredCopy::first(message, false));
        }
        let copy = message.clone();
        if self.step("fill tombstone", about.clone(), move |disk| disk.fill_tombstone(&copy)).await? {
            return Ok(StoredCopy::first(message, true));
        }
        let row = self.step("find", about, move |disk| disk.messages.get(&key).cloned()).await?;
        let row = row.expect("nothing is ever deleted here");
        let kept = row.message.unwrap_or_else(|| message.clone());
        if kept.is_completed_by(message) {
            let (about, copy) = (About::Key(message.key), message.clone());
            self.step("complete", about, move |disk| disk.complete(copy)).await?;
            return Ok(StoredCopy::completed(message, &kept, row.recalled, row.read));
        }
        let since = Since { taken_back: row.recalled, edited: false };
        Ok(StoredCopy::further(message, kept, since, row.read))
    }

    async fn raise(&self, receipt: &Receipt) -> Result<(), StoreError> {
        let (about, raise) = (About::Pair(receipt.reader.clone(), receipt.peer.clone()), receipt.clone());
        self.step("raise mark", about, move |disk| disk.raise(&raise)).await
    }

    async fn lay_tombstone(&self, recall: &Recall) -> Result<(), StoreError> {
        let (about, recall) = (About::Key(recall.key), recall.clone());
        self.step("recall", about, move |disk| disk.lay_tombstone(&recall)).await
    }

    async fn mark_messages(&self, receipt: &Receipt) -> Result<(), StoreError> {
        let (about, mark) = (About::Pair(receipt.reader.clone(), receipt.peer.clone()), receipt.clone());
        self.step("mark messages", about, move |disk| disk.mark_messages(&mark)).await
    }
}

/// The steps of a batch, each with faults of its own; their order is the adapter's.
#[async_trait]
impl Steps for SimLog {
    async fn insert_or_find<'a>(&self, messages: &[&'a Message]) -> Vec<Result<StoredCopy<'a>, StoreError>> {
        let inserted = join_all(messages.iter().map(|message| self.insert_or_find_one(message)));
        self.port.carry(Store::Log, messages.len(), inserted).await
    }

    async fn lay_tombstones(&self, recalls: &[&Recall]) -> Vec<Result<(), StoreError>> {
        let laid = join_all(recalls.iter().map(|recall| self.lay_tombstone(recall)));
        self.port.carry(Store::Log, recalls.len(), laid).await
    }

    /// No history of these simulations has one.
    async fn edit(&self, edits: &[&Edit]) -> Vec<Result<(), StoreError>> {
        edits.iter().map(|edit| Err(StoreError::refused("messages", edit.key.to_string()))).collect()
    }

    async fn marks(
        &self,
        pairs: HashSet<Pair>,
    ) -> Result<HashMap<Pair, Result<Millis, StoreError>>, StoreError> {
        let find = move |disk: &mut Disk| {
            let mark = |pair| Some((disk.marks.get(&pair).copied()?, pair));
            pairs.into_iter().filter_map(mark).map(|(mark, pair)| (pair, Ok(mark))).collect()
        };
        self.step("find marks", About::Nothing, find).await
    }

    async fn set_read(&self, keys: Vec<MessageKey>) -> Result<(), StoreError> {
        self.step("read late", About::Nothing, move |disk| disk.read(&keys)).await
    }

    async fn raise_marks(&self, receipts: &[&Receipt]) -> Vec<Result<(), StoreError>> {
        let raised = join_all(receipts.iter().map(|receipt| self.raise(receipt)));
        self.port.carry(Store::Log, receipts.len(), raised).await
    }

    async fn set_read_up_to(&self, receipts: &[&Receipt]) -> Vec<Result<(), StoreError>> {
        join_all(receipts.iter().map(|receipt| self.mark_messages(receipt))).await
    }
}

#[async_trait]
impl MessageLog for SimLog {
    async fn record(&self, facts: Vec<Fact>) -> Vec<Result<Recorded, StoreError>> {
        steps::record(self, facts).await
    }

    async fn reach(&self, reader: &Accid, peer: &Accid, up_to: Millis) -> Result<Reach, StoreError> {
        let (about, of) = (About::Pair(reader.clone(), peer.clone()), (reader.clone(), peer.clone()));
        let newest = move |disk: &mut Disk| {
            let unread = disk.unread(&of.0).unread.into_iter();
            let unread = unread.filter(|(from, _, at)| *from == of.1 && *at <= up_to);
            let newest = unread.max_by_key(|(_, _, at)| *at);
            newest.map(|(_, id, at)| MessageRef { at, id, client_id: None })
        };
        let unread = self.step("newest", about.clone(), newest).await?;
        let of = (reader.clone(), peer.clone());
        let mark = self.step("find mark", about, move |disk| disk.marks.get(&of).copied()).await?;
        Ok(Reach { unread, mark })
    }

    async fn snapshot(&self, reader: &Accid) -> Result<Snapshot, StoreError> {
        let (of, about) = (reader.clone(), About::Reader(reader.clone()));
        let snapshot = self.step("snapshot", about.clone(), move |disk| disk.unread(&of)).await?;
        let of = reader.clone();
        let marks = self.step("snapshot", about.clone(), move |disk| disk.marks_of(&of)).await?;
        let of = reader.clone();
        let recalled = self.step("snapshot", about, move |disk| disk.recalled(&of)).await?;
        Ok(Snapshot { marks, recalled, ..snapshot })
    }

    async fn unknown(&self, reader: &Accid, ids: &[ServerId]) -> Result<HashSet<ServerId>, StoreError> {
        let (of, ids) = (reader.clone(), ids.to_vec());
        let unknown = move |disk: &mut Disk| {
            let key = |server_id| MessageKey { conv_type: ConvType::Person, server_id };
            let known = |id: &ServerId| disk.messages.get(&key(*id)).is_some_and(|row| row.to == of);
            ids.into_iter().filter(|id| !known(id)).collect()
        };
        self.step("look for unknown", About::Reader(reader.clone()), unknown).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.step("ping", About::Nothing, |_| ()).await
    }
}

#[async_trait]
impl DeadLetters for SimLog {
    async fn keep_all(&self, letters: &[DeadLetter]) -> Result<(), StoreError> {
        let letters = letters.to_vec();
        let keep = |disk: &mut Disk| {
            for letter in letters {
                disk.letters.entry(letter.id.clone()).or_insert(letter);
            }
        };
        self.step("keep dead letters", About::Nothing, keep).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.step("letters", About::Nothing, |disk| disk.letters.len() as u64).await
    }

    async fn find(&self, id: &str) -> Result<Option<DeadLetter>, StoreError> {
        let id = id.to_owned();
        self.step("letter", About::Nothing, move |disk| disk.letters.get(&id).cloned()).await
    }

    async fn list(&self, _after: Option<&str>, _limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
        self.step("letters", About::Nothing, |disk| disk.letters.values().cloned().collect()).await
    }

    async fn remove(&self, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.step("letter done", About::Nothing, move |disk| disk.letters.remove(&id)).await.map(|_| ())
    }

    async fn forget(&self, before: Millis, _limit: u32) -> Result<u64, StoreError> {
        let forget = move |disk: &mut Disk| {
            let held = disk.letters.len();
            disk.letters.retain(|_, letter| letter.received_at >= before);
            (held - disk.letters.len()) as u64
        };
        self.step("forget letters", About::Nothing, forget).await
    }
}
