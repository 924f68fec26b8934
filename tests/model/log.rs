//! The message log as MongoDB keeps it: every method is one operation on one collection.
//!
//! `update_many` and a query are taken as one step each. A document that comes while they run is either seen or not,
//! and both are covered by its coming before or after.

use std::collections::BTreeMap;

use otc_im::domain::ids::{Accid, Millis, ServerId};
use otc_im::domain::message::Receipt;

use super::scene::Scene;

/// A document of `messages`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Row {
    /// The message itself is here, not only its tombstone.
    pub stored: bool,
    pub recalled: bool,
    /// `state` 1.
    pub read: bool,
}

impl Row {
    /// An unread count waits for its reader.
    pub fn counted(self) -> bool {
        self.stored && !self.recalled
    }
}

/// The two collections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Log {
    pub rows: BTreeMap<ServerId, Row>,
    pub marks: BTreeMap<(Accid, Accid), Millis>,
}

impl Log {
    /// Inserts the message or fills in its tombstone; answers whether it is recalled.
    pub fn insert(&mut self, id: ServerId) -> bool {
        let row = self.rows.entry(id).or_default();
        row.stored = true;
        row.recalled
    }

    /// The mark of a pair.
    pub fn mark(&self, reader: &Accid, peer: &Accid) -> Option<Millis> {
        self.marks.get(&(reader.clone(), peer.clone())).copied()
    }

    /// Raises the mark of a pair.
    pub fn raise(&mut self, receipt: &Receipt) {
        let mark = self.marks.entry((receipt.reader.clone(), receipt.peer.clone())).or_insert(receipt.up_to);
        *mark = receipt.up_to.max(*mark);
    }

    /// Sets `state` 1 on every message that the receipt covers.
    pub fn set_state(&mut self, scene: &Scene, receipt: &Receipt) {
        for (id, row) in self.rows.iter_mut().filter(|(_, row)| row.counted()) {
            let message = scene.message(*id);
            let pair = message.to == receipt.reader && message.from == receipt.peer;
            row.read |= pair && message.timestamp <= receipt.up_to;
        }
    }

    /// Sets `state` 1 on a message that came after its receipt.
    pub fn set_read(&mut self, id: ServerId) {
        let row = self.rows.entry(id).or_default();
        row.read |= row.counted();
    }

    /// Lays a tombstone.
    pub fn lay(&mut self, id: ServerId) {
        self.rows.entry(id).or_default().recalled = true;
    }

    /// What a load reads first.
    pub fn unread(&self, scene: &Scene, reader: &Accid) -> Vec<(Accid, ServerId, Millis)> {
        let unread = self.rows.iter().filter(|(_, row)| row.counted() && !row.read);
        let messages = unread.map(|(id, _)| scene.message(*id)).filter(|message| message.to == *reader);
        messages.map(|m| (m.from.clone(), m.key.server_id, m.timestamp)).collect()
    }

    /// What a load reads then.
    pub fn marks_of(&self, reader: &Accid) -> Vec<(Accid, Millis)> {
        let of_reader = self.marks.iter().filter(|((of, _), _)| of == reader);
        of_reader.map(|((_, peer), mark)| (peer.clone(), *mark)).collect()
    }

    /// And at last; a tombstone that waits for its message is left out.
    pub fn recalled(&self, scene: &Scene, reader: &Accid) -> Vec<(Accid, ServerId)> {
        let recalled = self.rows.iter().filter(|(_, row)| row.recalled && row.stored);
        let messages = recalled.map(|(id, _)| scene.message(*id)).filter(|message| message.to == *reader);
        messages.map(|m| (m.from.clone(), m.key.server_id)).collect()
    }
}
