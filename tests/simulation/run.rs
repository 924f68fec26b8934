//! One simulation, from its seed to its verdict.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::sleep;

use super::history::{self, History, SPAN_MS};
use super::netease::Netease;
use super::polls::Pages;
use super::port::Store;
use super::rng::Rng;
use super::service::{Instance, Stores};
use super::verdict;
use super::world::{About, Happening, Note, Tally, World};

/// Longer than any delay of the world, and than an instance stays down.
const CALM: Duration = Duration::from_secs(4);

/// Pages that poll one instance.
const PAGES: usize = 2;

/// What came of a seed.
pub struct Report {
    pub seed: u64,
    /// What must not be so, if anything was.
    pub wrong: Option<String>,
    pub notes: Vec<Note>,
    pub tally: Tally,
    history: Arc<History>,
}

impl Report {
    /// Ends the test with all that is needed to see this again.
    pub fn demand_right(&self) {
        if let Some(wrong) = &self.wrong {
            let seed = self.seed;
            panic!(
                "{self}\nseed {seed}: {wrong}\nto see this again: \
                 SEED={seed} cargo nextest run --no-capture simulation"
            );
        }
    }
}

/// What was told, and then everything that happened.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, event) in self.history.events.iter().enumerate() {
            let (first, again) = (event.first_ms, &event.again_ms);
            let body = event.bodies[0].replace('\n', " ");
            writeln!(f, "event {number} at {first} ms, again at {again:?}: {body}")?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

/// Runs the simulation of `seed`.
pub fn run(seed: u64) -> Report {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime can be made").block_on(simulate(seed))
}

async fn simulate(seed: u64) -> Report {
    let mut rng = Rng::new(seed);
    let history = Arc::new(history::draw(&mut rng, ""));
    let world = Arc::new(World::new(rng, &history));
    let stores = Stores::default();
    let recheck_after_ms = world.draw(|rng| *rng.pick(&[2_000, 15_000, 600_000]));
    let instances = ["first", "second"].map(|name| Instance::new(name, &world, &stores, recheck_after_ms));
    let instances = instances.to_vec();
    let pages = Pages { world: Arc::clone(&world), people: history.people.clone() };
    let mut background = Vec::new();
    for instance in &instances {
        background.push(tokio::spawn(Arc::clone(instance).keep_up()));
        for _ in 0..PAGES {
            background.push(tokio::spawn(pages.clone().poll_for_ever(Arc::clone(instance))));
        }
    }
    background.push(tokio::spawn(storms(Arc::clone(&world), stores.clone(), Arc::clone(&history))));
    let netease = Netease { world: Arc::clone(&world), instances: instances.clone() };
    let calm = async {
        sleep(Duration::from_millis(2 * SPAN_MS)).await;
        world.calm_down();
    };
    tokio::join!(netease.tell(Arc::clone(&history)), calm);
    settle(&pages, &instances).await;
    verdict::pass(&world, &history, &stores, &pages, &instances).await;
    for task in background.iter().filter(|task| task.is_finished()) {
        world.wrong(format!("something that runs for ever ended: task {}", task.id()));
    }
    for instance in &instances {
        instance.tally_loads();
    }
    let (notes, tally, wrong) = world.close();
    Report { seed, wrong, notes, tally, history }
}

/// Lets what is under way arrive, then lets every reader be rechecked: because time has passed, or because the
/// instances have started anew.
async fn settle(pages: &Pages, instances: &[Arc<Instance>]) {
    sleep(CALM).await;
    pages.world.settle_down();
    if pages.world.draw(|rng| rng.chance(500)) {
        pages.world.leap(instances[0].recheck_after_ms + 5_000);
    } else {
        for instance in instances {
            instance.stop();
        }
        sleep(CALM).await;
    }
    for reader in &pages.people {
        pages.poll(&instances[0], reader).await;
    }
    sleep(CALM).await;
}

/// What happens to the stores and to the clock while the history is told.
async fn storms(world: Arc<World>, stores: Stores, history: Arc<History>) {
    loop {
        let ms = world.draw(|rng| if rng.chance(300) { rng.within(1, 80) } else { rng.within(100, 3_000) });
        sleep(Duration::from_millis(ms)).await;
        let weather = world.weather;
        let server = || stores.server.lock().unwrap_or_else(PoisonError::into_inner);
        match world.draw(|rng| rng.below(5)) {
            0 if world.strikes(weather.losses) => {
                world.note("server", "loses all", About::Nothing, "");
                server().lose_all(&world);
            }
            1 if world.strikes(weather.losses) => {
                let reader = world.draw(|rng| rng.pick(&history.people).clone());
                world.note("server", "loses reader", About::Reader(reader.clone()), "");
                server().lose(&reader, &world);
            }
            2 if world.strikes(weather.goes_back) => {
                world.note("server", "goes back", About::Nothing, "");
                server().go_back(&world);
            }
            3 if world.strikes(weather.leaps) => {
                world.note("clock", "leaps", About::Nothing, "");
                world.leap(world.draw(|rng| i64::try_from(rng.within(1, 5)).expect("small")) * 3_600_000);
                world.ledger().view_misled();
                world.count(Happening::ClockLeapt);
            }
            4 if world.strikes(weather.outages) => outage(&world).await,
            _ => {}
        }
    }
}

async fn outage(world: &World) {
    let (log, ms) = world.draw(|rng| (rng.chance(500), rng.within(50, 2_500)));
    let (store, what, happening) = match log {
        true => (Store::Log, "log goes", Happening::LogOutage),
        false => (Store::View, "view goes", Happening::ViewOutage),
    };
    world.note("world", what, About::Nothing, "");
    world.count(happening);
    world.set_down(Some(store));
    sleep(Duration::from_millis(ms)).await;
    world.set_down(None);
    world.note("world", "store is back", About::Nothing, "");
}
