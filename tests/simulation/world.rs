//! The world of one simulation: its time, its chance, its weather, and the record of what happened.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use otc_im::domain::counting::CountingRules;
use otc_im::domain::ids::{Accid, Millis};
use otc_im::domain::message::MessageKey;
use otc_im::ports::clock::{Clock, Ids};
use tokio::time::Instant;

use super::history::{BEGIN, History};
use super::ledger::Ledger;
use super::port::Store;
use super::rng::Rng;

/// What went wrong on purpose, or otherwise deserves proof that it occurred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Happening {
    Delayed,
    Refused,
    ReplyLost,
    AppliedLate,
    Crashed,
    HungUp,
    LogOutage,
    ViewOutage,
    LostAll,
    LostReader,
    WentBack,
    ClockLeapt,
    Duplicated,
    Conflicting,
    Clamped,
    DeadLetter,
    GaveUp,
    Superseded,
    Healed,
    PollFailed,
    PollBounded,
    Batched,
    BatchFailed,
    BatchFailedInPart,
}

impl Happening {
    pub const ALL: [Self; 24] = [
        Self::Delayed,
        Self::Refused,
        Self::ReplyLost,
        Self::AppliedLate,
        Self::Crashed,
        Self::HungUp,
        Self::LogOutage,
        Self::ViewOutage,
        Self::LostAll,
        Self::LostReader,
        Self::WentBack,
        Self::ClockLeapt,
        Self::Duplicated,
        Self::Conflicting,
        Self::Clamped,
        Self::DeadLetter,
        Self::GaveUp,
        Self::Superseded,
        Self::Healed,
        Self::PollFailed,
        Self::PollBounded,
        Self::Batched,
        Self::BatchFailed,
        Self::BatchFailedInPart,
    ];
}

/// How often each thing happened.
pub type Tally = BTreeMap<Happening, u64>;

/// What a note is about.
#[derive(Debug, Clone, Hash)]
pub enum About {
    Nothing,
    Key(MessageKey),
    Reader(Accid),
    Pair(Accid, Accid),
    Event(usize),
}

/// One line of the record.
#[derive(Debug, Clone, Hash)]
pub struct Note {
    at_ms: u128,
    who: &'static str,
    what: &'static str,
    about: About,
    how: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at_ms, who, what, about, how } = self;
        write!(f, "{at_ms:>7} ms  {who:<8} {what:<16} ")?;
        match about {
            About::Nothing => {}
            About::Key(key) => write!(f, "{key}")?,
            About::Reader(reader) => write!(f, "{reader}")?,
            About::Pair(reader, peer) => write!(f, "{reader} from {peer}")?,
            About::Event(number) => write!(f, "event {number}")?,
        }
        write!(f, "  {how}")
    }
}

/// How rough a simulation is: each in a thousand steps, the last four in a thousand storms. Seeds differ, so that some
/// things are seen alone and some together.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    pub slow: u64,
    pub refused: u64,
    pub reply_lost: u64,
    pub late: u64,
    pub crash: u64,
    pub hang_up: u64,
    pub lost_reader: u64,
    pub losses: u64,
    pub goes_back: u64,
    pub leaps: u64,
    pub outages: u64,
}

impl Weather {
    fn draw(rng: &mut Rng) -> Self {
        let rough = rng.below(4);
        Self {
            slow: *rng.pick(&[100, 300, 500]),
            refused: rough * rng.below(20),
            reply_lost: rough * rng.below(20),
            late: rough * rng.below(10),
            crash: if rng.chance(400) { rng.below(8) } else { 0 },
            hang_up: rough * rng.below(20),
            lost_reader: if rng.chance(500) { rng.within(2, 30) } else { 0 },
            losses: if rng.chance(500) { 1_000 } else { 0 },
            goes_back: if rng.chance(250) { 1_000 } else { 0 },
            leaps: if rng.chance(250) { 200 } else { 0 },
            outages: if rng.chance(300) { 500 } else { 0 },
        }
    }
}

/// Whether things fail; they do so only in the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Season {
    Rough,
    Calm,
    Settled,
}

