//! What NetEase knows of its own events, and what any answer may therefore be. It reads no body, no log and no view.
//!
//! An answer is given while events are under way, so it has bounds. It counts at least what was acknowledged before
//! the poll began and was not read or recalled, as far as NetEase has begun to say, when the poll ended. It counts
//! at most what NetEase had begun to tell and had not had acknowledged as read or recalled.
//!
//! One allowance is made, and it ends with the next load that began after its cause: a view that went back in time, or
//! whose clock leapt past the life of its tombstones, may be wrong about a reader. A failover that loses the last
//! writes heals when the reader is rechecked.

use std::collections::BTreeMap;

use otc_im::domain::ids::{Accid, Millis};
use otc_im::domain::message::{MessageKey, Receipt};

use super::history::{Event, Fact, History, Sent};
use super::service::ALLOWANCE_MS;

/// A moment in the order of everything that was noted.
pub type Seq = u64;

#[derive(Default)]
pub struct Ledger {
    seq: Seq,
    messages: BTreeMap<MessageKey, Told>,
    marks: Vec<Mark>,
    readers: BTreeMap<Accid, Trust>,
}

/// A message and what NetEase has said of it.
pub struct Told {
    pub sent: Sent,
    pub begun: Option<Seq>,
    pub acked: Option<Seq>,
    pub recall_begun: Option<Seq>,
    pub recall_acked: Option<Seq>,
}

/// One attempt to tell that everything up to a time is read. Each is pulled back to its own present, or to the newest
/// message that is unread then: which one that is can be under way itself, so there is a least and a most.
pub struct Mark {
    pub reader: Accid,
    pub peer: Accid,
    pub acked: Option<Seq>,
    /// What the receipt says.
    spoken: Millis,
    /// The latest that its own present allows.
    latest: Millis,
    begun: Seq,
    /// At least this much is read: what was there when it began, by this attempt or by another that came in between.
    pub least: Millis,
    /// At most this much, once the attempt was acknowledged; before, messages that come may raise it.
    most: Option<Millis>,
}

#[derive(Default)]
struct Trust {
    /// Since when the view may be wrong about this reader.
    broken: Option<Seq>,
    healed: Seq,
}

/// An attempt to tell an event, until it ends.
pub struct Attempt {
    message: Option<MessageKey>,
    recall: Option<MessageKey>,
    marks: std::ops::Range<usize>,
}

/// What one count may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub least: u64,
    pub most: u64,
}

fn pulled_back(spoken: Millis, latest: Millis, newest: Option<Millis>) -> Millis {
    spoken.min(newest.map_or(latest, |newest| newest.plus(ALLOWANCE_MS).max(latest)))
}

impl Ledger {
    pub fn of(history: &History) -> Self {
        let mut ledger = Self::default();
        for event in &history.events {
            if let Fact::Sent(sent) = &event.fact {
                let told = Told {
                    sent: sent.clone(),
                    begun: None,
                    acked: None,
                    recall_begun: None,
                    recall_acked: None,
                };
                ledger.messages.insert(sent.key, told);
            }
        }
        for person in &history.people {
            ledger.readers.insert(person.clone(), Trust::default());
        }
        ledger
    }

    /// The next moment.
    pub fn tick(&mut self) -> Seq {
        self.seq += 1;
        self.seq
    }

    /// NetEase begins to tell `event` to an instance that takes no receipt for later than `latest`.
    pub fn begin(&mut self, event: &Event, latest: Millis) -> Attempt {
        let now = self.tick();
        let first = self.marks.len();
        let mut attempt = Attempt { message: None, recall: None, marks: first..first };
        match &event.fact {
            Fact::Sent(sent) => {
                self.told(sent.key).begun.get_or_insert(now);
                attempt.message = Some(sent.key);
                self.begin_marks(sent.read.as_slice(), latest, now);
            }
            Fact::Recalled(key) => {
                self.told(*key).recall_begun.get_or_insert(now);
                attempt.recall = Some(*key);
            }
            Fact::Read(receipts) => self.begin_marks(receipts, latest, now),
            Fact::Noise => {}
        }
        attempt.marks.end = self.marks.len();
        attempt
    }

    fn begin_marks(&mut self, receipts: &[Receipt], latest: Millis, now: Seq) {
        for receipt in receipts.iter().cloned() {
            let Receipt { reader, peer, up_to: spoken } = receipt;
            let (acked, least, most, begun) = (None, spoken.min(latest), None, now);
            self.marks.push(Mark { reader, peer, acked, spoken, latest, begun, least, most });
        }
    }

