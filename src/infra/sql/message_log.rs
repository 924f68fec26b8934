//! The message log on SQLite: a batch of facts is one transaction.

mod dead_letters;
mod edit;
mod gaps;
mod reading;
mod upkeep;

use std::collections::HashSet;

use async_trait::async_trait;
use serde::Serializer as _;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::sync::{Mutex, MutexGuard};

use super::store_error;
use crate::domain::ids::{Accid, Millis, ServerId};
use crate::domain::message::{
    ConvType, Details, Extra, Fact, Ignored, Message, MessageKey, Origin, Recall, Receipt, TakenBack,
};
use crate::domain::unread::Snapshot;
use crate::infra::clock::System;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::log_upkeep::StoredMessage;
use crate::ports::message_log::{BIG, InsertOutcome, MessageLog, Reach, Recorded, Since};

const STORE: &str = "messages";

/// The message log, and the dead letters beside it, in a SQLite file.
#[derive(Debug)]
pub struct SqliteLog {
    pool: SqlitePool,
    /// SQLite has one writer at a time, and makes others poll for their turn: those of the log queue instead.
    writing: Mutex<()>,
}

impl SqliteLog {
    /// The log behind `pool`, whose schema is up to date.
    pub fn new(pool: SqlitePool) -> Self {
        Self { pool, writing: Mutex::default() }
    }

    /// A transaction that takes the write lock at once: one that took it later could only fail.
    async fn begin(&self) -> sqlx::Result<(MutexGuard<'_, ()>, Transaction<'_, Sqlite>)> {
        let turn = self.writing.lock().await;
        Ok((turn, self.pool.begin_with("BEGIN IMMEDIATE").await?))
    }

    async fn record_in_one(&self, facts: &[Fact]) -> Result<Vec<Result<Recorded, StoreError>>, StoreError> {
        let classed = store_error(STORE);
        let (_turn, mut tx) = self.begin().await.map_err(&classed)?;
        let mut outcomes = Vec::with_capacity(facts.len());
        for fact in facts {
            let recorded = match fact {
                Fact::Message(message) => store(&mut tx, message).await,
                Fact::Receipt(receipt) => mark_read(&mut tx, receipt).await,
                Fact::Edit(edit) => edit::make(&mut tx, edit).await,
                Fact::Recall(recall) => lay_tombstone(&mut tx, recall).await,
            };
            match recorded.map_err(&classed) {
                Err(all @ StoreError::Unavailable { .. }) => return Err(all),
                // One that came upon a row which was never written by us is nobody else's trouble.
                outcome => outcomes.push(outcome),
            }
        }
        tx.commit().await.map_err(&classed)?;
        Ok(outcomes)
    }
}

#[async_trait]
impl MessageLog for SqliteLog {
    async fn record(&self, facts: Vec<Fact>) -> Vec<Result<Recorded, StoreError>> {
        self.record_in_one(&facts).await.unwrap_or_else(|error| error.of_all(facts.len()))
    }

    async fn reach(&self, reader: &Accid, peer: &Accid, up_to: Millis) -> Result<Reach, StoreError> {
        self.find_reach(reader, peer, up_to).await.map_err(store_error(STORE))
    }

    async fn snapshot(&self, reader: &Accid) -> Result<Snapshot, StoreError> {
        self.snapshot_in_one(reader).await.map_err(store_error(STORE))
    }

    async fn unknown(&self, reader: &Accid, ids: &[ServerId]) -> Result<HashSet<ServerId>, StoreError> {
        let sql = r#"SELECT value FROM json_each(?) AS asked WHERE NOT EXISTS
            (SELECT 1 FROM messages WHERE id = 'PERSON:' || asked.value AND "to" = ?
                AND ("msgType" IS NOT NULL OR recalled))"#;
        let asked = format!("[{}]", ids.iter().map(ServerId::to_string).collect::<Vec<_>>().join(","));
        let rows = sqlx::query(sql).bind(asked).bind(reader.as_str()).fetch_all(&self.pool).await;
        let unknown = rows.and_then(|rows| rows.iter().map(|row| server_id(row, 0)).collect());
        unknown.map_err(store_error(STORE))
    }

