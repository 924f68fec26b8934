//! The unread view on one Redis server behind a near cache: polls of readers who have not changed stay in this
//! process.

mod asked;
pub mod entries;

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use foldhash::quality::RandomState;
use redis::RedisResult;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use self::asked::{All, Asked, Page};
use self::entries::Generation;
use super::address::RedisAddress;
use super::counters::NearCounters;
use super::session::TrackingSession;
pub use super::tracking::NearSettings;
use super::tracking::Tracking;
use super::whole::{ReaderCounts, Whole};
use super::{Connection, RedisView};
use crate::domain::ids::{Accid, Millis};
use crate::domain::unread::{Change, Load, Merged, Reading, Snapshot, Total};
use crate::infra::changes::ChangeHub;
use crate::ports::StoreError;
use crate::ports::unread_view::{UnreadView, ViewedPair};

/// Readers that can be read at once.
const READ_LOCKS: usize = 1_024;

/// How long a poll waits for what another one reads before it reads for itself alone: a fraction of what Redis is
/// given.
const PATIENCE: Duration = Duration::from_millis(250);

/// A [`RedisView`] that answers from memory what Redis has not said to have changed.
///
/// Whoever changes a reader through this view finds the change in the next poll through it. What others change is
/// found once Redis has told of it, a few milliseconds later, and after [`NearSettings::staleness`] in any case: how
/// that is known is told in `tracking.rs`. A reader whom Redis does not know is never kept.
pub struct NearView {
    inner: RedisView,
    tracking: Tracking,
    /// Single-flight: held while a reader is read. Readers share a lock by their hash, so now and then one waits for
    /// another.
    read_locks: Box<[Mutex<Option<LastRead>>]>,
    hasher: RandomState,
    counters: NearCounters,
    changes: ChangeHub,
}

/// What a poll finds in the cache.
enum Looked<T> {
    /// The answer.
    Hit(Reading<T>),
    /// Not enough.
    Miss(Miss),
    /// No session that is fresh.
    Unsure,
}

/// The session and the generation that a read may fill.
struct Miss {
    session: Arc<TrackingSession>,
    /// What is not enough: it is of a reader who was too large to be read whole.
    held: Option<Arc<ReaderCounts>>,
    generation: Generation,
}

/// The last read under a lock while nothing could be cached: it answers polls that came before it began.
struct LastRead {
    reader: Accid,
    began: Instant,
    known: Arc<ReaderCounts>,
}

impl LastRead {
    fn answers<A: Asked>(&self, reader: &Accid, came: Instant, asked: A) -> Option<Reading<A::Counts>> {
        (self.reader == *reader && self.began >= came).then(|| asked.told(&self.known)).flatten()
    }
}

impl NearView {
    /// Over the server behind `connection`, which `address` leads to, too. Tracking begins in the background; until then,
    /// and whenever it fails, polls go to Redis; its task ends with the view, and never by itself. Errors are those
    /// of a URL that makes no sense.
    pub fn over(
        connection: Connection,
        address: impl Into<RedisAddress>,
        settings: NearSettings,
    ) -> RedisResult<(Self, JoinHandle<()>)> {
        let counters = NearCounters::default();
        let changes = ChangeHub::default();
        let (tracking, task) = Tracking::start(
            connection.clone(),
            &address.into(),
            settings,
            counters.clone(),
            changes.clone(),
        )?;
        let read_locks = (0..READ_LOCKS).map(|_| Mutex::default()).collect();
        let (inner, hasher) = (RedisView::new(connection), RandomState::default());
        Ok((Self { inner, tracking, read_locks, hasher, counters, changes }, task))
    }

    /// What it did so far.
    pub fn counters(&self) -> NearCounters {
        self.counters.clone()
    }

    /// Tells of what Redis says to have changed, and of what is changed through this view.
    pub fn changes(&self) -> ChangeHub {
        self.changes.clone()
    }

    async fn answer<A: Asked>(&self, reader: &Accid, asked: A) -> Result<Reading<A::Counts>, StoreError> {
        if let Looked::Hit(reading) = self.look(reader, asked) {
            return Ok(reading);
        }
        let came = Instant::now();
        // Single-flight: were each miss to read, a slower Redis would get more to do, not less.
        let turn = tokio::time::timeout(PATIENCE, self.read_locks[self.lock_of(reader)].lock());
        let Ok(mut turn) = turn.await else {
            self.counters.bypassed.inc();
            return asked.ask(&self.inner, reader).await;
        };
        match self.look(reader, asked) {
            Looked::Unsure => self.share(&mut turn, came, reader, asked).await,
            Looked::Hit(reading) => Ok(reading),
            Looked::Miss(miss) => {
                *turn = None;
                self.fetch(miss, reader, asked).await
            }
        }
    }

