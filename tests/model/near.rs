//! The near cache of one instance as a model of its own: its entry for one reader, the connection that tells of
//! changes, reads and own changes under way, and a Redis that others change, too.
//!
//! The entry is the real one (`infra::redis::near::entries::Entry`). The view is a number that every change raises:
//! an answer is as old as its number is small. Connections are queues; the one that tells of changes may break, with
//! or without being noticed, and bring what was on it or not. What an instance does not share with this reader's
//! entry, it shares with nobody, so one instance and one reader are enough.
//!
//! What the model assumes of the rest is shown elsewhere. `Entries`, the entries of many readers: by `entries`,
//! without a server. `NearView`, which takes the generation before it reads and forgets after it has changed: by
//! `near::races`, on a server whose answers are held back. `Keeper`, under which a session is one connection to the
//! server of polls, and is fresh after a heartbeat only: by `near::tracking_lost`, and by the unit tests of
//! `tracking.rs`.

use std::collections::VecDeque;
use std::time::Instant;

use otc_im::infra::redis::near::entries::{Entry, Generation};
use stateright::{Checker, HasDiscoveries, Model, Property};

/// What the server sends on the tracking connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Told {
    /// The reader has changed.
    Changed,
    /// The answer to a heartbeat that was sent when the view was here.
    Beat(u8),
}

/// A read of the instance, on the connection of polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Read {
    Sent(u8, Generation),
    Answered(u8, Generation, u8),
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TrackingSession {
    entry: Option<Entry<u8>>,
    /// Where the view was when the last heartbeat that was answered was sent.
    confirmed: u8,
    /// Where it was when the one under way was sent, and whether it has reached the server.
    beating: Option<(u8, bool)>,
    /// On the way from the server.
    told: VecDeque<Told>,
    /// The server still tells. It may have lost the connection before the instance notices.
    heard: bool,
}

/// A state of the world.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    view: u8,
    /// The sessions' numbers tell their reads apart.
    number: u8,
    session: Option<TrackingSession>,
    reads: Vec<Read>,
    /// An own change that Redis has made and that is not acknowledged yet: where it brought the view.
    own: Vec<u8>,
    /// Where the newest own change that was acknowledged brought the view.
    acked: u8,
    next_generation: Generation,
    left: Budget,
}

/// How much of everything may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    pub own: u8,
    pub foreign: u8,
    pub reads: u8,
    pub beats: u8,
    pub breaks: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Tracking is turned on, on a new connection.
    Open,
    /// A poll does not find what it asks for, whatever else is kept, and sends its read, with a generation.
    Miss,
    /// Redis answers this read.
    Answer(usize),
    /// The instance takes the answer in.
    Fill(usize),
    /// Somebody else changes the reader.
    Foreign,
    /// Redis makes a change of this instance.
    Own,
    /// The instance has its reply: it forgets the reader, and acknowledges.
    Acknowledge(usize),
    /// A heartbeat is sent; reaches the server.
    Beat,
    BeatArrives,
    /// The next thing that was told is heard.
    Hear,
    /// The connection breaks at the server; what was on the way may be lost.
    Break {
        lost: bool,
    },
    /// The instance notices that the session is over.
    Notice,
}

impl World {
    fn change(&mut self) {
        self.view += 1;
        if let Some(session) = self.session.as_mut().filter(|session| session.heard) {
            session.told.push_back(Told::Changed);
        }
    }

    /// What a poll would be answered from memory now, if heartbeats had not run out of time.
    fn kept(&self) -> Option<(&TrackingSession, u8)> {
        let session = self.session.as_ref()?;
        Some((session, session.entry.as_ref()?.look().0?))
    }

    fn session(&mut self) -> &mut TrackingSession {
        self.session.as_mut().expect("only offered with a session")
    }

    fn miss(&mut self) {
        let fresh = self.next_generation;
        let (_, generation) = self.session().entry.get_or_insert(Entry::new(fresh)).look();
        self.next_generation += u64::from(generation == fresh);
        self.reads.push(Read::Sent(self.number, generation));
        self.left.reads -= 1;
    }

    fn fill(&mut self, at: usize) {
        let Read::Answered(number, generation, read) = self.reads.remove(at) else {
            unreachable!("it is answered")
        };
        if number == self.number
            && let Some(entry) = self.session.as_mut().and_then(|session| session.entry.as_mut())
        {
            entry.fill(generation, read);
        }
    }

    fn hear(&mut self) {
        let session = self.session();
        match session.told.pop_front() {
            Some(Told::Beat(sent)) => (session.confirmed, session.beating) = (sent, None),
            _ => session.entry = None,
        }
    }
}

