//! What MongoDB is really asked, in which order, and by which indexes.

use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use mongodb::bson::{Document, doc};
use mongodb::event::EventHandler;
use mongodb::event::command::CommandEvent;
use mongodb::options::ClientOptions;
use mongodb::{Client, Database, IndexModel};
use otc_im::domain::message::Fact;
use otc_im::infra::mongo::{self, INDEXES, Lack, MongoLog};
use otc_im::ports::message_log::{BIG, InsertOutcome, MessageLog};

use super::facts::Pair;
use crate::support::{fresh_name, server};

/// A new database, and what it was asked: command and collection.
async fn watched() -> (Database, Arc<Mutex<Vec<String>>>) {
    let mut options = ClientOptions::parse(server("TEST_MONGO_URL")).await.unwrap();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let list = Arc::clone(&asked);
    options.command_event_handler = Some(EventHandler::callback(move |event| {
        if let CommandEvent::Started(started) = event
            && let Ok(collection) = started.command.get_str(&started.command_name)
        {
            list.lock().unwrap().push(format!("{} {collection}", started.command_name));
        }
    }));
    (Client::with_options(options).unwrap().database(&fresh_name()), asked)
}

fn taken(asked: &Mutex<Vec<String>>) -> Vec<String> {
    std::mem::take(&mut asked.lock().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_inserted_before_marks_are_looked_at_and_marks_raised_before_messages() {
    let (database, asked) = watched().await;
    mongo::prepare(&database, false).await.unwrap();
    let log = MongoLog::new(database.clone());
    let pair = Pair::fresh();
    taken(&asked);
    let receipts = [pair.receipt(10), pair.receipt(20)];
    assert!(log.record(receipts.into_iter().map(Fact::from).collect()).await.iter().all(Result::is_ok));
    assert_eq!(taken(&asked), ["update read_marks", "update messages"]);
    let batch = [pair.message(1, 15), pair.message(2, 25), pair.message(3, 5)];
    for copy in [InsertOutcome::First, InsertOutcome::Repeated] {
        let recorded = log.record(batch.iter().cloned().map(Fact::from).collect()).await;
        assert!(recorded.iter().all(|recorded| recorded.as_ref().unwrap().copy == copy), "{recorded:?}");
        let asked = taken(&asked);
        let repeated = ["insert messages", "find messages", "find read_marks"];
        match copy {
            InsertOutcome::First => {
                assert_eq!(asked, ["insert messages", "find read_marks", "update messages"]);
            }
            _ => assert_eq!(asked, repeated, "they are read already"),
        }
    }
    database.drop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_are_made_by_several_at_once_and_each_that_is_missing_is_named() {
    let (database, _) = watched().await;
    assert_eq!(mongo::lacks(&database, true).await.unwrap(), INDEXES.map(Lack::Missing));
    let prepared = join_all((0..8).map(|_| mongo::prepare(&database, true))).await;
    assert!(prepared.iter().all(|lacks| lacks.as_ref().is_ok_and(Vec::is_empty)), "{prepared:?}");
    assert_eq!(mongo::lacks(&database, true).await.unwrap(), []);
    for index in INDEXES {
        let collection = database.collection::<Document>(index.collection);
        collection.drop_index(index.name).await.unwrap();
        assert_eq!(mongo::lacks(&database, true).await.unwrap(), [Lack::Missing(index)]);
        let used = !index.for_retention;
        assert_eq!(mongo::lacks(&database, false).await.unwrap().is_empty(), !used, "{}", index.name);
        // Another one has its name.
        let options = mongodb::options::IndexOptions::builder().name(index.name.to_owned()).build();
        let other = IndexModel::builder().keys(doc! { "elsewhere": 1 }).options(options).build();
        collection.create_index(other).await.unwrap();
        assert_eq!(mongo::lacks(&database, true).await.unwrap(), [Lack::Another(index)]);
        assert_eq!(mongo::prepare(&database, true).await.unwrap(), [Lack::Another(index)]);
        collection.drop_index(index.name).await.unwrap();
        mongo::prepare(&database, true).await.unwrap();
    }
    // As a shell makes them: another name, numbers of another type.
    let messages = database.collection::<Document>("messages");
    messages.drop_index("recalled").await.unwrap();
    let filter = doc! { "recalled": true };
    let options = mongodb::options::IndexOptions::builder().partial_filter_expression(filter).build();
    messages
        .create_index(IndexModel::builder().keys(doc! { "to": 1.0 }).options(options).build())
        .await
        .unwrap();
    assert_eq!(mongo::lacks(&database, true).await.unwrap(), []);
    database.drop().await.unwrap();
}

#[test]
fn every_index_has_its_row_in_operations_md_and_every_row_its_index() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, rows) = text.split_once("| index | of | keys | filter |\n|---|---|---|---|\n").unwrap();
    let rows: Vec<_> = rows.lines().take_while(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), INDEXES.len(), "{rows:#?}");
    for (row, index) in rows.iter().zip(INDEXES) {
        let keys: Vec<_> = index.keys.iter().map(|key| format!("`{key}`")).collect();
        let begins = format!("| `{}` | `{}` | {} |", index.name, index.collection, keys.join(", "));
        assert!(row.starts_with(&begins), "{row}");
        for (field, _) in index.only {
            assert!(row.contains(&format!("`{field}: ")), "{row}");
        }
        assert_eq!(row.contains("retention"), index.for_retention, "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_with_very_many_unread_messages_is_known_to_be_one() {
    let (database, _) = watched().await;
    mongo::prepare(&database, false).await.unwrap();
    let (log, pair) = (MongoLog::new(database.clone()), Pair::fresh());
    let of = |n: u64| doc! { "_id": i64::try_from(n).unwrap(), "to": pair.reader.as_str(), "state": 0, "counted": true };
    let messages = database.collection::<Document>("messages");
    messages.insert_many((0..BIG).map(of)).await.unwrap();
    assert!(!log.is_big(&pair.reader).await.unwrap());
    messages.insert_one(of(BIG)).await.unwrap();
    assert!(log.is_big(&pair.reader).await.unwrap());
    let odd = log.snapshot(&pair.reader).await.unwrap_err();
    assert!(matches!(odd, otc_im::ports::StoreError::Corrupt { .. }), "{odd:?}");
    database.drop().await.unwrap();
}
