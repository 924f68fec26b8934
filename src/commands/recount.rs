//! Compares the unread view with the log, reader by reader, and puts the view right.

use std::sync::Arc;

use futures_util::{Stream, TryStreamExt, stream};

use super::projector::{Projector, Reloaded};
use crate::domain::ids::Accid;
use crate::domain::unread::{Merged, Reading, Snapshot};
use crate::ports::StoreError;
use crate::ports::log_upkeep::LogUpkeep;
use crate::ports::message_log::MessageLog;
use crate::ports::unread_view::UnreadView;

/// Readers that are recounted at once.
const AT_ONCE: usize = 8;

/// What recounting needs.
#[derive(Clone)]
pub struct Recounter {
    /// Compares log and view.
    pub projector: Projector,
    /// The truth.
    pub log: Arc<dyn MessageLog>,
    /// Walks the readers of the log.
    pub upkeep: Arc<dyn LogUpkeep>,
    /// Whom the view knows.
    pub view: Arc<dyn UnreadView>,
}

/// What was found for one reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recounted {
    /// Whose counts.
    pub reader: Accid,
    /// Messages that the view lacked.
    pub added: usize,
    /// Messages that the view counted and the log does not.
    pub removed: usize,
    /// Messages that the view counts and the log knows nothing of, kept because they are too many to be chance.
    pub kept_unknown: usize,
    /// Whether the view vouches for this reader now.
    pub known: bool,
}

impl Recounter {
    /// Compares one reader and puts the view right; loads a reader whom the view did not know. `None`, and nothing is
    /// laid in the view, if neither view nor log knows such a reader.
    pub async fn reader(&self, reader: Accid) -> Result<Option<Recounted>, StoreError> {
        if self.view.read(&reader, &[]).await? == Reading::Unknown
            && self.log.snapshot(&reader).await? == Snapshot::default()
        {
            return Ok(None);
        }
        self.reconcile(reader).await.map(Some)
    }

    async fn reconcile(&self, reader: Accid) -> Result<Recounted, StoreError> {
        let Reloaded { merged, kept_unknown } = self.projector.reconcile(&reader).await?;
        let (added, removed) = match merged {
            Merged::Done { added, removed } => (added, removed),
            Merged::Superseded => (0, 0),
        };
        Ok(Recounted { reader, added, removed, kept_unknown, known: merged != Merged::Superseded })
    }

    /// Compares every reader after `after` whom the view knows, in the order of accids. Others are loaded when they
    /// are asked for, so they cannot be wrong. What comes out last is where to go on from after an interruption.
    pub fn all(&self, after: Option<Accid>) -> impl Stream<Item = Result<Recounted, StoreError>> {
        let walker = self.clone();
        let readers = stream::try_unfold(after, move |after| {
            let upkeep = Arc::clone(&walker.upkeep);
            async move {
                let next = upkeep.next_reader(after.as_ref()).await?;
                Ok(next.map(|reader| (reader.clone(), Some(reader))))
            }
        });
        let worker = self.clone();
        readers
            .map_ok(move |reader| {
                let worker = worker.clone();
                async move { worker.reader_if_known(reader).await }
            })
            .try_buffered(AT_ONCE)
    }

    async fn reader_if_known(&self, reader: Accid) -> Result<Recounted, StoreError> {
        match self.view.read(&reader, &[]).await? {
            Reading::Known { .. } => self.reconcile(reader).await,
            Reading::Unknown => Ok(Recounted { reader, added: 0, removed: 0, kept_unknown: 0, known: false }),
        }
    }
}
