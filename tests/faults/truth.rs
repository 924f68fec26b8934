//! The message log itself, read past the service: each message once, and `state` in line with the marks.

use std::collections::HashMap;
use std::fmt::Display;

use futures_util::TryStreamExt;
use mongodb::Database;
use mongodb::bson::{Document, doc};
use sqlx::{Row, SqlitePool};

use super::ledger::{Expected, Pair, peer, reader};

/// What the log has to hold: messages and marks.
pub type Expectation = (Vec<Expected>, HashMap<Pair, i64>);

/// How many differences are told.
const MOST: usize = 20;

/// Where the log is.
pub enum Log {
    /// On MongoDB.
    Mongo(Database),
    /// In a SQLite file, by its URL.
    Sqlite(String),
}

/// A message as the log holds it.
#[derive(Debug, PartialEq, Eq)]
struct Stored {
    to: String,
    from: String,
    state: i64,
    recalled: bool,
}

#[derive(Debug, Default)]
struct Held {
    messages: HashMap<String, Vec<Stored>>,
    marks: HashMap<(String, String), i64>,
}

impl Log {
    /// What is not as it has to be, in words; nothing if all is well.
    pub async fn compare(&self, (messages, marks): &Expectation) -> Vec<String> {
        let held = match self {
            Self::Mongo(database) => from_mongo(database).await.expect("MongoDB can be read"),
            Self::Sqlite(url) => from_sqlite(url).await.expect("the file can be read"),
        };
        let mut wrongs: Vec<String> = messages.iter().filter_map(|m| held.difference(m)).collect();
        if held.messages.len() != messages.len() {
            wrongs.push(format!("{} messages, not {}", held.messages.len(), messages.len()));
        }
        for (pair, mark) in marks {
            let kept = held.marks.get(&(reader(pair.0), peer(pair.1)));
            if kept != Some(mark) {
                wrongs.push(format!("the mark of {pair:?} is {kept:?}, not {mark}"));
            }
        }
        wrongs.truncate(MOST);
        wrongs
    }
}

impl Held {
    fn difference(&self, expected: &Expected) -> Option<String> {
        let Some([kept]) = self.messages.get(&expected.id.to_string()).map(Vec::as_slice) else {
            return Some(format!("{expected:?} is not there exactly once"));
        };
        let Expected { pair, read, recalled, .. } = expected;
        let right = kept.to == reader(pair.0)
            && kept.from == peer(pair.1)
            && kept.recalled == *recalled
            // Nobody asks for the state of a message that was taken back.
            && (*recalled || kept.state == i64::from(*read));
        (!right).then(|| format!("{expected:?} is kept as {kept:?}"))
    }

    fn add(&mut self, id: impl Display, stored: Stored) {
        self.messages.entry(id.to_string()).or_default().push(stored);
    }
}

async fn from_mongo(database: &Database) -> mongodb::error::Result<Held> {
    let mut held = Held::default();
    let text = |d: &Document, name: &str| d.get_str(name).unwrap_or_default().to_owned();
    let mut messages = database.collection::<Document>("messages").find(doc! {}).await?;
    while let Some(d) = messages.try_next().await? {
        let state = i64::from(d.get_i32("state").unwrap_or(-1));
        let recalled = d.get_bool("recalled").unwrap_or(false);
        let stored = Stored { to: text(&d, "to"), from: text(&d, "fromAccount"), state, recalled };
        held.add(text(&d, "msgidServer"), stored);
    }
    let mut marks = database.collection::<Document>("read_marks").find(doc! {}).await?;
    while let Some(d) = marks.try_next().await? {
        held.marks.insert((text(&d, "reader"), text(&d, "peer")), d.get_i64("mark").unwrap_or(-1));
    }
    Ok(held)
}

async fn from_sqlite(url: &str) -> sqlx::Result<Held> {
    let mut held = Held::default();
    let pool = SqlitePool::connect(url).await?;
    let sql = r#"SELECT "msgidServer", "to", "fromAccount", state, recalled FROM messages"#;
    for row in sqlx::query(sql).fetch_all(&pool).await? {
        let stored = Stored {
            to: row.try_get(1)?,
            from: row.try_get(2)?,
            state: row.try_get(3)?,
            recalled: row.try_get(4)?,
        };
        held.add(row.try_get::<i64, _>(0)?, stored);
    }
    for row in sqlx::query("SELECT reader, peer, mark FROM read_marks").fetch_all(&pool).await? {
        held.marks.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
    }
    Ok(held)
}
