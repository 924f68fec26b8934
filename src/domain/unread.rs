//! The unread rules. Everything that answers an order page keeps to these, in Rust here and in Lua for Redis.
//!
//! ```text
//! unread(reader, peer) = | { m : PERSON, from peer, to reader, msgTimestamp > mark(reader, peer),
//!                              not recalled, delivered } |
//! ```
//!
//! Which messages count at all: `Message::counts` in `message.rs`.
//!
//! An event becomes a [`Change`]. Adding to a set, raising a maximum and laying a tombstone commute and may be
//! repeated, so any order, any duplication and any replay of changes ends in the same numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::ids::{Accid, Millis, ServerId};
use super::message::{MessageKey, Receipt, UnreadMessage};

/// How long a view remembers a recall, in milliseconds: one hour.
///
/// The log remembers for ever; the view has to bridge only what is under way between the log and itself, a load or
/// a webhook call, and those are bounded in seconds. A load lays again what was recalled within this time.
pub const TOMBSTONE_MS: i64 = 3_600_000;

/// What one event says about the messages from `peer` to `reader`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Change {
    /// Whose count.
    pub reader: Accid,
    /// From whom.
    pub peer: Accid,
    /// Everything up to this time is read.
    pub mark: Option<Millis>,
    /// This message was sent then.
    pub arrived: Option<(ServerId, Millis)>,
    /// This message was taken back.
    pub recalled: Option<ServerId>,
}

impl Change {
    /// A message, with the mark that the log holds for its pair: a view that has lost the mark learns it again.
    pub fn arrived(message: UnreadMessage, mark: Option<Millis>) -> Self {
        let UnreadMessage { reader, peer, id, at } = message;
        Self { reader, peer, mark, arrived: Some((id, at)), recalled: None }
    }

    /// A read receipt.
    pub fn read(receipt: Receipt) -> Self {
        let Receipt { reader, peer, up_to } = receipt;
        Self { reader, peer, mark: Some(up_to), arrived: None, recalled: None }
    }

    /// A recall of a message from `peer` to `reader`.
    pub fn recalled(reader: Accid, peer: Accid, key: MessageKey) -> Self {
        Self { reader, peer, mark: None, arrived: None, recalled: Some(key.server_id) }
    }
}

/// All that the log counts for one reader, read after a [`Load`] began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// Every message that counts, with its sender and its time.
    pub unread: Vec<(Accid, ServerId, Millis)>,
    /// Every mark of the reader.
    pub marks: Vec<(Accid, Millis)>,
    /// Messages to the reader that were taken back lately, with their senders: a view that has lost the tombstone would
    /// count one when the message, read from the log before its recall, is the later of the two to arrive.
    pub recalled: Vec<(Accid, ServerId)>,
}

impl Snapshot {
    /// The counts of `peers` by the definition.
    pub fn counts(&self, peers: &[Accid]) -> Vec<u64> {
        let marks: HashMap<&Accid, Millis> = self.marks.iter().map(|(peer, mark)| (peer, *mark)).collect();
        let mut counts: HashMap<&Accid, u64> = HashMap::new();
        for (peer, _, at) in &self.unread {
            let unread = marks.get(peer).is_none_or(|mark| at > mark);
            *counts.entry(peer).or_default() += u64::from(unread);
        }
        peers.iter().map(|peer| counts.get(peer).copied().unwrap_or(0)).collect()
    }

    /// All that is unread, by the definition.
    pub fn total(&self) -> Total {
        let peers: HashSet<&Accid> = self.unread.iter().map(|(peer, ..)| peer).collect();
        self.counts(&peers.into_iter().cloned().collect::<Vec<_>>()).into_iter().collect()
    }
}

/// A load under way: what the view held when it began, and the token that proves it has not been lost since.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Load {
    /// Set in the view when the load began; a view that was emptied in between no longer has it.
    pub token: String,
    /// The messages that the view counted then.
    pub held: Vec<(Accid, ServerId)>,
}

impl Load {
    /// What the view held before the log was read and the log no longer counts: read or taken back since, for good.
    pub fn no_longer_counted(&self, snapshot: &Snapshot) -> Vec<&(Accid, ServerId)> {
        let counted: HashSet<ServerId> = snapshot.unread.iter().map(|(_, id, _)| *id).collect();
        self.held.iter().filter(|(_, id)| !counted.contains(id)).collect()
    }
}

/// How a merge ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merged {
    /// The view is complete.
    Done {
        /// Messages that the log counts and the view lacked.
        added: usize,
        /// Messages that the view counted and the log no longer does.
        removed: usize,
    },
    /// The view was lost or completed by someone else since the load began; nothing was vouched for.
    Superseded,
}

/// All unread messages of one reader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Total {
    /// How many there are: the sum of the counts of all peers.
    pub messages: u64,
    /// From how many peers they are: those whose count is not zero.
    pub users: u64,
}

impl FromIterator<u64> for Total {
    fn from_iter<T: IntoIterator<Item = u64>>(counts: T) -> Self {
        counts.into_iter().filter(|count| *count > 0).fold(Self::default(), |total, count| Self {
            messages: total.messages + count,
            users: total.users + 1,
        })
    }
}

