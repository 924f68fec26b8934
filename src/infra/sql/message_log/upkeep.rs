//! Upkeep of the message log: its readers, one pair, retention.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;

use super::{STORE, SqliteLog, accid, find, mark_of, server_id, store_error};
use crate::domain::ids::{Accid, Millis};
use crate::domain::message::MessageKey;
use crate::ports::StoreError;
use crate::ports::log_upkeep::{LogUpkeep, PairTruth, StoredMessage};
use sqlx::Row;

impl SqliteLog {
    async fn read_pair(&self, reader: &Accid, peer: &Accid) -> sqlx::Result<PairTruth> {
        let mut tx = self.pool.begin().await?;
        let mark = mark_of(&mut tx, reader, peer).await?;
        let sql = r#"SELECT "msgidServer", "msgTimestamp" FROM messages
             WHERE "to" = ? AND "fromAccount" = ? AND "msgTimestamp" > ? AND state = 0 AND counted = 1
             ORDER BY "msgTimestamp", "msgidServer""#;
        let above = mark.map_or(-1, |mark| mark.0);
        let rows = sqlx::query(sql).bind(reader.as_str()).bind(peer.as_str()).bind(above);
        let rows = rows.fetch_all(&mut *tx).await?;
        tx.commit().await?;
        let message = |row: &SqliteRow| Ok((server_id(row, 0)?, Millis(row.try_get(1)?)));
        Ok(PairTruth { unread: rows.iter().map(message).collect::<sqlx::Result<_>>()?, mark })
    }
}

#[async_trait]
impl LogUpkeep for SqliteLog {
    async fn next_reader(&self, after: Option<&Accid>) -> Result<Option<Accid>, StoreError> {
        let sql = r#"SELECT min(reader) FROM (
                SELECT min(reader) AS reader FROM read_marks WHERE reader > ?1
                UNION ALL
                SELECT min("to") FROM messages WHERE "to" > ?1 AND state = 0 AND counted = 1)"#;
        let row = sqlx::query(sql).bind(after.map_or("", Accid::as_str)).fetch_one(&self.pool).await;
        let row = row.map_err(store_error(STORE))?;
        match row.try_get::<Option<&str>, _>(0).map_err(store_error(STORE))? {
            Some(_) => accid(&row, 0).map(Some).map_err(store_error(STORE)),
            None => Ok(None),
        }
    }

    async fn count_readers(&self, after: Option<&Accid>) -> Result<u64, StoreError> {
        let sql = r#"SELECT COUNT(*) FROM (
                SELECT reader FROM read_marks WHERE reader > ?1
                UNION
                SELECT "to" FROM messages WHERE "to" > ?1 AND state = 0 AND counted = 1)"#;
        let count = sqlx::query_scalar::<_, i64>(sql).bind(after.map_or("", Accid::as_str));
        count.fetch_one(&self.pool).await.map(i64::unsigned_abs).map_err(store_error(STORE))
    }

    async fn pair(&self, reader: &Accid, peer: &Accid) -> Result<PairTruth, StoreError> {
        self.read_pair(reader, peer).await.map_err(store_error(STORE))
    }

    async fn message(&self, key: MessageKey) -> Result<Option<StoredMessage>, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(store_error(STORE))?;
        find(&mut connection, key).await.map_err(store_error(STORE))
    }

    async fn forget_read(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        let sql = r#"DELETE FROM messages WHERE id IN
            (SELECT id FROM messages WHERE state = 1 AND "msgTimestamp" < ? LIMIT ?)"#;
        let _turn = self.writing.lock().await;
        let delete = sqlx::query(sql).bind(before.0).bind(limit).execute(&self.pool).await;
        delete.map(|done| done.rows_affected()).map_err(store_error(STORE))
    }
}
