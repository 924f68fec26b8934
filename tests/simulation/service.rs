//! Two instances of the service over the same stores. Each may die at any await and come up again with nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use otc_im::commands::projector::{LoadBounds, Projector};
use otc_im::commands::receive_copy::CopyReceiver;
use otc_im::domain::ids::Millis;
use otc_im::infra::group_commit::GroupedLog;
use otc_im::ports::clock::{Clock, Ids};
use otc_im::ports::dead_letters::DeadLetters;
use otc_im::ports::message_log::MessageLog;
use otc_im::ports::unread_view::UnreadView;
use otc_im::queries::unread_counts::UnreadCounts;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::log::{Disk, SimLog};
use super::port::Port;
use super::view::{Server, SimView};
use super::world::{About, Happening, Local, World};

/// How far ahead of now a receipt may lie.
pub const ALLOWANCE_MS: i64 = 60_000;

/// The stores, as they are without anybody in between.
#[derive(Clone, Default)]
pub struct Stores {
    pub disk: Arc<Mutex<Disk>>,
    pub server: Arc<Mutex<Server>>,
}

/// One life of an instance.
pub struct Service {
    pub life: CancellationToken,
    pub receiver: CopyReceiver,
    pub counts: UnreadCounts,
    pub clock: Local,
    projector: Projector,
}

impl Service {
    /// The latest time that a receipt taken in at this very moment may speak of.
    pub fn latest_receipt(&self) -> Millis {
        self.clock.now().plus(ALLOWANCE_MS)
    }
}

/// An instance: one life after the other.
pub struct Instance {
    pub name: &'static str,
    world: Arc<World>,
    stores: Stores,
    skew_ms: i64,
    pub recheck_after_ms: i64,
    current: Mutex<Option<Arc<Service>>>,
}

impl Instance {
    pub fn new(name: &'static str, world: &Arc<World>, stores: &Stores, recheck_after_ms: i64) -> Arc<Self> {
        let skew_ms = world.draw(|rng| i64::try_from(rng.below(1_500)).expect("small"));
        let (world, stores) = (Arc::clone(world), stores.clone());
        let instance = Self { name, world, stores, skew_ms, recheck_after_ms, current: Mutex::default() };
        instance.start();
        Arc::new(instance)
    }

    /// What serves now; nothing while the instance is down.
    pub fn current(&self) -> Option<Arc<Service>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, with: Option<Arc<Service>>) -> Option<Arc<Service>> {
        std::mem::replace(&mut *self.current.lock().unwrap_or_else(PoisonError::into_inner), with)
    }

    fn start(&self) {
        let clock = || Local { world: Arc::clone(&self.world), skew_ms: self.skew_ms };
        let life = CancellationToken::new();
        let port = Port { world: Arc::clone(&self.world), who: self.name, life: life.clone() };
        let log = Arc::new(SimLog { port: port.clone(), disk: Arc::clone(&self.stores.disk) });
        let view: Arc<dyn UnreadView> =
            Arc::new(SimView { port, server: Arc::clone(&self.stores.server), began: Mutex::default() });
        let dead_letters: Arc<dyn DeadLetters> = Arc::clone(&log) as _;
        let log: Arc<dyn MessageLog> = log;
        let (now, ids): (Arc<dyn Clock>, Arc<dyn Ids>) = (Arc::new(clock()), Arc::new(clock()));
        let (at_once, fallbacks) = self.world.draw(|rng| (*rng.pick(&[1, 2]), *rng.pick(&[0, 1])));
        // Whatever the log knows nothing of would be kept; here it knows of everything.
        let bounds = LoadBounds { at_once, remove_unknown: Some(0) };
        let projector = Projector::new(Arc::clone(&log), Arc::clone(&view), Arc::clone(&now), ids, bounds);
        let counts = UnreadCounts {
            view: Arc::clone(&view),
            log: Arc::clone(&log),
            view_loader: Arc::new(projector.clone()),
            clock: Arc::clone(&now),
            recheck_after_ms: self.recheck_after_ms,
            started_at: now.now(),
            fallbacks: Semaphore::new(fallbacks),
        };
        let group = self.world.draw(|rng| *rng.pick(&[1, 2, 200]));
        let log = Arc::new(GroupedLog::new(log, group));
        let rules = self.world.rules.clone();
        let receiver = CopyReceiver {
            log,
            view,
            dead_letters,
            clock: now,
            active: Arc::default(),
            rules,
            receipt_allowance_ms: ALLOWANCE_MS,
        };
        self.world.note(self.name, "starts", About::Nothing, "");
        self.replace(Some(Arc::new(Service { life, receiver, counts, clock: clock(), projector })));
    }

    /// Ends the present life.
    pub fn stop(&self) {
        if let Some(service) = self.current() {
            service.life.cancel();
        }
    }

    /// Starts the instance again a while after each death, for ever.
    pub async fn keep_up(self: Arc<Self>) {
        while let Some(service) = self.current() {
            service.life.cancelled().await;
            self.tally_loads();
            self.replace(None);
            let ms = self.world.draw(|rng| rng.within(20, 3_000));
            tokio::time::sleep(Duration::from_millis(ms)).await;
            self.start();
        }
    }

    /// Records what rechecks of the present life have put right.
    pub fn tally_loads(&self) {
        if let Some(service) = self.current() {
            let counters = service.projector.counters();
            for _ in 0..counters.healed_missing.get() + counters.healed_surplus.get() {
                self.world.count(Happening::Healed);
            }
        }
    }
}
