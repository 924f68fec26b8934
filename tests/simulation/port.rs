//! The way from an instance to a store, on which everything can go wrong: every step of every port goes through here.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use otc_im::ports::StoreError;
use tokio_util::sync::CancellationToken;

use super::rng::Rng;
use super::world::{About, Happening, World};

/// Which store, by the name that its errors carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    Log,
    View,
}

impl Store {
    fn name(self) -> &'static str {
        match self {
            Self::Log => "messages",
            Self::View => "unread",
        }
    }
}

/// One instance's way to the stores. Ends with the instance: what is on its way then never comes back.
#[derive(Clone)]
pub struct Port {
    pub world: Arc<World>,
    pub who: &'static str,
    pub life: CancellationToken,
}

/// One step.
pub struct Step {
    pub store: Store,
    pub what: &'static str,
    pub about: About,
}

/// What becomes of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    Refused,
    ReplyLost,
    /// The caller is told that it failed; it is done so many milliseconds later.
    Late(u64),
    CrashBefore,
    CrashAfter,
}

impl Port {
    /// Does `act` on `store`, or something worse.
    pub async fn step<S: Send + 'static, T: Send + 'static>(
        &self,
        step: Step,
        store: &Arc<Mutex<S>>,
        act: impl FnOnce(&mut S) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let fate = self.fate(&step);
        self.wait().await;
        if fate == Fate::CrashBefore {
            self.crash().await;
        }
        let down = self.world.is_down(step.store);
        let fate = if down { Fate::Refused } else { fate };
        let how = if fate == Fate::Done { String::new() } else { format!("{fate:?}") };
        self.world.note(self.who, step.what, step.about.clone(), how);
        let failed = |what: &str| Err(StoreError::unavailable(step.store.name(), what));
        let done = match fate {
            Fate::Refused => return failed("refused"),
            Fate::Late(ms) => {
                self.later(ms, Arc::clone(store), act);
                return failed("no answer in time");
            }
            _ => act(&mut *store.lock().unwrap_or_else(PoisonError::into_inner)),
        };
        if fate == Fate::CrashAfter {
            self.crash().await;
        }
        self.wait().await;
        match fate {
            Fate::ReplyLost => failed("the connection broke"),
            _ => Ok(done),
        }
    }

    /// Has the items of a batch done, each by steps of its own, unless something befalls the batch as a whole, on its
    /// way there or on its way back.
    pub async fn carry<T>(
        &self,
        store: Store,
        items: usize,
        each: impl Future<Output = Vec<Result<T, StoreError>>>,
    ) -> Vec<Result<T, StoreError>> {
        if items < 2 {
            return each.await;
        }
        self.world.count(Happening::Batched);
        let leg = |what| Step { store, what, about: About::Nothing };
        let nothing = Arc::new(Mutex::new(()));
        if let Err(error) = self.step(leg("batch goes"), &nothing, |()| ()).await {
            self.world.count(Happening::BatchFailed);
            return error.of_all(items);
        }
        let outcomes = each.await;
        if outcomes.iter().any(Result::is_err) && outcomes.iter().any(Result::is_ok) {
            self.world.count(Happening::BatchFailedInPart);
        }
        match self.step(leg("batch returns"), &nothing, |()| ()).await {
            Ok(()) => outcomes,
            Err(error) => error.of_all(items),
        }
    }

    fn fate(&self, step: &Step) -> Fate {
        let (world, weather) = (&self.world, self.world.weather);
        let (fate, happening) = if world.strikes(weather.refused) {
            (Fate::Refused, Happening::Refused)
        } else if world.strikes(weather.reply_lost) {
            (Fate::ReplyLost, Happening::ReplyLost)
        } else if step.what != "snapshot" && world.strikes(weather.late) {
            (Fate::Late(world.draw(|rng| rng.within(1, 3_000))), Happening::AppliedLate)
        } else if world.strikes(weather.crash) {
            let before = world.draw(|rng| rng.chance(500));
            (if before { Fate::CrashBefore } else { Fate::CrashAfter }, Happening::Crashed)
        } else {
            return Fate::Done;
        };
        world.count(happening);
        fate
    }

    /// Does it after all, when nobody waits for it any more: it lay in a buffer.
    fn later<S: Send + 'static, T: Send + 'static>(
        &self,
        ms: u64,
        store: Arc<Mutex<S>>,
        act: impl FnOnce(&mut S) -> T + Send + 'static,
    ) {
        let world = Arc::clone(&self.world);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            act(&mut *store.lock().unwrap_or_else(PoisonError::into_inner));
            world.note("buffer", "late arrival", About::Nothing, "");
        });
    }

    /// Lets others go first, sometimes for a while. Never returns to an instance that has died.
    async fn wait(&self) {
        enum Wait {
            Turns(u64),
            Millis(u64),
        }
        let draw = |rng: &mut Rng| match rng.below(8) {
            0..4 => Wait::Turns(rng.within(1, 4)),
            4..7 => Wait::Millis(rng.within(1, 60)),
            _ => Wait::Millis(rng.within(60, 1_500)),
        };
        if self.world.strikes(self.world.weather.slow) {
            self.world.count(Happening::Delayed);
            match self.world.draw(draw) {
                Wait::Turns(turns) => {
                    for _ in 0..turns {
                        tokio::task::yield_now().await;
                    }
                }
                Wait::Millis(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            }
        }
        if self.life.is_cancelled() {
            pending::<()>().await;
        }
    }

    async fn crash(&self) {
        self.world.note(self.who, "crash", About::Nothing, "");
        self.life.cancel();
        pending::<()>().await;
    }
}