    fn look<A: Asked>(&self, reader: &Accid, asked: A) -> Looked<A::Counts> {
        let Some(session) = self.tracking.fresh() else { return Looked::Unsure };
        let (held, generation) = session.entries.look(reader);
        if let Some(reading) = held.as_ref().and_then(|known| asked.told(known)) {
            self.counters.hits.inc();
            return Looked::Hit(reading);
        }
        Looked::Miss(Miss { session, held, generation })
    }

    /// Reads after a miss, and fills the cache.
    async fn fetch<A: Asked>(
        &self,
        miss: Miss,
        reader: &Accid,
        asked: A,
    ) -> Result<Reading<A::Counts>, StoreError> {
        self.counters.misses.inc();
        let Some(mut known) = self.read_enough(reader, asked, miss.held.is_none()).await? else {
            return Ok(Reading::Unknown);
        };
        let reading = asked.told(&known).unwrap_or(Reading::Unknown);
        if let Some(held) = miss.held {
            // Of the same generation. Who asks for pages and totals in turn would else drive out the one by the other.
            known = known.and(&held);
        }
        miss.session.entries.fill(reader, miss.generation, Arc::new(known));
        Ok(reading)
    }

    /// Reads without filling the cache, for all polls that wait already.
    async fn share<A: Asked>(
        &self,
        turn: &mut Option<LastRead>,
        came: Instant,
        reader: &Accid,
        asked: A,
    ) -> Result<Reading<A::Counts>, StoreError> {
        self.counters.bypassed.inc();
        if let Some(reading) = turn.as_ref().and_then(|last| last.answers(reader, came, asked)) {
            return Ok(reading);
        }
        let began = Instant::now();
        let Some(known) = self.read_enough(reader, asked, true).await? else { return Ok(Reading::Unknown) };
        let known = Arc::new(known);
        let reading = asked.told(&known).unwrap_or(Reading::Unknown);
        *turn = Some(LastRead { reader: reader.clone(), began, known });
        Ok(reading)
    }

    /// All of a reader who is not too large, else what is asked for; `None` for one whom the view does not know.
    async fn read_enough<A: Asked>(
        &self,
        reader: &Accid,
        asked: A,
        whole: bool,
    ) -> Result<Option<ReaderCounts>, StoreError> {
        if whole {
            match self.inner.read_whole(reader).await? {
                Whole::Unknown => return Ok(None),
                Whole::All(counts) => return Ok(Some(counts)),
                Whole::TooLarge => {}
            }
        }
        Ok(match asked.ask(&self.inner, reader).await? {
            Reading::Known { counts, loaded_at } => Some(asked.held(&counts, loaded_at)),
            Reading::Unknown => None,
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
    fn lock_of(&self, reader: &Accid) -> usize {
        self.hasher.hash_one(reader) as usize % READ_LOCKS
    }

    /// Forgets a reader whom this process has changed, or may have. Also while the session is stale, for it may
    /// recover.
    fn forget(&self, reader: &Accid) {
        self.drop_entry(reader);
        self.changes.of(reader.as_str());
    }

    fn drop_entry(&self, reader: &Accid) {
        if let Some(session) = self.tracking.current() {
            session.entries.remove(reader.as_str());
        }
    }
}

#[async_trait]
impl UnreadView for NearView {
    async fn read(&self, reader: &Accid, peers: &[Accid]) -> Result<Reading, StoreError> {
        self.answer(reader, Page(peers)).await
    }

    async fn total(&self, reader: &Accid) -> Result<Reading<Total>, StoreError> {
        self.answer(reader, All).await
    }

    async fn apply(&self, change: &Change, now: Millis) -> Result<(), StoreError> {
        let outcome = self.inner.apply(change, now).await;
        self.forget(&change.reader);
        outcome
    }

    async fn begin_load(&self, reader: &Accid, fresh_token: &str) -> Result<Load, StoreError> {
        // Redis tells those who watch, if this has changed anything.
        let outcome = self.inner.begin_load(reader, fresh_token).await;
        self.drop_entry(reader);
        outcome
    }

    async fn merge(
        &self,
        reader: &Accid,
        load: &Load,
        snapshot: &Snapshot,
        now: Millis,
    ) -> Result<Merged, StoreError> {
        let outcome = self.inner.merge(reader, load, snapshot, now).await;
        self.forget(reader);
        outcome
    }

    fn trusted_since(&self) -> Millis {
        self.inner.trusted_since()
    }

    async fn explain(&self, reader: &Accid, peer: &Accid) -> Result<ViewedPair, StoreError> {
        self.inner.explain(reader, peer).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }
}
