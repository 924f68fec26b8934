//! Where the requests of a stream come from.

use serde::Deserialize;

use crate::copies::Copies;

/// Stands in a template where the number of the reader goes: seven digits.
const PLACE: &str = "@READER";

/// Requests by their number.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Source {
    /// The same few requests in turn.
    Cycle {
        /// Each as it goes over the wire.
        requests: Vec<String>,
    },
    /// One request, for many readers in turn.
    Template {
        /// As it goes over the wire, with `@READER` where the number of the reader goes.
        text: String,
        /// How many.
        readers: u64,
        /// Where the number goes.
        #[serde(skip)]
        places: Vec<usize>,
    },
    /// Signed message copies, each of another message.
    Copies(Copies),
}

impl Source {
    /// Looks once for what every request needs.
    pub fn prepare(&mut self) {
        if let Self::Template { text, places, .. } = self {
            *places = text.match_indices(PLACE).map(|(at, _)| at).collect();
        }
    }

    /// Writes request `n` into `buffer`, which it empties before.
    pub fn write(&self, n: u64, buffer: &mut Vec<u8>) {
        buffer.clear();
        match self {
            Self::Cycle { requests } => {
                let at = usize::try_from(n).unwrap_or(0) % requests.len();
                buffer.extend_from_slice(requests[at].as_bytes());
            }
            Self::Template { text, readers, places } => {
                buffer.extend_from_slice(text.as_bytes());
                // Far apart, so that neighbours in time are no neighbours in any cache.
                let number = format!("{:07}", n.wrapping_mul(7_919) % readers);
                for at in places {
                    buffer[*at..*at + PLACE.len()].copy_from_slice(number.as_bytes());
                }
            }
            Self::Copies(copies) => copies.request(n, buffer),
        }
    }
}
