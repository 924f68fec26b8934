//! Opens a MongoDB database with what this service needs of it.

use std::io;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::error::Result;
use mongodb::options::{
    Acknowledgment, ClientOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern,
};
use mongodb::{Client, Database};

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
