//! All that the view counts of one reader, read in one round trip, to be kept in memory.

use super::{Keys, RedisView, unavailable};
use crate::domain::ids::{Accid, Millis};
use crate::domain::unread::Reading;
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
    Known(Known),
    /// Too much to be kept.
    Large,
}

/// The counts of one reader, all that are not zero.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Known {
    loaded_at: Millis,
    /// By peer: usually a handful, and looking through a sorted handful beats hashing.
    counts: Box<[(Accid, u64)]>,
}

impl Known {
    /// `None` if nobody vouches for these fields.
    fn of(fields: Vec<(String, String)>) -> Result<Option<Self>, StoreError> {
        let (mut loaded_at, mut counts) = (None, Vec::with_capacity(fields.len()));
        for (field, value) in fields {
            let corrupt = |_| {
                let what = format!("`{field}` of a reader's counts is `{value}`");
                StoreError::Corrupt { store: "unread", what }
            };
            let number = || value.parse().map_err(corrupt);
            match Accid::from_nim(&field) {
                Ok(peer) => counts.push((peer, number().map(i64::unsigned_abs)?)),
                Err(_) if field == "!at" => loaded_at = Some(Millis(number()?)),
                Err(_) => {}
            }
        }
        counts.sort_unstable();
        Ok(loaded_at.map(|loaded_at| Self { loaded_at, counts: counts.into() }))
    }

    /// One count per peer asked for: who is not here has written nothing.
    pub fn read(&self, peers: &[Accid]) -> Reading {
        let count = |peer| {
            let found = self.counts.binary_search_by(|(held, _)| held.cmp(peer));
            found.map_or(0, |at| self.counts[at].1)
        };
        Reading::Known { counts: peers.iter().map(count).collect(), loaded_at: self.loaded_at }
    }
}

impl RedisView {
    /// Reads a reader whole, if that is not too much: the script looks before it reads, so one round trip does.
    pub(super) async fn read_whole(&self, reader: &Accid) -> Result<Whole, StoreError> {
        let mut call = self.whole.prepare_invoke();
        call.key(Keys::of(reader).counts).arg(FEW_PEERS + OWN_FIELDS);
        let fields: Option<Vec<(String, String)>> =
            call.invoke_async(&mut self.connection()).await.map_err(unavailable)?;
        let Some(fields) = fields else { return Ok(Whole::Large) };
        Ok(Known::of(fields)?.map_or(Whole::Unknown, Whole::Known))
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
        let known = Known::of(read).unwrap().unwrap();
        let peers = ["ann", "ben", "zoe", "ben", "zz"].map(Accid::of_user);
        let expected = Reading::Known { counts: vec![0, 3, 7, 3, 0], loaded_at: Millis(99) };
        assert_eq!(known.read(&peers), expected);
    }

    #[test]
    fn without_its_marker_a_reader_is_unknown_and_nonsense_is_an_error() {
        assert_eq!(Known::of(fields(&[])).unwrap(), None);
        assert_eq!(Known::of(fields(&[("ben", "3"), ("!marks", "1"), ("!gone", "0")])).unwrap(), None);
        assert!(Known::of(fields(&[("!at", "99"), ("ben", "many")])).is_err());
    }
}
