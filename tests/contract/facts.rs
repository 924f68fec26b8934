//! Messages, receipts and recalls as the suite needs them, and the few questions that it asks of a view.

use otc_im::domain::ids::{Accid, Millis, ServerId};
use otc_im::domain::message::{ConvType, Details, Message, MessageKey, Recall, Receipt, TakenBack};
use otc_im::domain::unread::{Change, Merged, Reading, Snapshot, Total};
use otc_im::ports::unread_view::UnreadView;

use crate::support::fresh_name;

/// The present of the suite.
pub const NOW: Millis = Millis(1_700_000_000_000);

/// A reader and one of those who write to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Who reads.
    pub reader: Accid,
    /// Who writes.
    pub peer: Accid,
}

pub fn id(number: i64) -> ServerId {
    ServerId::new(number).unwrap()
}

pub fn person(number: i64) -> MessageKey {
    MessageKey { conv_type: ConvType::Person, server_id: id(number) }
}

pub fn fresh_accid() -> Accid {
    Accid::from_nim(&fresh_name()).unwrap()
}

impl Pair {
    /// Two accounts that no other test knows.
    pub fn fresh() -> Self {
        Self { reader: fresh_accid(), peer: fresh_accid() }
    }

    /// The same reader with somebody else.
    pub fn with_another(&self) -> Self {
        Self { reader: self.reader.clone(), peer: fresh_accid() }
    }

    /// The same two, seen from the other side.
    pub fn turned(&self) -> Self {
        Self { reader: self.peer.clone(), peer: self.reader.clone() }
    }

    pub fn message(&self, number: i64, at: i64) -> Message {
        Message {
            key: person(number),
            to: self.reader.clone(),
            from: self.peer.clone(),
            timestamp: Millis(at),
            msg_type: "TEXT".into(),
            withheld: false,
            ignored: None,
            details: Details { body: Some(format!("message {number}")), ..Details::default() },
        }
    }

    pub fn receipt(&self, up_to: i64) -> Receipt {
        Receipt { reader: self.reader.clone(), peer: self.peer.clone(), up_to: Millis(up_to) }
    }

    pub fn recall(&self, number: i64) -> Recall {
        Recall {
            key: person(number),
            from: self.peer.clone(),
            to: self.reader.clone(),
            taken_back: TakenBack::BySender,
        }
    }

    pub fn withdrawal(&self, number: i64) -> Recall {
        Recall { taken_back: TakenBack::ByReview, ..self.recall(number) }
    }

    pub fn arrived(&self, number: i64, at: i64) -> Change {
        Change::arrived(self.message(number, at).unread().unwrap(), None)
    }

    pub fn arrived_with_mark(&self, number: i64, at: i64, mark: i64) -> Change {
        Change::arrived(self.message(number, at).unread().unwrap(), Some(Millis(mark)))
    }

    pub fn read(&self, up_to: i64) -> Change {
        Change::read(self.receipt(up_to))
    }

    pub fn recalled(&self, number: i64) -> Change {
        Change::recalled(self.reader.clone(), self.peer.clone(), person(number))
    }

    /// What a log answers that counts these messages of this pair and knows these marks of it.
    pub fn snapshot(&self, unread: impl IntoIterator<Item = (i64, i64)>, mark: Option<i64>) -> Snapshot {
        let message = |(number, at)| (self.peer.clone(), id(number), Millis(at));
        Snapshot {
            unread: unread.into_iter().map(message).collect(),
            marks: mark.map(|mark| (self.peer.clone(), Millis(mark))).into_iter().collect(),
            recalled: Vec::new(),
        }
    }
}

/// The same answer of a log that knows these messages of the pair to have been taken back.
pub fn with_recalled(snapshot: Snapshot, pair: &Pair, numbers: &[i64]) -> Snapshot {
    Snapshot { recalled: numbers.iter().map(|number| (pair.peer.clone(), id(*number))).collect(), ..snapshot }
}

/// Applies changes one after the other.
pub async fn apply(view: &dyn UnreadView, changes: impl IntoIterator<Item = Change>) {
    for change in changes {
        view.apply(&change, NOW).await.unwrap();
    }
}

/// Loads a reader whose log answers `snapshot`.
pub async fn load(view: &dyn UnreadView, reader: &Accid, snapshot: &Snapshot) -> Merged {
    let load = view.begin_load(reader, &fresh_name()).await.unwrap();
    view.merge(reader, &load, snapshot, NOW).await.unwrap()
}

/// A pair whose reader the view knows to have nothing unread.
pub async fn known_pair(view: &dyn UnreadView) -> Pair {
    let pair = Pair::fresh();
    let merged = load(view, &pair.reader, &Snapshot::default()).await;
    assert_eq!(merged, Merged::Done { added: 0, removed: 0 });
    pair
}

/// The count of a pair, `None` when the view cannot tell.
pub async fn count(view: &dyn UnreadView, pair: &Pair) -> Option<u64> {
    match view.read(&pair.reader, std::slice::from_ref(&pair.peer)).await.unwrap() {
        Reading::Known { counts, .. } => Some(counts[0]),
        Reading::Unknown => None,
    }
}

/// How many messages a reader has not read, and from how many peers; `None` when the view cannot tell.
pub async fn total(view: &dyn UnreadView, reader: &Accid) -> Option<(u64, u64)> {
    match view.total(reader).await.unwrap() {
        Reading::Known { counts: Total { messages, users }, .. } => Some((messages, users)),
        Reading::Unknown => None,
    }
}
