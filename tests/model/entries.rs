//! The entries of many readers behave as so many single entries, each of which may be forgotten at any time.
//!
//! `near` explores one entry (`Entry`); this binds `Entries`, which holds them in shards of two halves each, to it:
//! one history on both, changes being heard of at once. No server takes part.

use std::collections::HashMap;

use otc_im::domain::ids::Accid;
use otc_im::infra::redis::near::entries::{Entries, Entry, Generation};
use proptest::prelude::*;

use crate::contract::interleavings::runner;

/// More than the halves of all shards have room for when there is room for few.
const READERS: usize = 200;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A poll looks; a read takes the generation along, whatever was found.
    Read(usize),
    /// One of the reads under way brings what was so when it began.
    Fill(usize),
    /// Somebody changes a reader.
    Change(usize),
    /// The server is emptied.
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        60 => (0..READERS).prop_map(Step::Read),
        // A few that are asked for again and again.
        40 => (0..8_usize).prop_map(Step::Read),
        90 => any::<usize>().prop_map(Step::Fill),
        20 => (0..READERS).prop_map(Step::Change),
        20 => (0..8_usize).prop_map(Step::Change),
        1 => Just(Step::Clear),
    ];
    proptest::collection::vec(step, 1..1_500)
}

/// A read under way: of whom, with which generations, and what it brings.
struct Read {
    reader: usize,
    generations: (Generation, Generation),
    brings: u32,
}

struct Both {
    entries: Entries<u32>,
    singles: HashMap<usize, Entry<u32>>,
    readers: Vec<Accid>,
    /// Every change raises it.
    views: Vec<u32>,
    reads: Vec<Read>,
    next_generation: Generation,
    /// Polls that both could answer, and those that only the single entry could.
    answered: (usize, usize),
}

impl Both {
    fn new(room: usize) -> Self {
        Self {
            entries: Entries::new(room),
            singles: HashMap::new(),
            readers: (0..READERS).map(|n| Accid::of_user(&format!("reader{n}"))).collect(),
            views: vec![0; READERS],
            reads: Vec::new(),
            next_generation: 0,
            answered: (0, 0),
        }
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Read(reader) => return self.read(reader),
            Step::Fill(_) if self.reads.is_empty() => {}
            Step::Fill(which) => {
                let read = self.reads.swap_remove(which % self.reads.len());
                self.entries.fill(&self.readers[read.reader], read.generations.0, read.brings);
                if let Some(entry) = self.singles.get_mut(&read.reader) {
                    entry.fill(read.generations.1, read.brings);
                }
            }
            Step::Change(reader) => {
                self.views[reader] += 1;
                self.entries.remove(self.readers[reader].as_str());
                self.singles.remove(&reader);
            }
            Step::Clear => {
                self.views.iter_mut().for_each(|view| *view += 1);
                self.entries.clear();
                self.singles.clear();
            }
        }
        Ok(())
    }

    fn read(&mut self, reader: usize) -> Result<(), TestCaseError> {
        let (held, generation) = self.entries.look(&self.readers[reader]);
        self.next_generation += 1;
        let entry = self.singles.entry(reader).or_insert_with(|| Entry::new(self.next_generation));
        let (single, single_token) = entry.look();
        let view = self.views[reader];
        prop_assert!(held.is_none_or(|held| held == view), "{held:?} of {view}");
        prop_assert!(single.is_none_or(|single| single == view), "{single:?} of {view}");
        prop_assert!(held.is_none() || held == single, "nothing is kept that an entry would not keep");
        self.answered.0 += usize::from(held.is_some());
        self.answered.1 += usize::from(held.is_none() && single.is_some());
        self.reads.push(Read { reader, generations: (generation, single_token), brings: view });
        Ok(())
    }
}

/// One history with this much room; how many polls both could answer, and how many only single entries could.
fn played(room: usize, steps: &[Step]) -> Result<(usize, usize), TestCaseError> {
    let mut both = Both::new(room);
    steps.iter().try_for_each(|step| both.take(*step))?;
    Ok(both.answered)
}

#[test]
fn many_entries_keep_what_single_ones_keep_or_nothing() {
    let mut runner = runner(60);
    let seen = std::cell::Cell::new((0, 0));
    let outcome = runner.run(&steps(), |steps| {
        let (_, forgotten) = played(1_000_000, &steps)?;
        prop_assert_eq!(forgotten, 0, "there is room for all");
        let (answered, forgotten) = played(1, &steps)?;
        seen.set((seen.get().0 + answered, seen.get().1 + forgotten));
        Ok(())
    });
    outcome.unwrap();
    let (answered, forgotten) = seen.get();
    assert!(answered > 1_000 && forgotten > 100, "{answered} answered, {forgotten} forgotten");
}
