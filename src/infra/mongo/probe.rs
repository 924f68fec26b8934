//! Tries what the service will do on a database, and looks for what may keep it from doing so later.

use std::io;

use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind, Result};

use super::indexes::{COLLECTIONS, indexes_of};
use super::operation::bounded;

/// Why this service cannot work with a database that answers. Each is a sentence with the way out.
#[derive(Debug, thiserror::Error)]
pub enum UnusableMongo {
    /// A member that hangs, or too many that are gone.
    #[error(
        "no majority of its members has acknowledged a write within 3 s: bring back those that are away (rs.status())"
    )]
    NoMajority,
    /// A right that its user lacks, a full disk.
    #[error("{}; docs/operations.md has the rights that its user needs", first_words(.0))]
    Refused(Error),
}

impl From<Error> for UnusableMongo {
    fn from(error: Error) -> Self {
        match &*error.kind {
            ErrorKind::Io(io) if io.kind() == io::ErrorKind::TimedOut => Self::NoMajority,
            _ => Self::Refused(error),
        }
    }
}

/// The driver appends to each of its sentences what the server answered, word for word.
fn first_words(error: &Error) -> String {
    error.to_string().split(", labels:").next().unwrap_or_default().trim_start_matches("Kind: ").to_owned()
}

/// Writes a document and deletes it, durably, and changes and deletes none of the other collections: what the role of the
/// user has to allow.
pub async fn can_write(database: &Database) -> std::result::Result<(), UnusableMongo> {
    // No message has such a key, and nothing else is looked for in a document without fields.
    let key = format!("check {}", ObjectId::new());
    let messages = database.collection::<Document>("messages");
    let document = doc! { "_id": &key };
    let (inserted, deleted) = (messages.clone(), doc! { "_id": &key });
    bounded(async move { inserted.insert_one(document).await }).await?;
    bounded(async move { messages.delete_one(deleted).await }).await?;
    for name in COLLECTIONS {
        let (collection, nobody) = (database.collection::<Document>(name), doc! { "_id": &key });
        bounded(async move {
            collection.update_one(nobody.clone(), doc! { "$set": { "checked": true } }).await?;
            collection.delete_one(nobody).await
        })
        .await?;
    }
    Ok(())
}

/// Unique indexes that this service has not made, as `collection.name`: a document of ours may be in their way.
pub async fn foreign_unique_indexes(database: &Database) -> Result<Vec<String>> {
    let mut foreign = Vec::new();
    for collection in COLLECTIONS {
        for index in indexes_of(database, collection).await? {
            let options = index.options.unwrap_or_default();
            if options.unique == Some(true) {
                foreign.push(format!("{collection}.{}", options.name.unwrap_or_default()));
            }
        }
    }
    Ok(foreign)
}

/// Whether the server is a member of a replica set, or stands before a sharded cluster of such.
pub async fn is_replicated(database: &Database) -> Result<bool> {
    let hello = database.run_command(doc! { "hello": 1 }).await?;
    Ok(hello.contains_key("setName") || hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid"))
}
