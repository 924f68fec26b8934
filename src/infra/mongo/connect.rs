//! Opens a MongoDB database with what this service needs of it, and makes its indexes.

use std::io;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::error::Result;
use mongodb::options::{
    Acknowledgment, ClientOptions, IndexOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern,
};
use mongodb::{Client, Database, IndexModel};

/// How long an operation looks for a primary: shorter than NetEase waits for the webhook.
const SELECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// The database that `url` names, with majority reads from the primary and majority, journaled writes.
///
/// Lazy: nothing is asked of the server yet.
pub async fn database(url: &str, max_connections: u32) -> Result<Database> {
    let mut options = ClientOptions::parse(url).await?;
    options.server_selection_timeout = Some(SELECTION_TIMEOUT);
    options.connect_timeout = Some(SELECTION_TIMEOUT);
    options.max_pool_size = Some(max_connections);
    options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
    options.read_concern = Some(ReadConcern::majority());
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    options.app_name.get_or_insert_with(|| "otc-im".into());
    let name = options.default_database.clone();
    let unnamed = || io::Error::other("the URL names no database: write mongodb://host:port/otc_im");
    let name = name.ok_or_else(unnamed)?;
    Ok(Client::with_options(options)?.database(&name))
}

/// Ends the driver's own tasks, for a process that is about to end: one that outlives the others panics, and says so.
pub async fn close(database: Database) {
    database.client().clone().shutdown().await;
}

/// The same write concern, for commands that the driver does not add it to.
pub(super) fn durably() -> Document {
    doc! { "w": "majority", "j": true }
}

/// The index that loads of readers and receipts live by.
const UNREAD_INDEX: &str = "unread";

/// Whether [`prepare`] has been here.
pub async fn is_prepared(database: &Database) -> Result<bool> {
    let collections = database.list_collection_names().await?;
    if !collections.iter().any(|name| name == "messages") {
        return Ok(false);
    }
    let indexes = database.collection::<Document>("messages").list_index_names().await?;
    Ok(indexes.iter().any(|name| name == UNREAD_INDEX))
}

/// Makes the indexes; those that are there already stay. Safe to repeat and to run beside a running service.
pub async fn prepare(database: &Database) -> Result<()> {
    let unread = IndexOptions::builder()
        .name(UNREAD_INDEX.to_owned())
        .partial_filter_expression(doc! { "state": 0, "counted": true })
        .build();
    let keys = doc! { "to": 1, "fromAccount": 1, "msgTimestamp": 1 };
    let messages = database.collection::<Document>("messages");
    messages.create_index(IndexModel::builder().keys(keys).options(unread).build()).await?;
    let recalled = IndexOptions::builder()
        .name("recalled".to_owned())
        .partial_filter_expression(doc! { "recalled": true })
        .build();
    messages.create_index(IndexModel::builder().keys(doc! { "to": 1 }).options(recalled).build()).await?;
    let marks = database.collection::<Document>("read_marks");
    marks.create_index(IndexModel::builder().keys(doc! { "reader": 1 }).build()).await?;
    Ok(())
}