    async fn is_big(&self, reader: &Accid) -> Result<bool, StoreError> {
        let sql = r#"SELECT COUNT(*) > ?1 FROM
            (SELECT 1 FROM messages WHERE "to" = ?2 AND state = 0 AND counted = 1 LIMIT ?1 + 1)"#;
        let limit = i64::try_from(BIG).unwrap_or(i64::MAX);
        let many = sqlx::query_scalar(sql).bind(limit).bind(reader.as_str()).fetch_one(&self.pool);
        many.await.map_err(store_error(STORE))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map(|_| ()).map_err(store_error(STORE))
    }
}

async fn store(tx: &mut Transaction<'_, Sqlite>, message: &Message) -> sqlx::Result<Recorded> {
    let (copy, kept, recalled) = match find(tx, message.key).await? {
        Some(StoredMessage { message: Some(kept), recalled, .. }) if kept.is_completed_by(message) => {
            complete(tx, message).await?;
            (InsertOutcome::Completed, Message { ignored: kept.ignored, ..message.clone() }, recalled)
        }
        Some(StoredMessage { message: Some(kept), recalled, edited, .. }) => {
            let since = Since { taken_back: recalled, edited };
            (InsertOutcome::of_further(message, &kept, since), kept, recalled)
        }
        before => (InsertOutcome::First, message.clone(), before.is_some_and(|held| held.recalled)),
    };
    let mark = mark_of(tx, &kept.to, &kept.from).await?;
    if copy == InsertOutcome::First {
        let read = mark.is_some_and(|mark| message.timestamp <= mark);
        insert(tx, message, recalled, read).await?;
    }
    Ok(Recorded::message(copy, &kept, recalled, mark))
}

async fn mark_read(tx: &mut Transaction<'_, Sqlite>, receipt: &Receipt) -> sqlx::Result<Recorded> {
    let Receipt { reader, peer, up_to } = receipt;
    let raise = "INSERT INTO read_marks (reader, peer, mark) VALUES (?, ?, ?)
         ON CONFLICT (reader, peer) DO UPDATE SET mark = max(mark, excluded.mark)";
    let raise = sqlx::query(raise).bind(reader.as_str()).bind(peer.as_str()).bind(up_to.0);
    raise.execute(&mut **tx).await?;
    let read = r#"UPDATE messages SET state = 1
         WHERE "to" = ? AND "fromAccount" = ? AND "msgTimestamp" <= ? AND state = 0 AND counted = 1"#;
    let read = sqlx::query(read).bind(reader.as_str()).bind(peer.as_str()).bind(up_to.0);
    read.execute(&mut **tx).await?;
    Ok(Recorded::receipt(receipt.clone()))
}

async fn lay_tombstone(tx: &mut Transaction<'_, Sqlite>, recall: &Recall) -> sqlx::Result<Recorded> {
    let sql = r#"INSERT INTO messages
            (id, "convType", "to", "fromAccount", "msgTimestamp", "msgidServer", recalled, counted, "recalledAt", withheld)
         VALUES (?, ?, ?, ?, 0, ?, TRUE, FALSE, ?, ?)
         ON CONFLICT (id) DO UPDATE SET recalled = TRUE, counted = FALSE, "recalledAt" = excluded."recalledAt",
             withheld = withheld OR excluded.withheld"#;
    let lay = sqlx::query(sql)
        .bind(recall.key.to_string())
        .bind(recall.key.conv_type.as_str())
        .bind(recall.to.as_str())
        .bind(recall.from.as_str())
        .bind(recall.key.server_id.get())
        .bind(System.now().0)
        .bind(recall.taken_back == TakenBack::ByReview);
    lay.execute(&mut **tx).await?;
    Ok(Recorded::recall(recall.clone()))
}

