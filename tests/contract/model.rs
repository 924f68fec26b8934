//! The definition of an unread count, word for word, over the bare list of what has happened.

use otc_im::domain::ids::{Accid, Millis};
use otc_im::domain::message::{ConvType, Message, Recall, Receipt};
use otc_im::domain::unread::Snapshot;

/// All that NetEase has ever told, in the order in which it came.
#[derive(Debug, Default)]
pub struct Model {
    pub messages: Vec<Message>,
    pub receipts: Vec<Receipt>,
    pub recalls: Vec<Recall>,
}

impl Model {
    /// The messages from `peer` to `reader` that count: from person to person, delivered, newer than every receipt,
    /// not recalled; each once, as it came first.
    fn counted(&self, reader: &Accid, peer: &Accid) -> Vec<&Message> {
        let first = |at: usize, m: &Message| self.messages[..at].iter().all(|earlier| earlier.key != m.key);
        let unread = |m: &Message| {
            m.key.conv_type == ConvType::Person
                && !m.withheld
                && m.from != m.to
                && m.from == *peer
                && m.to == *reader
                && self
                    .receipts
                    .iter()
                    .all(|r| r.reader != *reader || r.peer != *peer || r.up_to < m.timestamp)
                && self.recalls.iter().all(|recall| recall.key != m.key)
        };
        let messages = self.messages.iter().enumerate();
        messages.filter(|(at, m)| first(*at, m) && unread(m)).map(|(_, m)| m).collect()
    }

    pub fn unread(&self, reader: &Accid, peer: &Accid) -> u64 {
        self.counted(reader, peer).len() as u64
    }

    /// What a message log that holds all this answers.
    pub fn snapshot(&self, reader: &Accid, peers: &[Accid]) -> Snapshot {
        let newest = |peer: &Accid| -> Option<Millis> {
            let of_pair = self.receipts.iter().filter(|r| r.reader == *reader && r.peer == *peer);
            of_pair.map(|r| r.up_to).max()
        };
        let unread = peers.iter().flat_map(|peer| {
            let counted = self.counted(reader, peer);
            counted.into_iter().map(|m| (peer.clone(), m.key.server_id, m.timestamp))
        });
        let marks = peers.iter().filter_map(|peer| Some((peer.clone(), newest(peer)?)));
        let taken_back = |m: &&Message| {
            let recalled = self.recalls.iter().any(|recall| recall.key == m.key);
            recalled && m.key.conv_type == ConvType::Person && m.to == *reader
        };
        let recalled = self.messages.iter().filter(taken_back).map(|m| (m.from.clone(), m.key.server_id));
        Snapshot { unread: unread.collect(), marks: marks.collect(), recalled: recalled.collect() }
    }
}
