//! The same histories over the real stores: what is told, how often, in which order and to which instance comes from
//! the seed, and so does when the view loses a reader. How the steps of the stores interleave is theirs.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt, stream};
use otc_im::commands::projector::{LoadBounds, Projector};
use otc_im::commands::receive_copy::CopyReceiver;
use otc_im::commands::recount::Recounter;
use otc_im::domain::ids::{Accid, Millis};
use otc_im::domain::unread::{Reading, Snapshot, Total};
use otc_im::infra::group_commit::GroupedLog;
use otc_im::infra::memory::MemoryView;
use otc_im::infra::redis::Connection;
use otc_im::ports::clock::{Clock, Ids};
use otc_im::ports::dead_letters::DeadLetters;
use otc_im::ports::log_upkeep::LogUpkeep;
use otc_im::ports::message_log::MessageLog;
use otc_im::ports::unread_view::UnreadView;
use otc_im::queries::unread_counts::UnreadCounts;
use tokio::sync::Semaphore;

use super::history::{self, BEGIN, History, SPAN_MS};
use super::ledger::Ledger;
use super::rng::Rng;
use super::service::ALLOWANCE_MS;

/// What goes on at the same time.
const AT_ONCE: usize = 8;

/// A pair of stores; each instance has a view of its own, that is, its own connection.
pub struct Backend {
    pub log: Arc<dyn MessageLog>,
    pub upkeep: Arc<dyn LogUpkeep>,
    pub letters: Arc<dyn DeadLetters>,
    pub views: [Arc<dyn UnreadView>; 2],
    pub loss: Loss,
}

/// How the view is made to lose a reader.
pub enum Loss {
    Redis(Connection),
    /// It can only lose everything.
    Memory(Arc<MemoryView>),
}

impl Loss {
    async fn strike(&self, reader: &Accid, people: &[Accid]) {
        match self {
            Self::Memory(view) => view.lose_everything(),
            Self::Redis(connection) => {
                let mut delete = redis::cmd("DEL");
                for kind in ["n", "m", "g"] {
                    delete.arg(format!("im:{{{reader}}}:{kind}"));
                }
                for peer in people {
                    delete.arg(format!("im:{{{reader}}}:u:{peer}"));
                }
                delete.query_async::<()>(&mut connection.clone()).await.expect("Redis answers");
            }
        }
    }
}

/// One thing that is done.
#[derive(Clone, Copy)]
enum Act {
    Tell(usize, usize),
    Poll,
    Lose,
}

/// A clock that stands still: what is tested here does not depend on time.
struct Still;

impl Clock for Still {
    fn now(&self) -> Millis {
        BEGIN
    }
}

/// Numbers instead of randomness.
#[derive(Default)]
struct Numbers(Mutex<u64>);

impl Ids for Numbers {
    fn fresh(&self) -> String {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last += 1;
        format!("00000000-0000-4000-8000-{:012x}", *last)
    }
}

/// Everything of one run.
struct Run {
    backend: Backend,
    history: History,
    ledger: Mutex<Ledger>,
    inboxes: Vec<CopyReceiver>,
    counts: Vec<UnreadCounts>,
    recounter: Recounter,
}

/// Runs the history of `seed` over `backend`; all names begin with `prefix`, which nobody else uses.
pub async fn run(seed: u64, prefix: &str, backend: Backend) {
    let mut rng = Rng::new(seed);
    let history = history::draw(&mut rng, prefix);
    let acts = acts(&mut rng, &history);
    let run = Run::new(backend, history);
    stream::iter(acts)
        .for_each_concurrent(AT_ONCE, |(act, instance, reader)| {
            let run = &run;
            async move { run.act(seed, act, instance, &reader).await }
        })
        .await;
    run.verdict(seed).await;
}

/// Deliveries in the order of the history, polls and losses among them; each on one instance.
fn acts(rng: &mut Rng, history: &History) -> Vec<(Act, usize, Accid)> {
    let mut acts = Vec::new();
    for (number, event) in history.events.iter().enumerate() {
        for at in event.again_ms.iter().chain([&event.first_ms]) {
            let bodies = (0..event.bodies.len()).collect::<Vec<_>>();
            acts.push((*at, Act::Tell(number, *rng.pick(&bodies))));
        }
    }
    for (act, times) in [(Act::Poll, 40), (Act::Lose, rng.below(6))] {
        acts.extend((0..times).map(|_| (rng.below(SPAN_MS), act)));
    }
    acts.sort_by_key(|(at, _)| *at);
    let place = |(_, act)| (act, *rng.pick(&[0, 1]), rng.pick(&history.people).clone());
    acts.into_iter().map(place).collect()
}

