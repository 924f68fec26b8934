//! Which copies may be missing: when somebody took copies, when nobody did, and whose conversations that concerns.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::ids::{Accid, Millis};

/// What all instances know together of the flow of copies. It lies beside the message log.
#[async_trait]
pub trait Gaps: Send + Sync {
    /// What instances said last of the flow. Whoever finds a gap by it writes the gap down before the next beat, which
    /// hides it.
    async fn last_beat(&self) -> Result<Beat, StoreError>;

    /// Says that copies can be taken at `now`, and that `copies` came since this instance said so last, the newest at
    /// `newest`. No time is ever lowered.
    async fn beat(&self, now: Millis, copies: u64, newest: Option<Millis>) -> Result<(), StoreError>;

    /// How many copies came, by hour since 1970, from `since` on.
    async fn hours(&self, since: i64) -> Result<Vec<(i64, u64)>, StoreError>;

    /// Opens a gap, or extends the one of that id: a longer end, and an earlier beginning, win.
    async fn put(&self, gap: &Gap) -> Result<(), StoreError>;

    /// The oldest gap that ended at `before` or earlier and is nobody's at `now`: `holder`'s until `lease`.
    async fn claim(
        &self,
        holder: &str,
        before: Millis,
        now: Millis,
        lease: Millis,
    ) -> Result<Option<ClaimedGap>, StoreError>;

    /// Extends the lease, up to whom the gap is reconciled. False if it is somebody else's by now.
    async fn progress(&self, gap: &ClaimedGap, lease: Millis) -> Result<bool, StoreError>;

    /// The gap is reconciled: it is forgotten, unless it has grown since it was claimed; then it begins again.
    async fn close(&self, gap: &ClaimedGap) -> Result<(), StoreError>;

    /// These were active on that day, counted from 1970.
    async fn note_active(&self, users: &[Accid], day: i64) -> Result<(), StoreError>;

    /// Up to `limit` of those after `after` who were active on that day or later, in the order of accids.
    async fn active(
        &self,
        since_day: i64,
        after: Option<&Accid>,
        limit: u32,
    ) -> Result<Vec<Accid>, StoreError>;

    /// Forgets hours and days before that day, and gaps that ended before it and were never filled.
    async fn forget_flow(&self, before_day: i64) -> Result<(), StoreError>;
}

/// What was known when an instance said that it takes copies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beat {
    /// When an instance last said so.
    pub at: Option<Millis>,
    /// When the newest copy came.
    pub newest: Option<Millis>,
}

/// A stretch of time in which copies may have been lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Its identity.
    pub id: String,
    /// Why.
    pub cause: GapCause,
    /// Its beginning.
    pub from: Millis,
    /// Its end, so far.
    pub to: Millis,
}

/// Why copies may have been lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapCause {
    /// No instance ran, or none reached the log.
    Down,
    /// Copies were answered 503.
    Refused,
    /// None came for much longer than usual.
    Silence,
}

impl GapCause {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Down, Self::Refused, Self::Silence];

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == name)
    }

    /// Its name in metrics, logs and stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Refused => "refused",
            Self::Silence => "silence",
        }
    }
}

/// A gap that one instance reconciles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedGap {
    /// Which.
    pub gap: Gap,
    /// Whose it is.
    pub holder: String,
    /// Everybody up to here is done.
    pub after: Option<Accid>,
}
