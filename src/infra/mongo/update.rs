//! Many updates in one command.

use mongodb::bson::{Document, doc};

use super::MongoLog;
use super::connect::durably;
use super::document::STORE;
use super::operation::{DUPLICATE_KEY, bounded, refusal, store_error};
use crate::ports::StoreError;

/// Why an update was not made.
pub(super) struct NotUpdated {
    error: StoreError,
    /// It was an upsert, and the key is that of a document which its filter does not match.
    pub key_is_taken: bool,
}

impl From<StoreError> for NotUpdated {
    fn from(error: StoreError) -> Self {
        Self { error, key_is_taken: false }
    }
}

/// Their outcomes to those who need not know why.
pub(super) fn outcomes(updated: Vec<Result<(), NotUpdated>>) -> Vec<Result<(), StoreError>> {
    updated.into_iter().map(|outcome| outcome.map_err(|why| why.error)).collect()
}

impl MongoLog {
    /// Makes the updates in one command, in no order; answers one outcome for each.
    ///
    /// The driver has no call for this that servers before 8.0 know, and does not retry it: NetEase repeats the copy.
    pub(super) async fn update_each(
        &self,
        collection: &str,
        updates: Vec<Document>,
    ) -> Vec<Result<(), NotUpdated>> {
        let count = updates.len();
        if count == 0 {
            return Vec::new();
        }
        let of_all = |error: StoreError| (0..count).map(|_| Err(error.again().into())).collect();
        let command =
            doc! { "update": collection, "updates": updates, "ordered": false, "writeConcern": durably() };
        let database = self.database.clone();
        let answer = match bounded(async move { database.run_command(command).await }).await {
            Ok(answer) => answer,
            Err(error) => return of_all(store_error(error)),
        };
        if let Ok(failed) = answer.get_document("writeConcernError") {
            return of_all(StoreError::unavailable(STORE, failed.to_string()));
        }
        let mut outcomes: Vec<_> = (0..count).map(|_| Ok(())).collect();
        for failed in answer.get_array("writeErrors").into_iter().flatten() {
            let number = |name| failed.as_document().and_then(|failed| failed.get_i32(name).ok());
            let (code, index) = (number("code"), number("index"));
            let error = refusal(code, failed.to_string());
            match index.and_then(|index| outcomes.get_mut(usize::try_from(index).ok()?)) {
                Some(outcome) => {
                    *outcome = Err(NotUpdated { error, key_is_taken: code == Some(DUPLICATE_KEY) });
                }
                None => return of_all(error),
            }
        }
        outcomes
    }
}