impl Run {
    fn new(backend: Backend, history: History) -> Self {
        let (clock, ids): (Arc<dyn Clock>, Arc<dyn Ids>) = (Arc::new(Still), Arc::new(Numbers::default()));
        let receiver = |view: &Arc<dyn UnreadView>| CopyReceiver {
            log: Arc::new(GroupedLog::new(Arc::clone(&backend.log), AT_ONCE)),
            view: Arc::clone(view),
            dead_letters: Arc::clone(&backend.letters),
            clock: Arc::clone(&clock),
            active: Arc::default(),
            rules: history.rules(),
            receipt_allowance_ms: ALLOWANCE_MS,
        };
        let projector = |view: &Arc<dyn UnreadView>| {
            let (log, view) = (Arc::clone(&backend.log), Arc::clone(view));
            let bounds = LoadBounds { at_once: AT_ONCE, remove_unknown: Some(0) };
            Projector::new(log, view, Arc::clone(&clock), Arc::clone(&ids), bounds)
        };
        let counts = |view: &Arc<dyn UnreadView>| {
            let view_loader = Arc::new(projector(view));
            let (log, view, clock) = (Arc::clone(&backend.log), Arc::clone(view), Arc::clone(&clock));
            let fallbacks = Semaphore::new(0);
            let (recheck_after_ms, started_at) = (i64::MAX, BEGIN);
            UnreadCounts { view, log, view_loader, clock, recheck_after_ms, started_at, fallbacks }
        };
        let recounter = Recounter {
            projector: projector(&backend.views[0]),
            log: Arc::clone(&backend.log),
            upkeep: Arc::clone(&backend.upkeep),
            view: Arc::clone(&backend.views[0]),
        };
        Self {
            inboxes: backend.views.iter().map(receiver).collect(),
            counts: backend.views.iter().map(counts).collect(),
            recounter,
            ledger: Mutex::new(Ledger::of(&history)),
            history,
            backend,
        }
    }

    fn with_ledger<T>(&self, act: impl FnOnce(&mut Ledger) -> T) -> T {
        act(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn act(&self, seed: u64, act: Act, instance: usize, reader: &Accid) {
        match act {
            Act::Tell(number, body) => {
                let event = &self.history.events[number];
                let attempt = self.with_ledger(|ledger| ledger.begin(event, BEGIN.plus(ALLOWANCE_MS)));
                let told = self.inboxes[instance].receive(event.bodies[body].as_bytes(), BEGIN).await;
                told.unwrap_or_else(|error| panic!("seed {seed}: event {number}: {error:?}"));
                self.with_ledger(|ledger| ledger.end(attempt, true));
            }
            Act::Poll => self.poll(seed, instance, reader).await,
            Act::Lose => self.backend.loss.strike(reader, &self.history.people).await,
        }
    }

    async fn poll(&self, seed: u64, instance: usize, reader: &Accid) {
        let people = &self.history.people;
        let from = self.with_ledger(Ledger::tick);
        // A reader that is lost again and again while it is loaded has no answer: never a wrong one.
        let Ok(counts) = self.counts[instance].of(reader, people).await else { return };
        for (peer, count) in people.iter().zip(counts) {
            let bounds = self.with_ledger(|ledger| ledger.bounds(reader, peer, from));
            let within = (bounds.least..=bounds.most).contains(&count);
            assert!(within, "seed {seed}: {count} for {reader} from {peer}; {bounds:?}");
        }
    }

    /// After a recount of every reader, log and view say exactly what the ledger does.
    async fn verdict(&self, seed: u64) {
        let people = &self.history.people;
        for reader in people {
            let from = self.with_ledger(Ledger::tick);
            let least = |peer| self.with_ledger(|ledger| ledger.bounds(reader, peer, from).least);
            let wanted: Vec<u64> = people.iter().map(least).collect();
            let snapshot: Snapshot = self.backend.log.snapshot(reader).await.expect("the log answers");
            assert_eq!(snapshot.counts(people), wanted, "seed {seed}: the log's counts for {reader}");
            let recounted = self.recounter.reader(reader.clone()).await.expect("both stores answer");
            let Some(recounted) = recounted else {
                assert_eq!(snapshot, Snapshot::default(), "seed {seed}: {reader} is somebody");
                continue;
            };
            assert!(recounted.known, "seed {seed}: {reader} is not known after a recount");
            for view in &self.backend.views {
                let Reading::Known { counts, .. } =
                    view.read(reader, people).await.expect("the view answers")
                else {
                    panic!("seed {seed}: {reader} is not known")
                };
                assert_eq!(counts, wanted, "seed {seed}: the view's counts for {reader}");
                let (loaded, total) = (view.total(reader).await, wanted.iter().copied().collect::<Total>());
                let Ok(Reading::Known { counts, .. }) = loaded else { panic!("seed {seed}: {loaded:?}") };
                assert_eq!(counts, total, "seed {seed}: the view's total for {reader}");
                assert_eq!(snapshot.total(), total, "seed {seed}: the log's total for {reader}");
            }
        }
        let letters = self.backend.letters.list(None, 100).await.expect("the log answers");
        for marker in self.history.events.iter().filter_map(|event| event.letter.as_ref()) {
            let kept = letters.iter().any(|letter| letter.raw.contains(marker.as_str()));
            assert!(kept, "seed {seed}: {marker} is kept nowhere");
        }
        for reader in people {
            // The server is shared: nothing is left behind.
            self.backend.loss.strike(reader, people).await;
        }
    }
}
