//! Reads all counts of one reader in one script call, for the near cache and for totals, if they are not too many.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{RedisView, counts_key, failure};
use crate::domain::ids::{Accid, Millis};
use crate::domain::unread::{Reading, Total};
use crate::ports::StoreError;

/// Peers with unread messages that a reader may have at most to be read whole.
const FEW_PEERS: usize = 256;
/// `!at`, `!token`, `!marks`, `!gone`.
const OWN_FIELDS: usize = 4;

/// What came of reading a reader whole.
pub(super) enum Whole {
    /// The view cannot tell.
    Unknown,
    /// Everything that is not zero.
    All(ReaderCounts),
    /// Too much to be kept: ask for what is wanted.
    TooLarge,
}

/// Counts of one reader.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ReaderCounts {
    loaded_at: Millis,
    counts: HashMap<Accid, u64, RandomState>,
    /// Whoever is not among `counts` has written nothing; else nobody knows.
    all: bool,
    /// Of all peers, where `counts` are not all.
    total: Option<Total>,
}

impl ReaderCounts {
    /// All counts of a reader; `None` if nobody vouches for these fields.
    fn whole(fields: Vec<(String, String)>) -> Result<Option<Self>, StoreError> {
        let (mut loaded_at, mut counts) =
            (None, HashMap::with_capacity_and_hasher(fields.len(), RandomState::default()));
        for (field, value) in fields {
            let corrupt = |_| {
                let what = format!("`{field}` of a reader's counts is `{value}`");
                StoreError::Corrupt { store: "unread", what }
            };
            let number = || value.parse().map_err(corrupt);
            match Accid::from_nim(&field) {
                Ok(peer) => _ = counts.insert(peer, number().map(i64::unsigned_abs)?),
                Err(_) if field == "!at" => loaded_at = Some(Millis(number()?)),
                Err(_) => {}
            }
        }
        Ok(loaded_at.map(|loaded_at| Self { loaded_at, counts, all: true, total: None }))
    }

    /// The counts of those who were asked for: most polls of a reader ask for the same.
    pub fn page(peers: &[Accid], counts: &[u64], loaded_at: Millis) -> Self {
        let counts = peers.iter().cloned().zip(counts.iter().copied()).collect();
        Self { loaded_at, counts, all: false, total: None }
    }

    /// The total of a reader of whom no more was read.
    pub fn total_alone(total: Total, loaded_at: Millis) -> Self {
        Self { loaded_at, counts: HashMap::default(), all: false, total: Some(total) }
    }

    /// The same, with what `older` knows beyond it, which holds as well.
    pub fn and(mut self, older: &Self) -> Self {
        if self.total.is_none() {
            self.total = older.total;
        } else if self.counts.is_empty() {
            self.counts.clone_from(&older.counts);
        }
        self
    }

    /// One count per peer asked for, if that can be said.
    pub fn read(&self, peers: &[Accid]) -> Option<Reading> {
        let mut counts = Vec::with_capacity(peers.len());
        for peer in peers {
            counts.push(self.counts.get(peer).copied().or(self.all.then_some(0))?);
        }
        Some(Reading::Known { counts, loaded_at: self.loaded_at })
    }

    /// All that is unread, if that can be said.
    pub fn total(&self) -> Option<Reading<Total>> {
        let all = || self.all.then(|| self.counts.values().copied().collect());
        let counts = self.total.or_else(all)?;
        Some(Reading::Known { counts, loaded_at: self.loaded_at })
    }
}

impl RedisView {
    /// Reads a reader whole, if that is not too much: the script looks before it reads, so one round trip does.
    pub(super) async fn read_whole(&self, reader: &Accid) -> Result<Whole, StoreError> {
        let mut call = self.whole.prepare_invoke();
        call.key(counts_key(reader.as_str())).arg(FEW_PEERS + OWN_FIELDS);
        let fields: Option<Vec<(String, String)>> =
            call.invoke_async(&mut self.connection()).await.map_err(failure)?;
        let Some(fields) = fields else { return Ok(Whole::TooLarge) };
        Ok(ReaderCounts::whole(fields)?.map_or(Whole::Unknown, Whole::All))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn counts_are_found_by_peer_and_who_is_not_there_has_none() {
        let read = fields(&[("zoe", "7"), ("!marks", "2"), ("!token", "abc"), ("ben", "3"), ("!at", "99")]);
        let known = ReaderCounts::whole(read).unwrap().unwrap();
        let peers = ["ann", "ben", "zoe", "ben", "zz"].map(Accid::of_user);
        let expected = Reading::Known { counts: vec![0, 3, 7, 3, 0], loaded_at: Millis(99) };
        assert_eq!(known.read(&peers), Some(expected));
    }

    #[test]
    fn a_page_tells_of_those_who_were_asked_for_and_of_nobody_else() {
        let [ann, ben, zoe] = ["ann", "ben", "zoe"].map(Accid::of_user);
        let known = ReaderCounts::page(&[ann.clone(), ben.clone()], &[0, 3], Millis(99));
        let expected = Reading::Known { counts: vec![3, 0], loaded_at: Millis(99) };
        assert_eq!(known.read(&[ben.clone(), ann]), Some(expected));
        assert_eq!(known.read(&[ben, zoe]), None);
    }

    #[test]
    fn without_its_marker_a_reader_is_unknown_and_nonsense_is_an_error() {
        assert_eq!(ReaderCounts::whole(fields(&[])).unwrap(), None);
        assert_eq!(
            ReaderCounts::whole(fields(&[("ben", "3"), ("!marks", "1"), ("!gone", "0")])).unwrap(),
            None
        );
        assert!(ReaderCounts::whole(fields(&[("!at", "99"), ("ben", "many")])).is_err());
    }
}
