//! The transitions: everything that can happen next.

use otc_im::domain::unread::{Merged, ReaderView};
use stateright::{Model, Property};

use super::scene::{Grain, Scene};
use super::work::{Handler, Loading, Read, Step};
use super::world::{INSTANCES, NOW, Sent, World};
use super::{promises, situations};

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// NetEase sends this copy, and its handler does its first step.
    Deliver(usize),
    /// This handler, by its place, does its next step.
    Step(usize),
    /// A load or recheck of this reader begins.
    Begin(usize),
    /// This load, by its place, does its next step.
    Load(usize),
    /// The work whose bits are set, handlers first, then loads, is no more.
    Crash(u32),
    /// The whole view is lost.
    Lose,
    /// One reader's view is lost.
    LoseReader(usize),
    /// The replica has what the view has, and will get no more.
    Replicate,
    /// The replica takes the view's place.
    FailOver,
}

impl World {
    /// Where a handler of this copy goes.
    pub fn place_of_handler(&self, copy: usize) -> usize {
        self.handlers.partition_point(|handler| handler.copy <= copy)
    }

    /// Where a load of this reader goes.
    pub fn place_of_load(&self, reader: usize) -> usize {
        self.loads.partition_point(|load| load.reader <= reader)
    }

    fn deliver(&mut self, scene: &Scene, copy: usize) {
        let repeated =
            self.sent[copy] == Sent::Acked || self.handlers.iter().any(|handler| handler.copy == copy);
        self.left.repeats -= u8::from(repeated);
        self.sent[copy] = self.sent[copy].max(Sent::Begun);
        let mut handler = Handler::begin(scene, &mut self.log, copy);
        while scene.grain == Grain::Calls && handler.in_log() {
            handler.step_log(scene, &mut self.log);
        }
        self.handlers.insert(self.place_of_handler(copy), handler);
    }

    fn step(&mut self, scene: &Scene, at: usize) {
        let handler = &mut self.handlers[at];
        match &handler.next {
            Step::View(change) => {
                self.views[scene.reader(&change.reader)].apply(change, NOW);
                handler.next = Step::Ack;
            }
            Step::Ack => {
                self.sent[handler.copy] = Sent::Acked;
                self.handlers.remove(at);
            }
            _ => handler.step_log(scene, &mut self.log),
        }
    }

    fn begin(&mut self, reader: usize) {
        let token = fresh_token(self.left.loads);
        self.left.loads -= 1;
        let load = self.views[reader].begin_load(&token);
        let at = self.place_of_load(reader);
        self.loads.insert(at, Loading { reader, load, read: Read::Nothing, heals: true });
    }

    fn load(&mut self, scene: &Scene, at: usize) {
        let loading = &mut self.loads[at];
        let Read::Everything(snapshot) = &loading.read else {
            loading.step_log(scene, &self.log);
            if scene.grain == Grain::Calls {
                loading.step_log(scene, &self.log);
            }
            return;
        };
        let merged = self.views[loading.reader].merge(&loading.load, snapshot, NOW);
        if loading.heals && merged != Merged::Superseded {
            self.drifted[loading.reader] = false;
        }
        self.loads.remove(at);
    }

    fn crash(&mut self, taken: u32) {
        let mut bits = (0..).map(|bit| taken & (1 << bit) == 0);
        let mut stays = || bits.next().unwrap_or(true);
        self.handlers.retain(|_| stays());
        self.loads.retain(|_| stays());
        self.left.crashes -= 1;
    }

    fn lose(&mut self, reader: usize) {
        self.views[reader] = ReaderView::default();
        // A view that is gone is not wrong: it is unknown until a load that begins now has merged.
        self.drifted[reader] = false;
    }

    fn fail_over(&mut self) {
        let replica = self.replica.take().expect("a replica");
        for (reader, kept) in replica.into_iter().enumerate() {
            if std::mem::replace(&mut self.views[reader], kept.clone()) == kept {
                continue;
            }
            self.drifted[reader] = true;
            self.loads.iter_mut().filter(|load| load.reader == reader).for_each(|load| load.heals = false);
        }
        self.left.failovers -= 1;
    }
}

/// The token that a load brings when so many may still begin: never the same twice.
pub fn fresh_token(loads_left: u8) -> String {
    format!("token {loads_left}")
}

impl Model for Scene {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let left = world.left;
        actions.extend((0..world.handlers.len()).map(Action::Step));
        actions.extend((0..world.loads.len()).map(Action::Load));
        for (copy, sent) in world.sent.iter().enumerate() {
            let under_way = world.handlers.iter().filter(|handler| handler.copy == copy).count();
            let due = *sent != Sent::Acked && under_way == 0;
            if due || (left.repeats > 0 && under_way < INSTANCES) {
                actions.push(Action::Deliver(copy));
            }
        }
        if left.loads > 0 {
            let loads = |reader: &usize| world.loads.iter().filter(|load| load.reader == *reader).count();
            let free = (0..self.readers.len()).filter(|reader| loads(reader) < INSTANCES);
            actions.extend(free.map(Action::Begin));
        }
        if left.crashes > 0 {
            actions.extend((1..1 << (world.handlers.len() + world.loads.len())).map(Action::Crash));
        }
        let lost = |reader: usize| world.views[reader] == ReaderView::default();
        if left.losses > 0 && !(0..self.readers.len()).all(lost) {
            actions.push(Action::Lose);
        }
        if left.reader_losses > 0 {
            actions.extend((0..self.readers.len()).filter(|at| !lost(*at)).map(Action::LoseReader));
        }
        if left.failovers > 0 {
            actions.push(if world.replica.is_some() { Action::FailOver } else { Action::Replicate });
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        match action {
            Action::Deliver(copy) => world.deliver(self, copy),
            Action::Step(at) => world.step(self, at),
            Action::Begin(reader) => world.begin(reader),
            Action::Load(at) => world.load(self, at),
            Action::Crash(taken) => world.crash(taken),
            Action::Lose => {
                (0..self.readers.len()).for_each(|reader| world.lose(reader));
                world.left.losses -= 1;
            }
            Action::LoseReader(reader) => {
                world.lose(reader);
                world.left.reader_losses -= 1;
            }
            Action::Replicate => world.replica = Some(world.views.clone()),
            Action::FailOver => world.fail_over(),
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let reached = situations::ALL.iter().filter(|(name, _)| self.reaches.contains(name));
        let promised = promises::ALL.iter().map(|(name, holds)| Property::always(name, *holds));
        promised.chain(reached.map(|(name, holds)| Property::sometimes(name, *holds))).collect()
    }
}
