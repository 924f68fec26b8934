//! The same history on the model and on real adapters, compared after every step.
//!
//! What is played: the shortest ways to the situations, each walked on at random to its end, and random walks. A walk
//! ends only when every copy is acknowledged, since NetEase never gives up.

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use otc_im::domain::ids::Accid;
use otc_im::domain::unread::{Reading, Snapshot, Total};
use stateright::{Checker, HasDiscoveries, Model};

use super::machine::{Call, Machine};
use super::scene::{Budget, Scene, message, recall, receipt};
use super::situations as reached;
use super::stage::{Dump, Stage};
use super::steps::{Action, fresh_token};
use super::work::{Read, Step};
use super::world::World;

/// Random walks on each stage.
const WALKS: u64 = 50;
/// Walks that wait for the same disks at once.
const AT_ONCE: usize = 8;

/// Everything can happen here.
fn scene(failovers: u8) -> Scene {
    let facts = vec![
        message(1, "ben", "ann", 10),
        message(2, "ben", "ann", 10),
        message(3, "cat", "ann", 5),
        message(4, "ann", "ben", 10),
        receipt("ann", "ben", 5),
        receipt("ann", "ben", 10),
        receipt("ben", "ann", 10),
        recall(1, "ben", "ann"),
        recall(3, "cat", "ann"),
    ];
    let budget = Budget { loads: 6, repeats: 3, crashes: 2, losses: 1, reader_losses: 1, failovers };
    Scene { budget, ..Scene::of(&["ann", "ben"], facts) }
}

/// Small enough that the shortest ways to all situations are found at once.
fn small_scenes(failovers: u8) -> Vec<Scene> {
    let facts = vec![message(1, "ben", "ann", 10), receipt("ann", "ben", 10), recall(1, "ben", "ann")];
    let scene = |budget, reaches: &[_]| Scene {
        budget,
        reaches: reaches.to_vec(),
        ..Scene::of(&["ann"], facts.clone())
    };
    let none = Budget::default();
    let mut scenes = vec![
        scene(
            Budget { loads: 1, repeats: 1, crashes: 1, ..none },
            &[reached::ADDS, reached::EARLY_RECALL, reached::FILLED, reached::REPEATED, reached::HALF_DONE],
        ),
        scene(
            Budget { loads: 2, losses: 1, ..none },
            &[
                reached::SUPERSEDED,
                reached::SUPERSEDED_EMPTY,
                reached::SHARED_TOKEN,
                reached::IGNORANT,
                reached::READ,
            ],
        ),
    ];
    if failovers > 0 {
        let reaches = [reached::REMOVES, reached::TOO_FEW, reached::TOO_MANY];
        scenes.push(scene(Budget { loads: 2, failovers, ..none }, &reaches));
    }
    scenes
}

fn ways_to_situations(scene: &Scene) -> Vec<(&'static str, Vec<Action>)> {
    let all: BTreeSet<_> = scene.reaches.iter().copied().collect();
    let checker =
        scene.clone().checker().threads(2).finish_when(HasDiscoveries::AllOf(all)).spawn_bfs().join();
    let way = |name: &&'static str| (*name, checker.assert_any_discovery(name).into_actions());
    scene.reaches.iter().map(way).collect()
}

/// Pseudo-random numbers that are the same everywhere (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).expect("it is small")
    }

    /// One of what can happen; what goes wrong less often than what goes on, and all kinds of it alike.
    fn choose(&mut self, scene: &Scene, world: &World) -> Option<Action> {
        let mut actions = Vec::new();
        scene.actions(world, &mut actions);
        let goes_on = |a: &Action| matches!(a, Action::Deliver(_) | Action::Step(_) | Action::Load(_));
        let (work, trouble): (Vec<_>, Vec<_>) = actions.into_iter().partition(goes_on);
        if work.is_empty() || (!trouble.is_empty() && self.below(4) == 0) {
            let kinds: Vec<_> =
                trouble.chunk_by(|a, b| std::mem::discriminant(a) == std::mem::discriminant(b)).collect();
            let kind = kinds.get(self.below(kinds.len().max(1)))?;
            return Some(kind[self.below(kind.len())].clone());
        }
        let at = self.below(work.len());
        work.into_iter().nth(at)
    }
}

/// One history on the model and on the stage.
struct Play<'a> {
    stage: &'a Stage,
    scene: Scene,
    world: World,
    handlers: Vec<Machine>,
    loads: Vec<Machine>,
    replica: Dump,
    /// So that a failure can be read and repeated.
    so_far: Vec<Action>,
}

impl<'a> Play<'a> {
    /// In names and numbers that nothing else on the stage has.
    fn new(stage: &'a Stage, scene: &Scene, number: i64) -> Self {
        let scene = scene.renamed(&format!("{}-", crate::support::fresh_name()), number * 10);
        let (world, replica) = (World::new(&scene), Dump::new());
        Self { stage, scene, world, handlers: Vec::new(), loads: Vec::new(), replica, so_far: Vec::new() }
    }

    async fn step(&mut self, action: Action) {
        self.so_far.push(action.clone());
        self.perform(&action).await;
        self.world = self.scene.next_state(&self.world, action).expect("every action leads somewhere");
        for (at, reader) in self.scene.readers.iter().enumerate() {
            let told = self.stage.view().read(reader, &self.scene.peers).await.expect("a view");
            assert_eq!(told, self.world.poll(&self.scene, at), "{reader} after {:#?}", self.so_far);
            let total = self.stage.view().total(reader).await.expect("a view");
            assert_eq!(total, sum(told), "{reader} after {:#?}", self.so_far);
        }
    }