async fn find(tx: &mut SqliteConnection, key: MessageKey) -> sqlx::Result<Option<StoredMessage>> {
    let sql = r#"SELECT "convType", "to", "fromAccount", "fromClientType", "fromDeviceId", "fromNick",
            "msgTimestamp", "msgType", body, attach, "msgidClient", "msgidServer", "resendFlag", withheld, ignored,
            recalled, state, "learntFrom", "editedAt"
         FROM messages WHERE id = ?"#;
    let row = sqlx::query(sql).bind(key.to_string()).fetch_optional(tx).await?;
    row.map(|row| stored(&row)).transpose()
}

async fn mark_of(
    tx: &mut Transaction<'_, Sqlite>,
    reader: &Accid,
    peer: &Accid,
) -> sqlx::Result<Option<Millis>> {
    let sql = "SELECT mark FROM read_marks WHERE reader = ? AND peer = ?";
    let mark =
        sqlx::query_scalar(sql).bind(reader.as_str()).bind(peer.as_str()).fetch_optional(&mut **tx).await?;
    Ok(mark.map(Millis))
}

/// Inserts a message, or fills in the tombstone that came before it.
async fn insert(
    tx: &mut Transaction<'_, Sqlite>,
    message: &Message,
    recalled: bool,
    read: bool,
) -> sqlx::Result<()> {
    let sql = r#"INSERT INTO messages (id, "convType", "to", "fromAccount", "fromClientType",
            "fromDeviceId", "fromNick", "msgTimestamp", "msgType", body, attach, "msgidClient", "msgidServer", "resendFlag", ext, extra, state, withheld,
            ignored, recalled, counted, "learntFrom")
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET
            "convType" = excluded."convType", "to" = excluded."to", "fromAccount" = excluded."fromAccount",
            "fromClientType" = excluded."fromClientType", "fromDeviceId" = excluded."fromDeviceId",
            "fromNick" = excluded."fromNick", "msgTimestamp" = excluded."msgTimestamp",
            "msgType" = excluded."msgType",
            body = CASE WHEN "bodyEditedAt" IS NULL THEN excluded.body ELSE body END,
            attach = CASE WHEN "attachEditedAt" IS NULL THEN excluded.attach ELSE attach END,
            "msgidClient" = excluded."msgidClient", "msgidServer" = excluded."msgidServer",
            "resendFlag" = excluded."resendFlag",
            ext = CASE WHEN "extEditedAt" IS NULL THEN excluded.ext ELSE ext END, extra = excluded.extra,
            state = excluded.state, withheld = withheld OR excluded.withheld, ignored = excluded.ignored,
            recalled = excluded.recalled, counted = excluded.counted, "learntFrom" = excluded."learntFrom""#;
    let details = &message.details;
    let counted = message.counts() && !recalled;
    let insert = sqlx::query(sql)
        .bind(message.key.to_string())
        .bind(message.key.conv_type.as_str())
        .bind(message.to.as_str())
        .bind(message.from.as_str())
        .bind(&details.from_client_type)
        .bind(&details.from_device_id)
        .bind(&details.from_nick)
        .bind(message.timestamp.0)
        .bind(&message.msg_type)
        .bind(&details.body)
        .bind(&details.attach)
        .bind(&details.msgid_client)
        .bind(message.key.server_id.get())
        .bind(&details.resend_flag)
        .bind(&details.ext)
        .bind(json(&details.extra))
        .bind(i32::from(counted && read))
        .bind(message.withheld)
        .bind(message.ignored.map(Ignored::as_str))
        .bind(recalled)
        .bind(counted)
        .bind((details.origin == Origin::History).then_some("history"));
    insert.execute(&mut **tx).await.map(|_| ())
}

