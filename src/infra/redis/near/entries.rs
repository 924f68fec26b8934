//! What the near cache holds of each reader, and the tokens of the reads that are to fill it.
//!
//! A read takes a token *before* it is sent, and what it brings goes in only while that token is still there; a change
//! takes away entry and token alike. So nothing goes in that was read before a change that has been heard of. Reads of
//! one reader that overlap share a token: none was heard of since the first of them began, which is all it says.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::ids::Accid;

/// Locks, so that polls of different readers seldom wait for each other.
const SHARDS: usize = 64;

/// Tells the reads of a reader before a change from those after it.
pub type Token = u64;

/// What is held of one reader.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Slot<T> {
    /// Reads with this token are under way, and nothing has changed since the first of them began.
    Pending(Token),
    /// This was read, and nothing has changed since.
    Ready(T),
}

/// What a look finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<T> {
    /// The answer.
    Ready(T),
    /// None: read, and bring the token along when filling.
    Absent(Token),
}

impl<T: Clone> Slot<T> {
    /// What to answer, or the token of a read that may begin now.
    pub fn look(&self) -> Found<T> {
        match self {
            Self::Ready(held) => Found::Ready(held.clone()),
            Self::Pending(token) => Found::Absent(*token),
        }
    }

    /// Takes in what a read with `token` brought, unless that token is no longer there.
    pub fn fill(&mut self, token: Token, read: T) {
        if matches!(self, Self::Pending(held) if *held == token) {
            *self = Self::Ready(read);
        }
    }
}

/// The slots of so many readers. Those that were not looked at for longest are forgotten first, which is always safe.
pub struct Entries<T> {
    shards: Box<[Mutex<Shard<T>>]>,
    hasher: RandomState,
    next_token: AtomicU64,
    /// Readers in either half of a shard.
    half: usize,
}

/// Two halves: what is looked at moves to the first; when that is full, it becomes the second, whose rest is forgotten.
struct Shard<T> {
    recent: HashMap<Accid, Slot<T>>,
    older: HashMap<Accid, Slot<T>>,
}

impl<T: Clone> Entries<T> {
    /// Room for about `readers`; for some in any case.
    pub fn new(readers: usize) -> Self {
        let shard = |_| Mutex::new(Shard { recent: HashMap::new(), older: HashMap::new() });
        Self {
            shards: (0..SHARDS).map(shard).collect(),
            hasher: RandomState::new(),
            next_token: AtomicU64::new(0),
            half: readers.div_ceil(2 * SHARDS).max(1),
        }
    }

    /// The answer that is held of this reader, or a token for a read, which may be sent only now.
    pub fn look(&self, reader: &Accid) -> Found<T> {
        let mut shard = self.shard(reader.as_str());
        if let Some(slot) = shard.recent.get(reader) {
            return slot.look();
        }
        let (reader, slot) = shard.older.remove_entry(reader).unwrap_or_else(|| {
            (reader.clone(), Slot::Pending(self.next_token.fetch_add(1, Ordering::Relaxed)))
        });
        let found = slot.look();
        if shard.recent.len() >= self.half {
            shard.older = std::mem::take(&mut shard.recent);
        }
        shard.recent.insert(reader, slot);
        found
    }

    /// Takes in what a read with `token` brought, unless this reader was dropped since it began.
    pub fn fill(&self, reader: &Accid, token: Token, read: T) {
        let shard = &mut *self.shard(reader.as_str());
        if let Some(slot) = shard.recent.get_mut(reader).or_else(|| shard.older.get_mut(reader)) {
            slot.fill(token, read);
        }
    }

    /// Forgets this reader: entry and token.
    pub fn remove(&self, reader: &str) {
        let shard = &mut *self.shard(reader);
        if shard.recent.remove(reader).is_none() {
            shard.older.remove(reader);
        }
    }

    /// Forgets all readers.
    pub fn clear(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.recent.clear();
            shard.older.clear();
        }
    }

    /// Nothing under the lock can panic half-way.
    fn shard(&self, reader: &str) -> MutexGuard<'_, Shard<T>> {
        #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
        let at = self.hasher.hash_one(reader) as usize % SHARDS;
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accid(number: usize) -> Accid {
        Accid::of_user(&format!("reader{number}"))
    }

    fn token(entries: &Entries<u8>, reader: &Accid) -> Token {
        match entries.look(reader) {
            Found::Absent(token) => token,
            Found::Ready(held) => panic!("{held} is held"),
        }
    }

    #[test]
    fn what_was_read_before_a_change_does_not_go_in() {
        let (entries, reader) = (Entries::new(10), accid(1));
        let before = token(&entries, &reader);
        entries.remove(reader.as_str());
        entries.fill(&reader, before, 1);
        let after = token(&entries, &reader);
        entries.fill(&reader, before, 1);
        assert_eq!(entries.look(&reader), Found::Absent(after));
        entries.fill(&reader, after, 2);
        entries.fill(&reader, before, 1);
        assert_eq!(entries.look(&reader), Found::Ready(2));
    }

    #[test]
    fn reads_that_overlap_share_a_token_and_the_first_back_fills() {
        let (entries, reader) = (Entries::new(10), accid(1));
        let (one, other) = (token(&entries, &reader), token(&entries, &reader));
        assert_eq!(one, other);
        entries.fill(&reader, one, 1);
        entries.fill(&reader, other, 2);
        assert_eq!(entries.look(&reader), Found::Ready(1));
    }

    #[test]
    fn everything_can_be_forgotten_at_once() {
        let (entries, readers) = (Entries::new(10_000), (0..1_000).map(accid).collect::<Vec<_>>());
        let tokens: Vec<_> = readers.iter().map(|reader| token(&entries, reader)).collect();
        entries.clear();
        for (reader, token) in readers.iter().zip(tokens) {
            entries.fill(reader, token, 1);
            assert!(matches!(entries.look(reader), Found::Absent(_)));
        }
    }

    #[test]
    fn the_number_of_readers_is_bounded_and_those_in_use_stay() {
        let (entries, busy) = (Entries::new(1_000), accid(0));
        entries.fill(&busy, token(&entries, &busy), 1);
        for number in 1..20_000 {
            let reader = accid(number);
            entries.fill(&reader, token(&entries, &reader), 2);
            assert_eq!(entries.look(&busy), Found::Ready(1));
        }
        let shards = entries.shards.iter().map(|shard| shard.lock().unwrap());
        let held: usize = shards.map(|shard| shard.recent.len() + shard.older.len()).sum();
        assert!(held <= 1_000 + 2 * SHARDS, "{held}");
    }
}
