//! The order page's question: how many messages from each of these users has this reader not read?

use std::sync::Arc;

use super::reader_loads::ReaderLoads;
use crate::domain::ids::Accid;
use crate::domain::unread::Reading;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::unread_view::UnreadView;

/// How often a view may lose a reader while that reader is loaded before the poll gives up.
const ROUNDS: usize = 3;

/// Answers from the view; loads what it does not know from the log.
pub struct UnreadCounts {
    /// The projection.
    pub view: Arc<dyn UnreadView>,
    /// Fills it.
    pub loads: Arc<ReaderLoads>,
    /// Tells how old a load is.
    pub clock: Arc<dyn Clock>,
    /// A load older than this many milliseconds is repeated in the background, to find drift.
    pub recheck_after_ms: i64,
}

impl UnreadCounts {
    /// One count per peer, in the order asked. An outage is an error, never a zero.
    pub async fn of(&self, reader: &Accid, peers: &[Accid]) -> Result<Vec<u64>, Arc<StoreError>> {
        for _ in 0..ROUNDS {
            match self.view.read(reader, peers).await? {
                Reading::Known { counts, loaded_at } => {
                    if self.clock.now().since(loaded_at) > self.recheck_after_ms {
                        self.loads.recheck(reader);
                    }
                    return Ok(counts);
                }
                Reading::Unknown => self.loads.load(reader).await?,
            }
        }
        Err(Arc::new(StoreError::unavailable(
            "unread",
            "the view keeps losing this reader while it is loaded",
        )))
    }
}