/// The further fields as one JSON object, in their order.
fn json(extra: &[Extra]) -> Option<String> {
    if extra.is_empty() {
        return None;
    }
    let mut json = Vec::new();
    let fields = extra.iter().map(|Extra { name, value }| (name, value));
    serde_json::Serializer::new(&mut json).collect_map(fields).ok()?;
    String::from_utf8(json).ok()
}

/// Stores what NetEase's history did not tell.
async fn complete(tx: &mut Transaction<'_, Sqlite>, copy: &Message) -> sqlx::Result<()> {
    let sql = r#"UPDATE messages SET "fromClientType" = ?, "fromDeviceId" = ?, "fromNick" = ?, "msgType" = ?,
            body = CASE WHEN "bodyEditedAt" IS NULL THEN ? ELSE body END,
            attach = CASE WHEN "attachEditedAt" IS NULL THEN ? ELSE attach END,
            "msgidClient" = ?, "resendFlag" = ?, ext = CASE WHEN "extEditedAt" IS NULL THEN ? ELSE ext END,
            extra = ?, withheld = withheld OR ?, counted = counted AND NOT ?, "learntFrom" = NULL
         WHERE id = ?"#;
    let details = &copy.details;
    let update = sqlx::query(sql)
        .bind(&details.from_client_type)
        .bind(&details.from_device_id)
        .bind(&details.from_nick)
        .bind(&copy.msg_type)
        .bind(&details.body)
        .bind(&details.attach)
        .bind(&details.msgid_client)
        .bind(&details.resend_flag)
        .bind(&details.ext)
        .bind(json(&details.extra))
        .bind(copy.withheld)
        .bind(copy.withheld)
        .bind(copy.key.to_string());
    update.execute(&mut **tx).await.map(|_| ())
}

fn stored(row: &SqliteRow) -> sqlx::Result<StoredMessage> {
    let edited = row.try_get::<Option<i64>, _>("editedAt")?.is_some();
    let (recalled, read) = (row.try_get("recalled")?, row.try_get::<i64, _>("state")? == 1);
    let Some(msg_type) = row.try_get("msgType")? else {
        return Ok(StoredMessage { message: None, recalled, edited, read });
    };
    let conv_type: &str = row.try_get("convType")?;
    let conv_type = ConvType::from_nim(conv_type).ok_or_else(|| corrupt_column("convType"))?;
    let message = Message {
        key: MessageKey { conv_type, server_id: server_id(row, "msgidServer")? },
        to: accid(row, "to")?,
        from: accid(row, "fromAccount")?,
        timestamp: Millis(row.try_get("msgTimestamp")?),
        msg_type,
        withheld: row.try_get("withheld")?,
        ignored: row.try_get::<Option<&str>, _>("ignored")?.and_then(Ignored::from_word),
        details: Details {
            origin: match row.try_get::<Option<&str>, _>("learntFrom")? {
                Some(_) => Origin::History,
                None => Origin::Copy,
            },
            from_client_type: row.try_get("fromClientType")?,
            from_device_id: row.try_get("fromDeviceId")?,
            from_nick: row.try_get("fromNick")?,
            body: row.try_get("body")?,
            attach: row.try_get("attach")?,
            msgid_client: row.try_get("msgidClient")?,
            resend_flag: row.try_get("resendFlag")?,
            ext: None,
            extra: Vec::new(),
        },
    };
    Ok(StoredMessage { message: Some(message), recalled, edited, read })
}

fn accid<I: sqlx::ColumnIndex<SqliteRow>>(row: &SqliteRow, index: I) -> sqlx::Result<Accid> {
    Accid::from_nim(row.try_get(index)?).map_err(|e| sqlx::Error::Decode(e.into()))
}

fn server_id<I: sqlx::ColumnIndex<SqliteRow>>(row: &SqliteRow, index: I) -> sqlx::Result<ServerId> {
    ServerId::new(row.try_get(index)?).ok_or_else(|| corrupt_column("msgidServer"))
}

fn corrupt_column(column: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{column} holds what was never written").into())
}