struct State {
    rng: Rng,
    season: Season,
    leapt_ms: i64,
    notes: Vec<Note>,
    tally: Tally,
    wrong: Option<String>,
    identities: u64,
    down: Option<Store>,
}

pub struct World {
    began: Instant,
    pub weather: Weather,
    /// What the service is told to count.
    pub rules: CountingRules,
    state: Mutex<State>,
    ledger: Mutex<Ledger>,
}

impl World {
    pub fn new(mut rng: Rng, history: &History) -> Self {
        let weather = Weather::draw(&mut rng);
        let state = State {
            rng,
            season: Season::Rough,
            leapt_ms: 0,
            notes: Vec::with_capacity(1_024),
            tally: Tally::new(),
            wrong: None,
            identities: 0,
            down: None,
        };
        let ledger = Mutex::new(Ledger::of(history));
        Self { began: Instant::now(), weather, rules: history.rules(), state: Mutex::new(state), ledger }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a decision.
    pub fn draw<T>(&self, decide: impl FnOnce(&mut Rng) -> T) -> T {
        decide(&mut self.state().rng)
    }

    /// Takes the decision whether something goes wrong; nothing does once the world is calm.
    pub fn strikes(&self, per_mille: u64) -> bool {
        let mut state = self.state();
        state.season == Season::Rough && per_mille > 0 && state.rng.chance(per_mille)
    }

    pub fn note(&self, who: &'static str, what: &'static str, about: About, how: impl Into<String>) {
        let at_ms = self.began.elapsed().as_millis();
        self.state().notes.push(Note { at_ms, who, what, about, how: how.into() });
    }

    pub fn count(&self, happening: Happening) {
        *self.state().tally.entry(happening).or_default() += 1;
    }

    /// The first thing that must not be so ends the simulation's claim to be right.
    pub fn wrong(&self, what: String) {
        self.note("world", "WRONG", About::Nothing, what.clone());
        self.state().wrong.get_or_insert(what);
    }

    /// From now on nothing fails.
    pub fn calm_down(&self) {
        self.note("world", "calm", About::Nothing, "");
        let mut state = self.state();
        (state.season, state.down) = (Season::Calm, None);
    }

    /// What was under way when the world became calm has ended: from now on everything must be answered.
    pub fn is_settled(&self) -> bool {
        self.state().season == Season::Settled
    }

    pub fn settle_down(&self) {
        self.state().season = Season::Settled;
    }

    pub fn leap(&self, ms: i64) {
        self.state().leapt_ms += ms;
    }

    /// Takes a store out of reach, or brings back the one that is.
    pub fn set_down(&self, store: Option<Store>) {
        let mut state = self.state();
        state.down = store.filter(|_| state.season == Season::Rough);
    }

    pub fn is_down(&self, store: Store) -> bool {
        self.state().down == Some(store)
    }

    pub fn now(&self) -> Millis {
        let elapsed = i64::try_from(self.began.elapsed().as_millis()).expect("a short simulation");
        BEGIN.plus(elapsed + self.state().leapt_ms)
    }

    /// What is left of it: the record, what happened how often, what was wrong.
    pub fn close(&self) -> (Vec<Note>, Tally, Option<String>) {
        let mut state = self.state();
        (std::mem::take(&mut state.notes), std::mem::take(&mut state.tally), state.wrong.take())
    }

    pub fn fresh_identity(&self) -> String {
        let mut state = self.state();
        state.identities += 1;
        format!("00000000-0000-4000-8000-{:012x}", state.identities)
    }
}

/// The hash of a record: equal for equal histories, on every machine with the same toolchain.
pub fn hash(notes: &[Note]) -> u64 {
    let mut hasher = DefaultHasher::new();
    notes.hash(&mut hasher);
    hasher.finish()
}

/// The wall clock and the identities of one instance.
pub struct Local {
    pub world: std::sync::Arc<World>,
    /// Clocks of two machines differ a little.
    pub skew_ms: i64,
}

impl Clock for Local {
    fn now(&self) -> Millis {
        self.world.now().plus(self.skew_ms)
    }
}

impl Ids for Local {
    fn fresh(&self) -> String {
        self.world.fresh_identity()
    }
}
