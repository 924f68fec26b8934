//! Taking in receipts: one command for many marks, then one for the messages that they cover.

use mongodb::bson::{Document, doc};

use super::connect::durably;
use super::document::STORE;
use super::operation::{bounded, refusal, store_error};
use super::{MongoLog, pair};
use crate::domain::message::Receipt;
use crate::ports::StoreError;

impl MongoLog {
    pub(super) async fn raise_all(&self, receipts: &[Receipt]) -> Vec<Result<(), StoreError>> {
        self.update_each("read_marks", receipts.iter().map(raise).collect()).await
    }

    pub(super) async fn read_all(&self, receipts: &[&Receipt]) -> Vec<Result<(), StoreError>> {
        self.update_each("messages", receipts.iter().map(|receipt| read_up_to(receipt)).collect()).await
    }

    /// Makes the updates in one command, in no order; answers one outcome for each.
    ///
    /// The driver has no call for this that servers before 8.0 know, and tries none of it twice: NetEase will.
    async fn update_each(&self, collection: &str, updates: Vec<Document>) -> Vec<Result<(), StoreError>> {
        let count = updates.len();
        if count == 0 {
            return Vec::new();
        }
        let command =
            doc! { "update": collection, "updates": updates, "ordered": false, "writeConcern": durably() };
        let database = self.database.clone();
        let answer = match bounded(async move { database.run_command(command).await }).await {
            Ok(answer) => answer,
            Err(error) => return store_error(error).of_all(count),
        };
        if let Ok(failed) = answer.get_document("writeConcernError") {
            return StoreError::unavailable(STORE, failed.to_string()).of_all(count);
        }
        let mut outcomes: Vec<_> = (0..count).map(|_| Ok(())).collect();
        for failed in answer.get_array("writeErrors").into_iter().flatten() {
            let number = |name| failed.as_document().and_then(|failed| failed.get_i32(name).ok());
            let (refused, index) = (refusal(number("code"), failed.to_string()), number("index"));
            match index.and_then(|index| outcomes.get_mut(usize::try_from(index).ok()?)) {
                Some(outcome) => *outcome = Err(refused),
                None => return refused.of_all(count),
            }
        }
        outcomes
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
