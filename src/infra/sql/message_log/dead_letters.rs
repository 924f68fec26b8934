//! Dead letters, beside the messages.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{STORE, SqliteLog, store_error};
use crate::domain::ids::Millis;
use crate::ports::StoreError;
use crate::ports::dead_letters::{DeadLetter, DeadLetters};

impl SqliteLog {
    async fn keep_in_one(&self, letters: &[DeadLetter]) -> sqlx::Result<()> {
        let sql = r#"INSERT INTO dead_letters (id, "receivedAt", reason, raw) VALUES (?, ?, ?, ?)
             ON CONFLICT (id) DO NOTHING"#;
        let (_turn, mut tx) = self.begin().await?;
        for DeadLetter { id, received_at, reason, raw } in letters {
            sqlx::query(sql).bind(id).bind(received_at.0).bind(reason).bind(raw).execute(&mut *tx).await?;
        }
        tx.commit().await
    }
}

#[async_trait]
impl DeadLetters for SqliteLog {
    async fn keep_all(&self, letters: &[DeadLetter]) -> Result<(), StoreError> {
        self.keep_in_one(letters).await.map_err(store_error(STORE))
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM dead_letters").fetch_one(&self.pool);
        count.await.map(i64::unsigned_abs).map_err(store_error(STORE))
    }

    async fn find(&self, id: &str) -> Result<Option<DeadLetter>, StoreError> {
        let sql = r#"SELECT id, "receivedAt", reason, raw FROM dead_letters WHERE id = ?"#;
        let row = sqlx::query(sql).bind(id).fetch_optional(&self.pool).await.map_err(store_error(STORE))?;
        row.map(|row| letter(&row)).transpose().map_err(store_error(STORE))
    }

    async fn list(&self, after: Option<&str>, limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
        let sql =
            r#"SELECT id, "receivedAt", reason, raw FROM dead_letters WHERE id > ? ORDER BY id LIMIT ?"#;
        let rows = sqlx::query(sql).bind(after.unwrap_or("")).bind(limit).fetch_all(&self.pool);
        let rows = rows.await.map_err(store_error(STORE))?;
        rows.iter().map(letter).collect::<sqlx::Result<_>>().map_err(store_error(STORE))
    }

    async fn remove(&self, id: &str) -> Result<(), StoreError> {
        let _turn = self.writing.lock().await;
        let delete = sqlx::query("DELETE FROM dead_letters WHERE id = ?").bind(id).execute(&self.pool);
        delete.await.map(|_| ()).map_err(store_error(STORE))
    }

    async fn forget(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        let sql = r#"DELETE FROM dead_letters WHERE id IN
            (SELECT id FROM dead_letters WHERE "receivedAt" < ? LIMIT ?)"#;
        let _turn = self.writing.lock().await;
        let delete = sqlx::query(sql).bind(before.0).bind(limit).execute(&self.pool).await;
        delete.map(|done| done.rows_affected()).map_err(store_error(STORE))
    }
}

fn letter(row: &SqliteRow) -> sqlx::Result<DeadLetter> {
    Ok(DeadLetter {
        id: row.try_get("id")?,
        received_at: Millis(row.try_get("receivedAt")?),
        reason: row.try_get("reason")?,
        raw: row.try_get("raw")?,
    })
}
