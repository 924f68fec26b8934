//! A state of the model.

use otc_im::domain::ids::{Accid, Millis};
use otc_im::domain::message::{Fact, Message};
use otc_im::domain::unread::{Merged, ReaderView, Reading};

use super::log::Log;
use super::scene::{Budget, Scene};
use super::work::{Handler, Loading, Read};

/// The hour at which everything happens: nothing in the rules depends on time passing, as long as work under way is
/// younger than the tombstones of the view.
pub const NOW: Millis = Millis(1_000_000);
/// Instances of the service. Each has at most one load of a reader under way.
pub const INSTANCES: usize = 2;

/// How far NetEase has come with a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sent {
    Not,
    Begun,
    Acked,
}

/// Everything there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub log: Log,
    /// The view, by reader.
    pub views: Vec<ReaderView>,
    /// By copy.
    pub sent: Vec<Sent>,
    /// In the order of their copies.
    pub handlers: Vec<Handler>,
    /// In the order of their readers.
    pub loads: Vec<Loading>,
    /// How far the view's replica has come, once that matters.
    pub replica: Option<Vec<ReaderView>>,
    /// By reader: the newest writes were lost, and no load that began afterwards has merged.
    pub drifted: Vec<bool>,
    pub left: Budget,
}

impl World {
    /// Nothing has happened yet.
    pub fn new(scene: &Scene) -> Self {
        Self {
            log: Log::default(),
            views: vec![ReaderView::default(); scene.readers.len()],
            sent: vec![Sent::Not; scene.facts.len()],
            handlers: Vec::new(),
            loads: Vec::new(),
            replica: None,
            drifted: vec![false; scene.readers.len()],
            left: scene.budget,
        }
    }

    /// What a poll of this reader is told.
    pub fn poll(&self, scene: &Scene, reader: usize) -> Reading {
        self.views[reader].read(&scene.peers)
    }

    /// Every count that is told now: the reader's place, the peer, the count.
    pub fn told<'a>(&'a self, scene: &'a Scene) -> impl Iterator<Item = (usize, &'a Accid, u64)> {
        (0..scene.readers.len()).flat_map(move |reader| {
            let counts = match self.poll(scene, reader) {
                Reading::Known { counts, .. } => counts,
                Reading::Unknown => Vec::new(),
            };
            scene.peers.iter().zip(counts).map(move |(peer, count)| (reader, peer, count))
        })
    }

    /// How the merge of a load that has read everything would end now.
    pub fn would_merge(&self, loading: &Loading) -> Option<Merged> {
        let Read::Everything(snapshot) = &loading.read else { return None };
        Some(self.views[loading.reader].clone().merge(&loading.load, snapshot, NOW))
    }

    /// Nothing is under way, and nothing was left half done.
    pub fn at_rest(&self) -> bool {
        self.handlers.is_empty() && self.loads.is_empty() && !self.sent.contains(&Sent::Begun)
    }

    /// The messages of a pair that are sent at least so far.
    pub fn messages<'a>(
        &'a self,
        scene: &'a Scene,
        (reader, peer): (usize, &'a Accid),
        least: Sent,
    ) -> impl Iterator<Item = &'a Message> {
        let reader = &scene.readers[reader];
        let sent = scene.messages().filter(move |(copy, _)| self.sent[*copy] >= least);
        sent.map(|(_, message)| message).filter(move |m| m.to == *reader && m.from == *peer && m.counts())
    }

    /// The definition: messages of the pair, sent at least `messages` far, that no receipt and no recall which is at
    /// least `others` far takes off the count.
    pub fn unread(&self, scene: &Scene, pair: (usize, &Accid), messages: Sent, others: Sent) -> u64 {
        let others = || scene.facts.iter().zip(&self.sent).filter(|(_, sent)| **sent >= others);
        let left = self.messages(scene, pair, messages).filter(|message| {
            !others().any(|(fact, _)| match fact {
                Fact::Receipt(receipt) => {
                    receipt.reader == message.to
                        && receipt.peer == message.from
                        && message.timestamp <= receipt.up_to
                }
                Fact::Recall(recall) => recall.key == message.key,
                Fact::Message(_) | Fact::Edit(_) => false,
            })
        });
        left.count() as u64
    }
}