impl Model for Budget {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let (reads, own) = (vec![], vec![]);
        vec![World {
            view: 0,
            number: 0,
            session: None,
            reads,
            own,
            acked: 0,
            next_generation: 0,
            left: *self,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let left = world.left;
        for (at, read) in world.reads.iter().enumerate() {
            actions.push(if matches!(read, Read::Sent(..)) { Action::Answer(at) } else { Action::Fill(at) });
        }
        actions.extend((0..world.own.len()).map(Action::Acknowledge));
        actions.extend((left.foreign > 0).then_some(Action::Foreign));
        actions.extend((left.own > 0).then_some(Action::Own));
        let Some(session) = &world.session else { return actions.push(Action::Open) };
        actions.extend((left.reads > 0).then_some(Action::Miss));
        match session.beating {
            None => actions.extend((left.beats > 0).then_some(Action::Beat)),
            Some((_, arrived)) => actions.extend((session.heard && !arrived).then_some(Action::BeatArrives)),
        }
        actions.extend((!session.told.is_empty()).then_some(Action::Hear));
        if session.heard {
            let breaks = [true, false].map(|lost| Action::Break { lost });
            actions.extend(breaks.into_iter().filter(|_| left.breaks > 0));
        } else {
            actions.push(Action::Notice);
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        match action {
            Action::Open => {
                let (confirmed, told) = (world.view, VecDeque::new());
                (world.number, world.next_generation) = (world.number + 1, 0);
                world.session =
                    Some(TrackingSession { entry: None, confirmed, beating: None, told, heard: true });
            }
            Action::Miss => world.miss(),
            Action::Answer(at) => {
                if let Read::Sent(number, generation) = world.reads[at] {
                    world.reads[at] = Read::Answered(number, generation, world.view);
                }
            }
            Action::Fill(at) => world.fill(at),
            Action::Foreign => {
                world.change();
                world.left.foreign -= 1;
            }
            Action::Own => {
                world.change();
                world.own.push(world.view);
                world.left.own -= 1;
            }
            Action::Acknowledge(at) => {
                world.acked = world.own.remove(at).max(world.acked);
                if let Some(session) = &mut world.session {
                    session.entry = None;
                }
            }
            Action::Beat => {
                let view = world.view;
                world.session().beating = Some((view, false));
                world.left.beats -= 1;
            }
            Action::BeatArrives => {
                let session = world.session();
                let (sent, _) = session.beating.expect("only offered with a heartbeat under way");
                session.beating = Some((sent, true));
                session.told.push_back(Told::Beat(sent));
            }
            Action::Hear => world.hear(),
            Action::Break { lost } => {
                world.left.breaks -= 1;
                let session = world.session();
                session.heard = false;
                if lost {
                    session.told.clear();
                }
            }
            Action::Notice => world.session = None,
        }
        world.reads.sort_unstable();
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "what is kept is no older than an own change that was acknowledged",
                |_: &Self, world: &World| world.kept().is_none_or(|(_, held)| held >= world.acked),
            ),
            Property::always(
                "what is kept is no older than the heartbeat that was answered",
                |_: &Self, world: &World| {
                    world.kept().is_none_or(|(session, held)| held >= session.confirmed)
                },
            ),
            Property::always(
                "with nothing on the way, what is kept is what the view has",
                |_: &Self, world: &World| {
                    let settled =
                        |session: &TrackingSession| session.heard && !session.told.contains(&Told::Changed);
                    world.kept().is_none_or(|(session, held)| !settled(session) || held == world.view)
                },
            ),
            Property::sometimes("what is kept is behind the view", |_: &Self, world: &World| {
                world.kept().is_some_and(|(_, held)| held < world.view)
            }),
            Property::sometimes("an answer comes too late to be kept", |_: &Self, world: &World| {
                let entry = world.session.as_ref().and_then(|session| session.entry.as_ref());
                let waits = entry.map(|entry| entry.look().1);
                let late = |read: &Read| matches!(read, Read::Answered(_, generation, _) if waits != Some(*generation));
                world.reads.iter().any(late)
            }),
            Property::sometimes(
                "an answer of an earlier session meets a later one",
                |_: &Self, world: &World| {
                    let earlier = |read: &Read| matches!(read, Read::Answered(n, ..) if *n < world.number);
                    world.session.is_some() && world.reads.iter().any(earlier)
                },
            ),
            Property::sometimes(
                "a heartbeat confirms what is kept after a change",
                |_: &Self, world: &World| {
                    world.kept().is_some_and(|(session, held)| session.confirmed == held && held > 1)
                },
            ),
            Property::sometimes(
                "a loss is not noticed while something is kept",
                |_: &Self, world: &World| {
                    world.kept().is_some_and(|(session, held)| !session.heard && held < world.view)
                },
            ),
        ]
    }
}

pub fn explore(budget: Budget, least: usize) {
    let begun = Instant::now();
    let checker = budget.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let states = checker.unique_state_count();
    println!("near cache: {states} states, {} deep, {:.1?}", checker.max_depth(), begun.elapsed());
    checker.assert_properties();
    assert!(states >= least, "{states} states are fewer than {least}: something no longer happens");
}

#[test]
fn a_near_cache_keeps_its_promises_in_every_order() {
    explore(Budget { own: 2, foreign: 1, reads: 2, beats: 1, breaks: 1 }, 400_000);
}
