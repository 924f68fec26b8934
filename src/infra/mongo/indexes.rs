//! The indexes that this service lives by: which there have to be, which there are, and how they are made.

use std::collections::HashMap;

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document};
use mongodb::error::{Error, ErrorKind, Result};
use mongodb::options::IndexOptions;
use mongodb::{Database, IndexModel};

/// `NamespaceNotFound`: there is no such collection yet.
const NO_COLLECTION: i32 = 26;

/// Every collection of ours.
pub(super) const COLLECTIONS: [&str; 3] = ["messages", "read_marks", "dead_letters"];

/// An index of ascending keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Index {
    /// Of which collection.
    pub collection: &'static str,
    /// What `migrate` calls it. One of another name on the same keys will do.
    pub name: &'static str,
    /// Its fields, in their order.
    pub keys: &'static [&'static str],
    /// Which documents are in it: those of which this field has this value, for each of these.
    pub only: &'static [(&'static str, Value)],
    /// Whether only a service that deletes old messages needs it: every receipt pays for it.
    pub for_retention: bool,
}

/// A value in the filter of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(i32),
    /// A truth.
    Flag(bool),
}

/// All of them. `docs/operations.md` has the same list.
pub const INDEXES: [Index; 5] = [
    Index {
        collection: "messages",
        name: "unread",
        keys: &["to", "fromAccount", "msgTimestamp"],
        only: &[("state", Value::Number(0)), ("counted", Value::Flag(true))],
        for_retention: false,
    },
    Index {
        collection: "messages",
        name: "recalled",
        keys: &["to"],
        only: &[("recalled", Value::Flag(true))],
        for_retention: false,
    },
    Index { collection: "read_marks", name: "reader_1", keys: &["reader"], only: &[], for_retention: false },
    Index {
        collection: "dead_letters",
        name: "receivedAt_1",
        keys: &["receivedAt"],
        only: &[],
        for_retention: false,
    },
    Index {
        collection: "messages",
        name: "msgTimestamp_1",
        keys: &["msgTimestamp"],
        only: &[("state", Value::Number(1))],
        for_retention: true,
    },
];

/// What is wrong with the indexes of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// It is not there.
    Missing(Index),
    /// Its name is, on other keys or for other documents.
    Another(Index),
}

impl Index {
    fn filter(&self) -> Document {
        let value = |value: &Value| match value {
            Value::Number(number) => Bson::Int32(*number),
            Value::Flag(flag) => Bson::Boolean(*flag),
        };
        self.only.iter().map(|(field, only)| ((*field).to_owned(), value(only))).collect()
    }

    fn model(&self) -> IndexModel {
        let filter = Some(self.filter()).filter(|filter| !filter.is_empty());
        let options = IndexOptions::builder().name(self.name.to_owned()).partial_filter_expression(filter);
        let keys: Document = self.keys.iter().map(|key| ((*key).to_owned(), Bson::Int32(1))).collect();
        IndexModel::builder().keys(keys).options(options.build()).build()
    }

    /// Whether `there` does what this one is for. A shell may have written the numbers as another type.
    fn is_served_by(&self, there: &IndexModel) -> bool {
        let keys: Vec<_> = there.keys.iter().map(|(key, way)| (key.as_str(), number(way))).collect();
        let wanted: Vec<_> = self.keys.iter().map(|key| (*key, Some(1.0))).collect();
        let filter = there.options.as_ref().and_then(|options| options.partial_filter_expression.clone());
        let (filter, wanted_filter) = (filter.unwrap_or_default(), self.filter());
        let same = |(field, value): (&String, &Bson)| {
            filter
                .get(field)
                .is_some_and(|is| is == value || number(is).is_some() && number(is) == number(value))
        };
        keys == wanted && filter.len() == wanted_filter.len() && wanted_filter.iter().all(same)
    }
}

fn number(value: &Bson) -> Option<f64> {
    match value {
        Bson::Int32(number) => Some(f64::from(*number)),
        Bson::Double(number) => Some(*number),
        Bson::Int64(number) => i32::try_from(*number).ok().map(f64::from),
        _ => None,
    }
}

/// What is wrong with the indexes, if anything is; `retention` also asks for those that only it needs.
pub async fn lacks(database: &Database, retention: bool) -> Result<Vec<Lack>> {
    let mut there = HashMap::new();
    for collection in COLLECTIONS {
        there.insert(collection, indexes_of(database, collection).await?);
    }
    let wanted = INDEXES.iter().filter(|index| retention || !index.for_retention);
    let lack = |index: &Index| {
        let there = there.get(index.collection).map(Vec::as_slice).unwrap_or_default();
        let name = |model: &IndexModel| model.options.as_ref().and_then(|options| options.name.clone());
        if there.iter().any(|model| index.is_served_by(model)) {
            None
        } else if there.iter().any(|model| name(model).as_deref() == Some(index.name)) {
            Some(Lack::Another(*index))
        } else {
            Some(Lack::Missing(*index))
        }
    };
    Ok(wanted.filter_map(lack).collect())
}

pub(super) async fn indexes_of(database: &Database, collection: &str) -> Result<Vec<IndexModel>> {
    match database.collection::<Document>(collection).list_indexes().await {
        Ok(found) => found.try_collect().await,
        Err(error) if is_no_collection(&error) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn is_no_collection(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Command(refusal) if refusal.code == NO_COLLECTION)
}

/// Makes the indexes that are missing, and answers what is in the way of others. Safe to repeat, to run several times
/// at once, and beside a running service.
pub async fn prepare(database: &Database, retention: bool) -> Result<Vec<Lack>> {
    let (missing, in_the_way): (Vec<_>, Vec<_>) =
        lacks(database, retention).await?.into_iter().partition(|lack| matches!(lack, Lack::Missing(_)));
    for lack in missing {
        if let Lack::Missing(index) = lack {
            database.collection::<Document>(index.collection).create_index(index.model()).await?;
        }
    }
    Ok(in_the_way)
}
