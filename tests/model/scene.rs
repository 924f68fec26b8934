//! What happens in one model: the copies that NetEase sends, and how much may go wrong.

use otc_im::domain::ids::{Accid, Millis, ServerId};
use otc_im::domain::message::{ConvType, Details, Fact, Message, MessageKey, Recall, Receipt, TakenBack};

/// How finely the work is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// A call of a port is one step: what real adapters can be held to.
    Calls,
    /// An operation of MongoDB is one step.
    Operations,
}

/// How often something may still happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Loads and rechecks that may begin.
    pub loads: u8,
    /// Copies sent once more although one is under way or was acknowledged. One that was not is always sent again.
    pub repeats: u8,
    /// Crashes of an instance.
    pub crashes: u8,
    /// Losses of the whole view.
    pub losses: u8,
    /// Losses of one reader's view.
    pub reader_losses: u8,
    /// Failovers to a replica that lacks the newest writes.
    pub failovers: u8,
}

/// One model: everything in it may happen in any order.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Copies, each sent until it is acknowledged.
    pub facts: Vec<Fact>,
    /// Whose counts are kept.
    pub readers: Vec<Accid>,
    /// Whom every reader is asked about.
    pub peers: Vec<Accid>,
    pub grain: Grain,
    pub budget: Budget,
    /// The situations that this scene has to reach.
    pub reaches: Vec<&'static str>,
}

impl Scene {
    /// `facts`, in the world of these `readers`; nothing goes wrong, nothing is loaded.
    pub fn of(readers: &[&str], facts: Vec<Fact>) -> Self {
        let accids = |names: &[&str]| names.iter().map(|name| Accid::of_user(name)).collect();
        Self {
            facts,
            readers: accids(readers),
            peers: accids(&["ann", "ben", "cat"]),
            grain: Grain::Calls,
            budget: Budget::default(),
            reaches: Vec::new(),
        }
    }

    /// The message with this number.
    pub fn message(&self, id: ServerId) -> &Message {
        self.messages().find(|(_, message)| message.key.server_id == id).expect("a message of the scene").1
    }

    /// The messages, with their places among the facts.
    pub fn messages(&self) -> impl Iterator<Item = (usize, &Message)> {
        self.facts.iter().enumerate().filter_map(|(at, fact)| match fact {
            Fact::Message(message) => Some((at, &**message)),
            _ => None,
        })
    }

    /// The reader's place.
    pub fn reader(&self, accid: &Accid) -> usize {
        self.readers.iter().position(|reader| reader == accid).expect("a reader of the scene")
    }

    /// The same scene with `prefix` before every accid and `offset` on every number, to be played beside others.
    pub fn renamed(&self, prefix: &str, offset: i64) -> Self {
        let name = |accid: &Accid| Accid::of_user(&format!("{prefix}{accid}"));
        let key = |key: MessageKey| self::key(key.server_id.get() + offset);
        let fact = |fact: &Fact| match fact.clone() {
            Fact::Message(m) => {
                Fact::from(Message { key: key(m.key), to: name(&m.to), from: name(&m.from), ..*m })
            }
            Fact::Receipt(r) => Fact::Receipt(Receipt { reader: name(&r.reader), peer: name(&r.peer), ..r }),
            Fact::Recall(r) => {
                Fact::Recall(Recall { key: key(r.key), to: name(&r.to), from: name(&r.from), ..r })
            }
            Fact::Edit(_) => unreachable!("no scene has one"),
        };
        Self {
            facts: self.facts.iter().map(fact).collect(),
            readers: self.readers.iter().map(name).collect(),
            peers: self.peers.iter().map(name).collect(),
            ..self.clone()
        }
    }
}

fn key(id: i64) -> MessageKey {
    MessageKey { conv_type: ConvType::Person, server_id: ServerId::new(id).expect("a number above zero") }
}

/// `from` wrote to `to`.
pub fn message(id: i64, from: &str, to: &str, at: i64) -> Fact {
    Fact::from(Message {
        key: key(id),
        to: Accid::of_user(to),
        from: Accid::of_user(from),
        timestamp: Millis(at),
        msg_type: "TEXT".into(),
        withheld: false,
        ignored: None,
        details: Details::default(),
    })
}

/// `reader` has read what `peer` wrote.
pub fn receipt(reader: &str, peer: &str, up_to: i64) -> Fact {
    Fact::Receipt(Receipt {
        reader: Accid::of_user(reader),
        peer: Accid::of_user(peer),
        up_to: Millis(up_to),
    })
}

/// `from` took back what they wrote to `to`.
pub fn recall(id: i64, from: &str, to: &str) -> Fact {
    let (from, to) = (Accid::of_user(from), Accid::of_user(to));
    Fact::Recall(Recall { key: key(id), from, to, taken_back: TakenBack::BySender })
}
