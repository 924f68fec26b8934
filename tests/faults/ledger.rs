//! What was sent, what was acknowledged and when: from that follows which answers of a poll can be right.

use std::collections::HashMap;
use std::time::Instant;

use serde_json::{Value, json};

use super::chance::Chance;
use crate::support::webhook::message;

/// People who read.
pub const READERS: usize = 4;
/// People who write to each of them.
pub const PEERS: usize = 5;

/// A reader and a peer, by number.
pub type Pair = (usize, usize);

/// The user id of a reader.
pub fn reader(number: usize) -> String {
    format!("reader{number}")
}

/// The user id of a peer.
pub fn peer(number: usize) -> String {
    format!("peer{number}")
}

/// One copy, as it is sent until it is acknowledged.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its place in the ledger.
    number: usize,
    /// What is posted.
    pub body: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Fact {
    Message(Pair, u64),
    Receipt(Pair, i64),
    Recall(Pair, u64),
}

/// When an event was first sent, and when it was first acknowledged.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    sent: Option<Instant>,
    acked: Option<Instant>,
}

impl Times {
    fn sent_by(self, time: Instant) -> bool {
        self.sent.is_some_and(|sent| sent <= time)
    }

    fn acked_by(self, time: Instant) -> bool {
        self.acked.is_some_and(|acked| acked <= time)
    }
}

#[derive(Debug, Default)]
struct PairFacts {
    messages: Vec<(u64, i64, Times)>,
    receipts: Vec<(i64, Times)>,
    recalls: HashMap<u64, Times>,
}

/// What one message has to look like in the log once everything is acknowledged.
#[derive(Debug, Clone)]
pub struct Expected {
    /// msgidServer
    pub id: u64,
    /// Whose.
    pub pair: Pair,
    /// Whether a receipt covers it.
    pub read: bool,
    /// Whether it was taken back.
    pub recalled: bool,
}

/// Everything that was sent.
#[derive(Debug, Default)]
pub struct Ledger {
    events: Vec<(Vec<Fact>, Times)>,
    pairs: HashMap<Pair, PairFacts>,
    acked: usize,
    next_id: u64,
}

impl Ledger {
    /// Makes up the next copies: a message, receipts, or a message and its recall in any order.
    /// None for the reader `quiet`, if there is one of that number.
    pub fn next(&mut self, chance: &mut Chance, now: i64, quiet: usize) -> Vec<Event> {
        let pair = (chance.index(READERS), chance.index(PEERS));
        let pair = if pair.0 == quiet { ((pair.0 + 1) % READERS, pair.1) } else { pair };
        if chance.one_in(6) {
            let count = 1 + chance.index(3);
            let receipts = (0..count).map(|offset| {
                let pair = (pair.0, (pair.1 + offset) % PEERS);
                (pair, now - i64::try_from(chance.below(3_000)).expect("small"))
            });
            return vec![self.receipts(&receipts.collect::<Vec<_>>())];
        }
        let at = now - i64::try_from(chance.below(1_000)).expect("small");
        self.next_id += 1;
        let id = self.next_id;
        let sent = self.message(pair, id, at);
        if !chance.one_in(10) {
            return vec![sent];
        }
        let recall = self.recall(pair, id);
        if chance.one_in(2) { vec![sent, recall] } else { vec![recall, sent] }
    }

    fn message(&mut self, pair: Pair, id: u64, at: i64) -> Event {
        let body = message(&peer(pair.1), &reader(pair.0), id, at);
        self.pairs.entry(pair).or_default().messages.push((id, at, Times::default()));
        self.event(vec![Fact::Message(pair, id)], &body)
    }

    fn receipts(&mut self, receipts: &[(Pair, i64)]) -> Event {
        let object = |((r, p), at): &(Pair, i64)| json!({"fromAccount": reader(*r), "toAccount": peer(*p), "timestamp": at.to_string()});
        let objects: Vec<Value> = receipts.iter().map(object).collect();
        for (pair, at) in receipts {
            self.pairs.entry(*pair).or_default().receipts.push((*at, Times::default()));
        }
        let facts = receipts.iter().map(|(pair, at)| Fact::Receipt(*pair, *at)).collect();
        self.event(facts, &json!({"eventType": "30", "objects": Value::from(objects).to_string()}))
    }

