//! Taking in receipts: one command for many marks, then one for the messages that they cover.

use mongodb::bson::{Document, doc};

use super::update::outcomes;
use super::{MongoLog, pair};
use crate::domain::message::Receipt;
use crate::ports::StoreError;

impl MongoLog {
    pub(super) async fn raise_all(&self, receipts: &[&Receipt]) -> Vec<Result<(), StoreError>> {
        let marks = receipts.iter().map(|receipt| raise(receipt)).collect();
        outcomes(self.update_each("read_marks", marks).await)
    }

    pub(super) async fn read_all(&self, receipts: &[&Receipt]) -> Vec<Result<(), StoreError>> {
        let messages = receipts.iter().map(|receipt| read_up_to(receipt)).collect();
        outcomes(self.update_each("messages", messages).await)
    }
}

/// Raises the mark. Of two first receipts of a pair, the one that does not come to insert it is tried again by the
/// server itself.
fn raise(Receipt { reader, peer, up_to }: &Receipt) -> Document {
    let set = doc! { "reader": reader.as_str(), "peer": peer.as_str() };
    let mark = doc! { "$max": { "mark": up_to.0 }, "$setOnInsert": set };
    doc! { "q": { "_id": pair(reader, peer) }, "u": mark, "upsert": true }
}

/// Sets `state` 1 on what the reader has read.
fn read_up_to(Receipt { reader, peer, up_to }: &Receipt) -> Document {
    let read = doc! {
        "to": reader.as_str(),
        "fromAccount": peer.as_str(),
        "msgTimestamp": { "$lte": up_to.0 },
        "state": 0,
        "counted": true,
    };
    doc! { "q": read, "u": { "$set": { "state": 1 } }, "multi": true }
}
