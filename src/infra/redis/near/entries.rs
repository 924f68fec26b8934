//! The cached counts of each reader, and the generation they belong to.
//!
//! A change of a reader drops the counts and begins a new generation. A read notes the generation *before* it is
//! sent, and may fill the cache only while that generation is current. So nothing is cached that was read before a
//! change that has been heard of. Reads that are sent between two changes share a generation, and the last to come
//! back stays.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;

use crate::domain::ids::Accid;

/// Locks, so that polls of different readers seldom wait for each other.
const SHARDS: usize = 64;

/// Numbers the spans between two changes of a reader.
pub type Generation = u64;

/// A reader's cached counts, once a read has brought some, and the generation they belong to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry<T> {
    generation: Generation,
    held: Option<T>,
}

impl<T: Clone> Entry<T> {
    /// An empty entry of this generation.
    pub fn new(generation: Generation) -> Self {
        Self { generation, held: None }
    }

    /// The cached counts, and the generation that a read sent now belongs to.
    pub fn look(&self) -> (Option<T>, Generation) {
        (self.held.clone(), self.generation)
    }

    /// Caches what a read of `generation` brought; without effect if a change has begun another one since.
    pub fn fill(&mut self, generation: Generation, read: T) {
        if self.generation == generation {
            self.held = Some(read);
        }
    }
}

/// The entries of so many readers. Those that were not looked at for longest are forgotten first, which is always
/// safe.
pub struct Entries<T> {
    shards: Box<[Mutex<Shard<T>>]>,
    hasher: RandomState,
    next_generation: AtomicU64,
    /// Readers in either half of a shard.
    half: usize,
}

/// Two halves: what is looked at moves to the first; when that is full, it becomes the second, whose rest is
/// forgotten.
struct Shard<T> {
    recent: HashMap<Accid, Entry<T>, RandomState>,
    older: HashMap<Accid, Entry<T>, RandomState>,
}

impl<T: Clone> Entries<T> {
    /// Room for about `readers`; for some in any case.
    pub fn new(readers: usize) -> Self {
        let shard = |_| Mutex::new(Shard { recent: HashMap::default(), older: HashMap::default() });
        Self {
            shards: (0..SHARDS).map(shard).collect(),
            hasher: RandomState::default(),
            next_generation: AtomicU64::new(0),
            half: readers.div_ceil(2 * SHARDS).max(1),
        }
    }

    /// The cached counts of this reader, and the generation of a read, which may be sent only now.
    pub fn look(&self, reader: &Accid) -> (Option<T>, Generation) {
        let mut shard = self.shard(reader.as_str());
        if let Some(entry) = shard.recent.get(reader) {
            return entry.look();
        }
        let (reader, entry) = shard.older.remove_entry(reader).unwrap_or_else(|| {
            (reader.clone(), Entry::new(self.next_generation.fetch_add(1, Ordering::Relaxed)))
        });
        let found = entry.look();
        if shard.recent.len() >= self.half {
            shard.older = std::mem::take(&mut shard.recent);
        }
        shard.recent.insert(reader, entry);
        found
    }

    /// Caches what a read of `generation` brought; without effect if a change has begun another one since.
    pub fn fill(&self, reader: &Accid, generation: Generation, read: T) {
        let shard = &mut *self.shard(reader.as_str());
        if let Some(entry) = shard.recent.get_mut(reader).or_else(|| shard.older.get_mut(reader)) {
            entry.fill(generation, read);
        }
    }

    /// Forgets this reader: entry and generation.
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

    fn generation(entries: &Entries<u8>, reader: &Accid) -> Generation {
        entries.look(reader).1
    }

    fn held(entries: &Entries<u8>, reader: &Accid) -> Option<u8> {
        entries.look(reader).0
    }

    #[test]
    fn what_was_read_before_a_change_does_not_go_in() {
        let (entries, reader) = (Entries::new(10), accid(1));
        let before = generation(&entries, &reader);
        entries.remove(reader.as_str());
        entries.fill(&reader, before, 1);
        let after = generation(&entries, &reader);
        entries.fill(&reader, before, 1);
        assert_eq!(entries.look(&reader), (None, after));
        entries.fill(&reader, after, 2);
        entries.fill(&reader, before, 1);
        assert_eq!(entries.look(&reader), (Some(2), after));
    }

    #[test]
    fn reads_between_two_changes_share_a_generation_and_the_last_back_fills() {
        let (entries, reader) = (Entries::new(10), accid(1));
        let (one, other) = (generation(&entries, &reader), generation(&entries, &reader));
        assert_eq!(one, other);
        entries.fill(&reader, one, 1);
        assert_eq!(entries.look(&reader), (Some(1), one));
        entries.fill(&reader, other, 2);
        assert_eq!(entries.look(&reader), (Some(2), one));
    }

    #[test]
    fn everything_can_be_forgotten_at_once() {
        let (entries, readers) = (Entries::new(10_000), (0..1_000).map(accid).collect::<Vec<_>>());
        let generations: Vec<_> = readers.iter().map(|reader| generation(&entries, reader)).collect();
        entries.clear();
        for (reader, generation) in readers.iter().zip(generations) {
            entries.fill(reader, generation, 1);
            assert_eq!(held(&entries, reader), None);
        }
    }

    #[test]
    fn the_number_of_readers_is_bounded_and_those_in_use_stay() {
        let (entries, busy) = (Entries::new(1_000), accid(0));
        entries.fill(&busy, generation(&entries, &busy), 1);
        for number in 1..20_000 {
            let reader = accid(number);
            entries.fill(&reader, generation(&entries, &reader), 2);
            assert_eq!(held(&entries, &busy), Some(1));
        }
        let shards = entries.shards.iter().map(|shard| shard.lock().unwrap());
        let held: usize = shards.map(|shard| shard.recent.len() + shard.older.len()).sum();
        assert!(held <= 1_000 + 2 * SHARDS, "{held}");
    }
}
