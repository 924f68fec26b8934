//! Work under way: the commands and loads as machines of single steps.

use otc_im::domain::ids::{Accid, Millis, ServerId};
use otc_im::domain::message::Fact;
use otc_im::domain::unread::{Change, Load, Snapshot};
use otc_im::ports::message_log::{InsertOutcome, Recorded};

use super::log::Log;
use super::scene::Scene;

/// One delivery of a copy, with its first step on the log done: before that, nothing has happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Handler {
    /// Which copy.
    pub copy: usize,
    pub next: Step,
}

/// What a handler does next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// `record`: look at the mark of the pair; of a message that is recalled, it does not matter.
    LookAtMark,
    /// `record`: the mark covers the message; set `state`.
    SetState { mark: Millis },
    /// `record` of a receipt: the mark is raised; set `state`.
    SetStates,
    /// The log is done: tell the view.
    View(Change),
    /// The view is done: acknowledge.
    Ack,
}

impl Handler {
    /// Takes a copy in, up to its first write.
    pub fn begin(scene: &Scene, log: &mut Log, copy: usize) -> Self {
        let next = match &scene.facts[copy] {
            Fact::Message(message) => match log.insert(message.key.server_id) {
                true => tell_view(scene, copy, true, None),
                false => Step::LookAtMark,
            },
            Fact::Receipt(receipt) => {
                log.raise(receipt);
                Step::SetStates
            }
            Fact::Recall(recall) => {
                log.lay(recall.key.server_id);
                Step::View(Change::recalled(recall.to.clone(), recall.from.clone(), recall.key))
            }
            Fact::Edit(_) => Step::Ack,
        };
        Self { copy, next }
    }

    /// Whether the next step is one on the log.
    pub fn in_log(&self) -> bool {
        !matches!(self.next, Step::View(_) | Step::Ack)
    }

    /// Does the next step on the log.
    pub fn step_log(&mut self, scene: &Scene, log: &mut Log) {
        self.next = match (&scene.facts[self.copy], &self.next) {
            (Fact::Message(message), Step::LookAtMark) => match log.mark(&message.to, &message.from) {
                Some(mark) if message.timestamp <= mark => Step::SetState { mark },
                mark => tell_view(scene, self.copy, false, mark),
            },
            (Fact::Message(message), Step::SetState { mark }) => {
                log.set_read(message.key.server_id);
                tell_view(scene, self.copy, false, Some(*mark))
            }
            (Fact::Receipt(receipt), Step::SetStates) => {
                log.set_state(scene, receipt);
                Step::View(Change::read(receipt.clone()))
            }
            (_, step) => unreachable!("{step:?} is no step on the log"),
        };
    }
}

fn tell_view(scene: &Scene, copy: usize, recalled: bool, mark: Option<Millis>) -> Step {
    let Fact::Message(message) = &scene.facts[copy] else { unreachable!("only messages are recorded") };
    // Which copy it is makes no difference to what the view is told.
    Recorded::message(InsertOutcome::First, message, recalled, mark).change.map_or(Step::Ack, Step::View)
}

/// A load or a recheck: both take the same steps.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Loading {
    /// Whose.
    pub reader: usize,
    pub load: Load,
    pub read: Read,
    /// No write was lost since it began: its merge heals what was lost before.
    pub heals: bool,
}

/// How much of the log a load has read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Read {
    Nothing,
    /// The messages; marks and recalls come after, or the load could vouch for a message that one of them took off.
    /// Those two are one step here: nothing writes both.
    Messages(Vec<(Accid, ServerId, Millis)>),
    Everything(Snapshot),
}

impl Loading {
    /// Reads on; a load that has read everything does not.
    pub fn step_log(&mut self, scene: &Scene, log: &Log) {
        let reader = &scene.readers[self.reader];
        self.read = match std::mem::replace(&mut self.read, Read::Nothing) {
            Read::Nothing => Read::Messages(log.unread(scene, reader)),
            Read::Messages(unread) => {
                let (marks, recalled) = (log.marks_of(reader), log.recalled(scene, reader));
                Read::Everything(Snapshot { unread, marks, recalled })
            }
            done @ Read::Everything(_) => done,
        };
    }
}