    fn recall(&mut self, pair: Pair, id: u64) -> Event {
        self.pairs.entry(pair).or_default().recalls.insert(id, Times::default());
        let body =
            json!({"eventType": "7", "from": peer(pair.1), "to": reader(pair.0), "msgId": id.to_string()});
        self.event(vec![Fact::Recall(pair, id)], &body)
    }

    fn event(&mut self, facts: Vec<Fact>, body: &Value) -> Event {
        self.events.push((facts, Times::default()));
        Event { number: self.events.len() - 1, body: body.to_string().into_bytes() }
    }

    /// It is about to be sent.
    pub fn sent(&mut self, event: &Event, at: Instant) {
        self.change(event.number, |times| {
            times.sent.get_or_insert(at);
        });
    }

    /// It was answered 200.
    pub fn acked(&mut self, event: &Event, at: Instant) {
        self.acked += usize::from(self.events[event.number].1.acked.is_none());
        self.change(event.number, |times| {
            times.acked.get_or_insert(at);
        });
    }

    fn change(&mut self, number: usize, change: impl Fn(&mut Times)) {
        let (facts, times) = &mut self.events[number];
        change(times);
        for fact in facts.iter() {
            let (Fact::Message(pair, _) | Fact::Receipt(pair, _) | Fact::Recall(pair, _)) = fact;
            let known = self.pairs.entry(*pair).or_default();
            // The newest are at the end, and it is they that change.
            let found = match fact {
                Fact::Message(_, id) => {
                    known.messages.iter_mut().rev().find(|m| m.0 == *id).map(|m| &mut m.2)
                }
                Fact::Receipt(_, at) => {
                    known.receipts.iter_mut().rev().find(|r| r.0 == *at).map(|r| &mut r.1)
                }
                Fact::Recall(_, id) => known.recalls.get_mut(id),
            };
            change(found.expect("every fact is in its pair"));
        }
    }

    /// How many events there are, and how many of them are acknowledged.
    pub fn counts(&self) -> (usize, usize) {
        (self.events.len(), self.acked)
    }

    /// The fewest and the most that a poll of this time may answer: what was acknowledged before it began counts for
    /// certain, and whatever was sent before it ended may.
    pub fn bounds(&self, pair: Pair, began: Instant, ended: Instant) -> (usize, usize) {
        let Some(facts) = self.pairs.get(&pair) else { return (0, 0) };
        let mark = |holds: &dyn Fn(&Times) -> bool| {
            facts.receipts.iter().filter(|(_, times)| holds(times)).map(|(at, _)| *at).max().unwrap_or(-1)
        };
        let (surely, perhaps) = (|times: &Times| times.acked_by(began), |times: &Times| times.sent_by(ended));
        let (low_mark, high_mark) = (mark(&surely), mark(&perhaps));
        let recalled = |id: &u64, holds: &dyn Fn(&Times) -> bool| facts.recalls.get(id).is_some_and(holds);
        let count = |holds: &dyn Fn(&Times) -> bool, mark: i64, gone: &dyn Fn(&Times) -> bool| {
            let counts =
                |(id, at, times): &&(u64, i64, Times)| holds(times) && *at > mark && !recalled(id, gone);
            facts.messages.iter().filter(counts).count()
        };
        (count(&surely, high_mark, &perhaps), count(&perhaps, low_mark, &surely))
    }

    /// Every message as the log has to have it, and every mark.
    pub fn expected(&self) -> (Vec<Expected>, HashMap<Pair, i64>) {
        let mark = |facts: &PairFacts| facts.receipts.iter().map(|(at, _)| *at).max();
        let marks: HashMap<_, _> =
            self.pairs.iter().filter_map(|(pair, facts)| Some((*pair, mark(facts)?))).collect();
        let of_pair = |(pair, facts): (&Pair, &PairFacts)| {
            let mark = mark(facts).unwrap_or(-1);
            let expect = |(id, at, _): &(u64, i64, Times)| Expected {
                id: *id,
                pair: *pair,
                read: *at <= mark,
                recalled: facts.recalls.contains_key(id),
            };
            facts.messages.iter().map(expect).collect::<Vec<_>>()
        };
        (self.pairs.iter().flat_map(of_pair).collect(), marks)
    }
}
