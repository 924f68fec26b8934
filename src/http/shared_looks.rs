//! One look at a reader's counts for all streams of that reader.
//!
//! One task per watched reader reads the counts when the reader may have changed, and on a timer. It publishes them for
//! all peers of that reader's streams, and the total if one of them asks for it. So the store is asked once, however many streams there are, also where it cannot
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
use crate::domain::unread::Total;
use crate::ports::unread_changes::{ReaderWatch, UnreadChanges};
use crate::ports::unread_view::MAX_PEERS;
use crate::queries::unread_counts::UnreadCounts;

/// At most one look in this time: what changes meanwhile is told as one.
const PAUSE: Duration = Duration::from_millis(200);
/// How often a look is taken without being told to: while the view tells of changes, and while it does not.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(1));
/// After a look at a total comes a pause so many times as long, within the bound: a total is dear where very many people
/// have written, and one reader who changes without a break must not keep the store busy.
const REST_OF_TOTALS: u32 = 9;
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The looks at all watched readers.
pub struct SharedLooks {
    counts: Arc<UnreadCounts>,
    changes: Arc<dyn UnreadChanges>,
    streams: Arc<StreamLimiter>,
    patience: Duration,
    readers: Mutex<HashMap<Accid, Weak<Watched>>>,
}

/// What one stream is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// For each peer that it asks for, in the order asked.
    pub counts: Vec<u64>,
    /// If it asks for it.
    pub total: Option<Total>,
}

/// What one look saw.
type Seen = Result<Arc<Counts>, Problem>;

/// Counts of everybody whom the reader's streams asked for when the look began, and the total if one of them did.
struct Counts {
    began: Instant,
    of: HashMap<Accid, u64>,
    total: Option<Total>,
}

/// How many streams of a reader ask for each peer, and for the total.
#[derive(Default)]
struct Wanted {
    peers: HashMap<Accid, usize>,
    totals: usize,
}

/// A reader who is watched. Its task ends with the last of its streams.
struct Watched {
    reader: Accid,
    wanted: Mutex<Wanted>,
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

    /// Watches these peers of a reader for one stream, and the total if it asks for it. What changes after this is told.
    pub fn join(self: &Arc<Self>, reader: &Accid, peers: &[Accid], total: bool) -> Joined {
        let mut readers = self.readers();
        let watched = readers.get(reader).and_then(Weak::upgrade).unwrap_or_else(|| {
            let watched = Watched::begin(self, reader);
            readers.insert(reader.clone(), Arc::downgrade(&watched));
            watched
        });
        let mut wanted = watched.wanted();
        wanted.totals += usize::from(total);
        for peer in peers {
            *wanted.peers.entry(peer.clone()).or_default() += 1;
        }
        drop(wanted);
        let seen = watched.seen.subscribe();
        Joined { watched, peers: peers.to_vec(), total, seen, since: Instant::now() }
    }

    fn readers(&self) -> MutexGuard<'_, HashMap<Accid, Weak<Watched>>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts of these peers, and the total, in turn with other looks.
    async fn look(&self, reader: &Accid, peers: Vec<Accid>, total: bool) -> Seen {
        let began = Instant::now();
        let look = || async {
            let mut counts = Vec::with_capacity(peers.len());
            for some in peers.chunks(MAX_PEERS) {
                let some = timeout(self.patience, self.counts.of(reader, some));
                counts.extend(some.await.map_err(|_| too_slow())??);
            }
            if !total {
                return Ok((counts, None));
            }
            let total = timeout(self.patience, self.counts.total(reader));
            Ok((counts, Some(total.await.map_err(|_| too_slow())??)))
        };
        let (counts, total) = self.streams.in_turn(look).await?;
        Ok(Arc::new(Counts { began, of: peers.into_iter().zip(counts).collect(), total }))
    }
}

impl Watched {
    fn begin(looks: &Arc<SharedLooks>, reader: &Accid) -> Arc<Self> {
        let watched = Arc::new(Self {
            reader: reader.clone(),
            wanted: Mutex::default(),
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

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
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
    let mut pause = PAUSE;
    loop {
        let every = if looks.changes.are_live() { LOOK_EVERY.0 } else { LOOK_EVERY.1 };
        tokio::select! {
            () = async { sleep(pause).await; changes.changed().await } => {}
            () = sleep(spread(every)) => {}
        }
        let Some((reader, peers, total)) = watched.upgrade().map(|watched| {
            let wanted = watched.wanted();
            (watched.reader.clone(), wanted.peers.keys().cloned().collect(), wanted.totals > 0)
        }) else {
            return;
        };
        let began = Instant::now();
        let seen = looks.look(&reader, peers, total).await;
        pause = pause_after(began.elapsed(), total);
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

fn pause_after(look: Duration, total: bool) -> Duration {
    if total { (look * REST_OF_TOTALS).clamp(PAUSE, LONGEST_PAUSE) } else { PAUSE }
}

/// One stream's part in the looks at its reader.
pub struct Joined {
    watched: Arc<Watched>,
    peers: Vec<Accid>,
    total: bool,
    seen: watch::Receiver<Option<Seen>>,
    since: Instant,
}

impl Joined {
    /// What was seen up to now is no news: the stream has read for itself.
    pub fn has_read(&mut self) {
        self.since = Instant::now();
    }

    /// What the next look brings, in the order of the peers. Cancel-safe.
    pub async fn next(&mut self) -> Result<Answer, Problem> {
        loop {
            // The sender lives as long as this.
            let _ = self.seen.changed().await;
            let seen = match &*self.seen.borrow_and_update() {
                Some(Ok(counts)) if counts.began >= self.since => Arc::clone(counts),
                Some(Err(problem)) => return Err(problem.clone()),
                _ => continue,
            };
            let total = seen.total.filter(|_| self.total);
            let counts = self.peers.iter().map(|peer| seen.of.get(peer).copied()).collect();
            if let Some(counts) = counts
                && total.is_some() == self.total
            {
                return Ok(Answer { counts, total });
            }
        }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        let mut wanted = self.watched.wanted();
        wanted.totals -= usize::from(self.total);
        for peer in &self.peers {
            if let Some(streams) = wanted.peers.get_mut(peer) {
                *streams -= 1;
                if *streams == 0 {
                    wanted.peers.remove(peer);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_at_a_total_takes_a_tenth_of_the_time_and_is_never_far() {
        let after = |ms, total| pause_after(Duration::from_millis(ms), total).as_millis();
        assert_eq!(
            [after(1, true), after(50, true), after(100, true), after(3_000, true)],
            [200, 450, 900, 2_000]
        );
        assert_eq!(after(3_000, false), 200);
    }
}
