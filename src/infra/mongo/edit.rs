//! Edits: one command for many, and a second one for those whose message went to somebody else.

use mongodb::bson::{Bson, Document, doc};

use super::MongoLog;
use super::update::outcomes;
use crate::domain::message::Edit;
use crate::ports::StoreError;

/// The fields that an edit may change. `edited` holds the time of the newest edit of each.
pub(super) const EDITABLE: [&str; 3] = ["body", "attach", "ext"];

impl MongoLog {
    pub(super) async fn edit_all(&self, edits: &[&Edit]) -> Vec<Result<(), StoreError>> {
        let mut made = self.update_each("messages", edits.iter().map(|edit| make(edit)).collect()).await;
        let key_is_taken = |at: &usize| made[*at].as_ref().is_err_and(|why| why.key_is_taken);
        let there: Vec<usize> = (0..edits.len()).filter(key_is_taken).collect();
        let found = there.iter().map(|&at| make_on_found(edits[at])).collect();
        for (at, outcome) in there.into_iter().zip(self.update_each("messages", found).await) {
            made[at] = outcome;
        }
        outcomes(made)
    }
}

/// Changes the message, or holds its place. An upsert has to name the shard key.
fn make(edit: &Edit) -> Document {
    let query = doc! { "_id": edit.key.to_string(), "to": edit.to.as_str() };
    doc! { "q": query, "u": [{ "$set": changes(edit) }], "upsert": true }
}

/// Changes the message, whomever it went to.
fn make_on_found(edit: &Edit) -> Document {
    doc! { "q": { "_id": edit.key.to_string() }, "u": [{ "$set": changes(edit) }] }
}

fn changes(edit: &Edit) -> Document {
    let at = edit.at.0;
    let mut changes = doc! {
        "fromAccount": { "$ifNull": ["$fromAccount", edit.from.as_str()] },
        "counted": { "$ifNull": ["$counted", false] },
        "editedAt": { "$max": ["$editedAt", at] },
    };
    for (name, value) in EDITABLE.into_iter().zip([&edit.body, &edit.attach, &edit.ext]) {
        let Some(value) = value else { continue };
        let (field, time) = (format!("${name}"), format!("$edited.{name}"));
        let is_newest = doc! { "$gt": [at, { "$ifNull": [&time, -1_i64] }] };
        changes.insert(name, doc! { "$cond": [is_newest, { "$literal": value }, field] });
        changes.insert(format!("edited.{name}"), doc! { "$max": [time, at] });
    }
    changes
}

/// The fields of a message that comes after its tombstone, or after an edit of it, whose values stay: a stage of an update.
pub(super) fn under_edits(fields: Document, counts: bool) -> Document {
    let literal = |(name, value): (String, Bson)| {
        let value: Bson = doc! { "$literal": value }.into();
        let edited = EDITABLE
            .contains(&name.as_str())
            .then(|| doc! { "$gt": [format!("$edited.{name}"), Bson::Null] });
        match edited {
            Some(edited) => {
                let field = format!("${name}");
                (name, doc! { "$cond": [edited, field, value] }.into())
            }
            None => (name, value),
        }
    };
    let mut stage: Document = fields.into_iter().map(literal).collect();
    stage.insert("counted", doc! { "$and": [counts, { "$ne": ["$recalled", true] }] });
    stage
}