    /// The attempt is over, acknowledged or not.
    pub fn end(&mut self, attempt: Attempt, acked: bool) {
        let now = self.tick();
        if !acked {
            return;
        }
        if let Some(key) = attempt.message {
            self.told(key).acked.get_or_insert(now);
        }
        if let Some(key) = attempt.recall {
            self.told(key).recall_acked.get_or_insert(now);
        }
        for at in attempt.marks {
            let mark = &self.marks[at];
            let there =
                |told: &Told| told.acked.is_some_and(|at| at < mark.begun) && told.recall_begun.is_none();
            let newest = self.newest(&mark.reader, &mark.peer, there);
            let least = mark.spoken.min(newest.map_or(mark.latest, |newest| newest.max(mark.latest)));
            let most = self.most(mark);
            let mark = &mut self.marks[at];
            (mark.acked, mark.least, mark.most) = (Some(now), least, Some(most));
        }
    }

    /// The newest message of a pair that is so.
    fn newest(&self, reader: &Accid, peer: &Accid, so: impl Fn(&Told) -> bool) -> Option<Millis> {
        let of_pair = |told: &&Told| told.sent.counts && told.sent.to == *reader && told.sent.from == *peer;
        self.messages.values().filter(of_pair).filter(|told| so(told)).map(|told| told.sent.at).max()
    }

    /// The most that this attempt may have read.
    pub fn most(&self, mark: &Mark) -> Millis {
        let perhaps =
            |told: &Told| told.begun.is_some() && told.recall_acked.is_none_or(|at| at > mark.begun);
        let newest = || self.newest(&mark.reader, &mark.peer, perhaps);
        mark.most.unwrap_or_else(|| pulled_back(mark.spoken, mark.latest, newest()))
    }

    fn told(&mut self, key: MessageKey) -> &mut Told {
        self.messages.get_mut(&key).expect("of this history")
    }

    /// The view holds what it held some time ago, and does not know it.
    pub fn view_misled(&mut self) {
        let now = self.tick();
        for trust in self.readers.values_mut() {
            trust.broken = Some(now);
        }
    }

    /// A load that began at `began` has vouched for `reader`.
    pub fn loaded(&mut self, reader: &Accid, began: Seq) {
        let now = self.tick();
        if let Some(trust) = self.readers.get_mut(reader)
            && trust.broken.is_some_and(|broken| broken < began)
        {
            *trust = Trust { broken: None, healed: now };
        }
    }

    /// What a poll that began at `from` and ends now may answer.
    pub fn bounds(&self, reader: &Accid, peer: &Accid, from: Seq) -> Bounds {
        let of_pair = |told: &&Told| told.sent.counts && told.sent.to == *reader && told.sent.from == *peer;
        let told = self.messages.values().filter(of_pair).filter(|told| told.begun.is_some());
        let trust = self.readers.get(reader);
        if trust.is_some_and(|trust| trust.broken.is_some() || trust.healed > from) {
            return Bounds { least: 0, most: told.count() as u64 };
        }
        let (mut least, mut most) = (0, 0);
        for told in told {
            let acked = told.acked.is_some_and(|at| at < from);
            let maybe_gone = told.recall_begun.is_some() || self.may_cover(told).next().is_some();
            least += u64::from(acked && !maybe_gone);
            let recalled = told.recall_acked.is_some_and(|at| at < from);
            let covers = |mark: &Mark| mark.least >= told.sent.at && mark.acked.is_some_and(|at| at < from);
            let read = self.marks(&told.sent.to, &told.sent.from).any(covers);
            most += u64::from(!read && !recalled);
        }
        Bounds { least, most }
    }

    fn may_cover<'a>(&'a self, told: &'a Told) -> impl Iterator<Item = &'a Mark> {
        let Sent { to, from, at, .. } = &told.sent;
        self.marks(to, from).filter(move |mark| self.most(mark) >= *at)
    }

    pub fn messages(&self) -> impl Iterator<Item = &Told> {
        self.messages.values()
    }

    /// Every attempt to raise the mark of a pair.
    pub fn marks<'a>(&'a self, reader: &'a Accid, peer: &'a Accid) -> impl Iterator<Item = &'a Mark> {
        self.marks.iter().filter(move |mark| mark.reader == *reader && mark.peer == *peer)
    }
}
