//! Laying tombstones: one command for many, and a second one for those whose message went to somebody else.

use mongodb::bson::{DateTime, Document, doc};

use super::MongoLog;
use super::update::outcomes;
use crate::domain::message::{Recall, TakenBack};
use crate::ports::StoreError;

impl MongoLog {
    pub(super) async fn recall_all(&self, recalls: &[&Recall]) -> Vec<Result<(), StoreError>> {
        let mut laid = self.update_each("messages", recalls.iter().map(|recall| lay(recall)).collect()).await;
        let key_is_taken = |at: &usize| laid[*at].as_ref().is_err_and(|why| why.key_is_taken);
        let there: Vec<usize> = (0..recalls.len()).filter(key_is_taken).collect();
        let found = there.iter().map(|&at| lay_on_found(recalls[at])).collect();
        for (at, outcome) in there.into_iter().zip(self.update_each("messages", found).await) {
            laid[at] = outcome;
        }
        outcomes(laid)
    }
}

/// Marks the message, or holds its place. An upsert has to name the shard key.
fn lay(recall: &Recall) -> Document {
    let mut tombstone = tombstone(recall);
    tombstone.insert("$setOnInsert", doc! { "fromAccount": recall.from.as_str() });
    let query = doc! { "_id": recall.key.to_string(), "to": recall.to.as_str() };
    doc! { "q": query, "u": tombstone, "upsert": true }
}

/// Marks the message, whomever it went to.
fn lay_on_found(recall: &Recall) -> Document {
    doc! { "q": { "_id": recall.key.to_string() }, "u": tombstone(recall) }
}

fn tombstone(recall: &Recall) -> Document {
    let mut marks = doc! { "recalled": true, "counted": false, "recalledAt": DateTime::now() };
    if recall.taken_back == TakenBack::ByReview {
        marks.insert("withheld", true);
    }
    doc! { "$set": marks }
}