    async fn perform(&mut self, action: &Action) {
        match *action {
            Action::Deliver(copy) => {
                let fact = &self.scene.facts[copy];
                // A delivery that dies before its first write is as if it had not been; the model leaves it out.
                Machine::handler(self.stage, fact).await.crash().await;
                let mut handler = Machine::handler(self.stage, fact).await;
                handler.step(Call::Record).await;
                self.handlers.insert(self.world.place_of_handler(copy), handler);
            }
            Action::Step(at) => match self.world.handlers[at].next {
                Step::Ack => self.handlers.remove(at).finish().await,
                _ => self.handlers[at].step(Call::Apply).await,
            },
            Action::Begin(reader) => {
                let token = fresh_token(self.world.left.loads);
                let mut load = Machine::load(self.stage, &self.scene.readers[reader], token).await;
                load.step(Call::BeginLoad).await;
                self.loads.insert(self.world.place_of_load(reader), load);
            }
            Action::Load(at) => match self.world.loads[at].read {
                Read::Everything(_) => {
                    let mut load = self.loads.remove(at);
                    load.step(Call::Merge).await;
                    load.finish().await;
                }
                _ => self.loads[at].step(Call::Snapshot).await,
            },
            Action::Crash(taken) => self.crash(taken).await,
            Action::Lose => {
                for reader in &self.scene.readers {
                    self.stage.lose(&self.scene, reader).await;
                }
            }
            Action::LoseReader(reader) => self.stage.lose(&self.scene, &self.scene.readers[reader]).await,
            Action::Replicate => self.replica = self.stage.dump(&self.scene).await,
            Action::FailOver => self.stage.restore(std::mem::take(&mut self.replica)).await,
        }
    }

    async fn crash(&mut self, taken: u32) {
        let handlers = self.handlers.len();
        for bit in (0..handlers + self.loads.len()).rev().filter(|bit| taken & (1 << bit) != 0) {
            match bit.checked_sub(handlers) {
                Some(load) => self.loads.remove(load).crash().await,
                None => self.handlers.remove(bit).crash().await,
            }
        }
    }

    /// Goes on at random until nothing can happen any more, then compares the logs.
    async fn walk_to_the_end(mut self, dice: &mut Dice) {
        while let Some(action) = dice.choose(&self.scene, &self.world) {
            self.step(action).await;
        }
        assert!(self.world.at_rest());
        assert_eq!(self.stage.rows(&self.scene).await, self.world.log.rows, "after {:#?}", self.so_far);
        for reader in &self.scene.readers {
            let log = &self.world.log;
            let (unread, marks) = (log.unread(&self.scene, reader), log.marks_of(reader));
            let expected = Snapshot { unread, marks, recalled: log.recalled(&self.scene, reader) };
            let snapshot = self.stage.log().snapshot(reader).await.expect("a log");
            assert_eq!(sorted(snapshot), sorted(expected), "{reader} after {:#?}", self.so_far);
        }
    }
}

/// The total by its definition; all peers of the scene are among those told of.
fn sum(told: Reading) -> Reading<Total> {
    match told {
        Reading::Known { counts, loaded_at } => {
            Reading::Known { counts: counts.into_iter().collect(), loaded_at }
        }
        Reading::Unknown => Reading::Unknown,
    }
}

/// Unread messages, marks and recalls, in an order that stores do not promise.
fn sorted(snapshot: Snapshot) -> [BTreeSet<(Accid, i64)>; 3] {
    let unread = snapshot.unread.into_iter().map(|(peer, id, _)| (peer, id.get()));
    let marks = snapshot.marks.into_iter().map(|(peer, mark)| (peer, mark.0));
    let recalled = snapshot.recalled.into_iter().map(|(peer, id)| (peer, id.get()));
    [unread.collect(), marks.collect(), recalled.collect()]
}

/// Plays everything on one stage.
async fn play(stage: Stage) {
    let failovers = u8::from(stage.fails_over());
    for (scene, first) in small_scenes(failovers).iter().zip((0..).step_by(20)) {
        for ((name, way), number) in ways_to_situations(scene).into_iter().zip(first..) {
            let mut play = Play::new(&stage, scene, number);
            for action in way {
                play.step(action).await;
            }
            let holds = reached::ALL.iter().find(|(of, _)| *of == name).expect("a situation").1;
            assert!(holds(&play.scene, &play.world), "{name}: the way there leads elsewhere");
            play.walk_to_the_end(&mut Dice(0)).await;
        }
    }
    let scene = scene(failovers);
    let walk = async |seed| {
        let number = 100 + i64::try_from(seed).expect("it is small");
        Play::new(&stage, &scene, number).walk_to_the_end(&mut Dice(seed)).await;
    };
    stream::iter(0..WALKS).for_each_concurrent(AT_ONCE, walk).await;
    stage.strike().await;
}

#[tokio::test]
async fn every_walk_through_the_model_goes_the_same_on_memory_and_sqlite() {
    play(Stage::embedded().await).await;
}

#[tokio::test]
async fn every_walk_through_the_model_goes_the_same_on_redis_and_mongodb() {
    play(Stage::servers().await).await;
}