/// An answer of the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading<T = Vec<u64>> {
    /// What was asked for.
    Known {
        /// Unread messages: one count per peer, in the order asked; or the [`Total`].
        counts: T,
        /// When the reader was last loaded from the log.
        loaded_at: Millis,
    },
    /// The view cannot tell: load the reader from the log. Never to be taken for zero.
    Unknown,
}

/// One reader's unread messages, in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ReaderView {
    pairs: BTreeMap<Accid, PairView>,
    recalled: BTreeMap<ServerId, Millis>,
    loaded_at: Option<Millis>,
    token: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct PairView {
    /// Ordered by time, so that a receipt cuts off one end.
    unread: BTreeSet<(Millis, ServerId)>,
    mark: Option<Millis>,
}

impl PairView {
    /// Raises the mark and drops what it covers; answers how many that were.
    fn raise(&mut self, mark: Millis) -> usize {
        self.mark = self.mark.max(Some(mark));
        let before = self.unread.len();
        self.unread = self.unread.split_off(&(mark.plus(1), ServerId::FIRST));
        before - self.unread.len()
    }

    fn add(&mut self, id: ServerId, at: Millis) -> bool {
        self.mark.is_none_or(|mark| at > mark) && self.unread.insert((at, id))
    }

    fn remove(&mut self, id: ServerId) -> bool {
        let found = self.unread.iter().find(|(_, held)| *held == id).copied();
        found.is_some_and(|entry| self.unread.remove(&entry))
    }
}

impl ReaderView {
    /// Takes one event in. Safe to repeat, in any order.
    pub fn apply(&mut self, change: &Change, now: Millis) {
        if change.recalled.is_some() {
            self.forget_tombstones(now);
        }
        let pair = self.pairs.entry(change.peer.clone()).or_default();
        if let Some(mark) = change.mark {
            pair.raise(mark);
        }
        if let Some(id) = change.recalled {
            self.recalled.insert(id, now);
            pair.remove(id);
        }
        if let Some((id, at)) = change.arrived
            && !self.recalled.contains_key(&id)
        {
            pair.add(id, at);
        }
    }

    /// The counts of `peers`, if this view is complete.
    pub fn read(&self, peers: &[Accid]) -> Reading {
        let Some(loaded_at) = self.loaded_at else { return Reading::Unknown };
        let count = |peer| self.pairs.get(peer).map_or(0, |pair| pair.unread.len() as u64);
        Reading::Known { counts: peers.iter().map(count).collect(), loaded_at }
    }

    /// All that is unread, if this view is complete.
    pub fn total(&self) -> Reading<Total> {
        let Some(loaded_at) = self.loaded_at else { return Reading::Unknown };
        Reading::Known {
            counts: self.pairs.values().map(|pair| pair.unread.len() as u64).collect(),
            loaded_at,
        }
    }

    /// Begins a load. A load already under way shares its token: each has seen the view whole since then.
    pub fn begin_load(&mut self, fresh_token: &str) -> Load {
        let token = self.token.get_or_insert_with(|| fresh_token.to_owned()).clone();
        Load { token, held: self.held() }
    }

    /// Merges what the log held after `load` began. Changes that came in between stay in force: marks and tombstones
    /// keep out what they rule out, and only what was already held before the log was read can be removed.
    pub fn merge(&mut self, load: &Load, snapshot: &Snapshot, now: Millis) -> Merged {
        if self.token.as_ref() != Some(&load.token) {
            return Merged::Superseded;
        }
        self.forget_tombstones(now);
        let (mut added, mut removed) = (0, 0);
        for (peer, mark) in &snapshot.marks {
            removed += self.pairs.entry(peer.clone()).or_default().raise(*mark);
        }
        for (peer, id) in &snapshot.recalled {
            self.recalled.insert(*id, now);
            removed += self.pairs.get_mut(peer).map_or(0, |pair| usize::from(pair.remove(*id)));
        }
        for (peer, id, at) in &snapshot.unread {
            if !self.recalled.contains_key(id) {
                added += usize::from(self.pairs.entry(peer.clone()).or_default().add(*id, *at));
            }
        }
        for (peer, id) in load.no_longer_counted(snapshot) {
            removed += self.pairs.get_mut(peer).map_or(0, |pair| usize::from(pair.remove(*id)));
        }
        self.token = None;
        self.loaded_at = Some(now);
        Merged::Done { added, removed }
    }

    /// The messages counted from each peer, with their times: for explaining a number.
    pub fn of_peer(&self, peer: &Accid) -> (Vec<(ServerId, Millis)>, Option<Millis>) {
        self.pairs.get(peer).map_or_else(Default::default, |pair| {
            (pair.unread.iter().map(|(at, id)| (*id, *at)).collect(), pair.mark)
        })
    }

    fn forget_tombstones(&mut self, now: Millis) {
        self.recalled.retain(|_, laid| now.since(*laid) <= TOMBSTONE_MS);
    }

    fn held(&self) -> Vec<(Accid, ServerId)> {
        let of_pair = |(peer, pair): (&Accid, &PairView)| {
            pair.unread.iter().map(|(_, id)| (peer.clone(), *id)).collect::<Vec<_>>()
        };
        self.pairs.iter().flat_map(of_pair).collect()
    }
}
