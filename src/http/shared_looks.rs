//! One look at a reader's counts for all streams of that reader.
//!
//! One task per watched reader reads the counts when the reader may have changed, and on a timer. It publishes them for
//! all peers of that reader's streams. So the store is asked once, however many streams there are, also where it cannot
//! tell of changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::edge::too_slow;
use super::problem::Problem;
use super::streams::{StreamLimiter, spread};
use crate::domain::ids::Accid;
use crate::ports::unread_changes::{ReaderWatch, UnreadChanges};
use crate::ports::unread_view::MAX_PEERS;
use crate::queries::unread_counts::UnreadCounts;

/// At most one look in this time: what changes meanwhile is told as one.
const PAUSE: Duration = Duration::from_millis(200);
/// How often a look is taken without being told to: while the view tells of changes, and while it does not.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(1));

/// The looks at all watched readers.
pub struct SharedLooks {
    counts: Arc<UnreadCounts>,
    changes: Arc<dyn UnreadChanges>,
    streams: Arc<StreamLimiter>,
    patience: Duration,
    readers: Mutex<HashMap<Accid, Weak<Watched>>>,
}

/// What one look saw.
type Seen = Result<Arc<Counts>, Problem>;

/// Counts of everybody whom the reader's streams asked for when the look began.
struct Counts {
    began: Instant,
    of: HashMap<Accid, u64>,
}

/// A reader who is watched. Its task ends with the last of its streams.
struct Watched {
    reader: Accid,
    /// How many streams ask for each peer.
    peers: Mutex<HashMap<Accid, usize>>,
    seen: watch::Sender<Option<Seen>>,
    looks: Arc<SharedLooks>,
    task: Mutex<Option<AbortHandle>>,
}

impl SharedLooks {
    /// Looks by `counts` when `changes` tells of one, in turn by `streams`; each takes at most `patience`.
    pub fn new(
        counts: Arc<UnreadCounts>,
        changes: Arc<dyn UnreadChanges>,
        streams: Arc<StreamLimiter>,
        patience: Duration,
    ) -> Arc<Self> {
        Arc::new(Self { counts, changes, streams, patience, readers: Mutex::default() })
    }

    /// Watches these peers of a reader for one stream. What changes after this is told.
    pub fn join(self: &Arc<Self>, reader: &Accid, peers: &[Accid]) -> Joined {
        let mut readers = self.readers();
        let watched = readers.get(reader).and_then(Weak::upgrade).unwrap_or_else(|| {
            let watched = Watched::begin(self, reader);
            readers.insert(reader.clone(), Arc::downgrade(&watched));
            watched
        });
        for peer in peers {
            *watched.peers().entry(peer.clone()).or_default() += 1;
        }
        let seen = watched.seen.subscribe();
        Joined { watched, peers: peers.to_vec(), seen, since: Instant::now() }
    }

    fn readers(&self) -> MutexGuard<'_, HashMap<Accid, Weak<Watched>>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts of these peers, in turn with other looks.
    async fn look(&self, reader: &Accid, peers: Vec<Accid>) -> Seen {
        let began = Instant::now();
        let look = || async {
            let mut counts = Vec::with_capacity(peers.len());
            for some in peers.chunks(MAX_PEERS) {
                let some = timeout(self.patience, self.counts.of(reader, some));
                counts.extend(some.await.map_err(|_| too_slow())??);
            }
            Ok(counts)
        };
        let counts = self.streams.in_turn(look).await?;
        Ok(Arc::new(Counts { began, of: peers.into_iter().zip(counts).collect() }))
    }
}

impl Watched {
    fn begin(looks: &Arc<SharedLooks>, reader: &Accid) -> Arc<Self> {
        let watched = Arc::new(Self {
            reader: reader.clone(),
            peers: Mutex::default(),
            seen: watch::Sender::new(None),
            looks: Arc::clone(looks),
            task: Mutex::default(),
        });
        // Watched from before the first stream reads: no change falls between the two.
        let changes = looks.changes.watch(reader);
        let task = tokio::spawn(look_on(Arc::downgrade(&watched), Arc::clone(looks), changes));
        *watched.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
        watched
    }

    fn peers(&self) -> MutexGuard<'_, HashMap<Accid, usize>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut readers = self.looks.readers();
        // Another one may stand in its place by now.
        if readers.get(&self.reader).is_some_and(|watched| watched.strong_count() == 0) {
            readers.remove(&self.reader);
        }
        if let Some(task) = self.task.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

/// Looks for as long as anybody watches, and until a look has failed: then every stream ends.
async fn look_on(watched: Weak<Watched>, looks: Arc<SharedLooks>, mut changes: Box<dyn ReaderWatch>) {
    loop {
        let every = if looks.changes.are_live() { LOOK_EVERY.0 } else { LOOK_EVERY.1 };
        tokio::select! {
            () = async { sleep(PAUSE).await; changes.changed().await } => {}
            () = sleep(spread(every)) => {}
        }
        let Some((reader, peers)) = watched.upgrade().map(|watched| {
            let peers = watched.peers().keys().cloned().collect();
            (watched.reader.clone(), peers)
        }) else {
            return;
        };
        let seen = looks.look(&reader, peers).await;
        let Some(watched) = watched.upgrade() else { return };
        let failed = seen.is_err();
        if failed {
            // Before it is told: a stream that comes later begins anew, and would hear nothing here.
            looks.readers().remove(&reader);
        }
        watched.seen.send_replace(Some(seen));
        if failed {
            return;
        }
    }
}

/// One stream's part in the looks at its reader.
pub struct Joined {
    watched: Arc<Watched>,
    peers: Vec<Accid>,
    seen: watch::Receiver<Option<Seen>>,
    since: Instant,
}

impl Joined {
    /// What was seen up to now is no news: the stream has read for itself.
    pub fn has_read(&mut self) {
        self.since = Instant::now();
    }

    /// The counts that the next look brings, in the order of the peers. Cancel-safe.
    pub async fn next(&mut self) -> Result<Vec<u64>, Problem> {
        loop {
            // The sender lives as long as this.
            let _ = self.seen.changed().await;
            let counts = match &*self.seen.borrow_and_update() {
                Some(Ok(counts)) if counts.began >= self.since => Arc::clone(counts),
                Some(Err(problem)) => return Err(problem.clone()),
                _ => continue,
            };
            if let Some(counts) = self.peers.iter().map(|peer| counts.of.get(peer).copied()).collect() {
                return Ok(counts);
            }
        }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        let mut peers = self.watched.peers();
        for peer in &self.peers {
            if let Some(streams) = peers.get_mut(peer) {
                *streams -= 1;
                if *streams == 0 {
                    peers.remove(peer);
                }
            }
        }
    }
}
