//! The flow of copies and its gaps, beside the message log.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{STORE, SqliteLog, accid, corrupt_column, store_error};
use crate::domain::ids::{Accid, Millis};
use crate::domain::silence::{HOUR_MS, hour_of};
use crate::ports::StoreError;
use crate::ports::gaps::{Beat, ClaimedGap, Gap, GapCause, Gaps};

impl SqliteLog {
    async fn beat_in_one(&self, now: Millis, copies: u64, newest: Option<Millis>) -> sqlx::Result<()> {
        let (_turn, mut tx) = self.begin().await?;
        let beat = "INSERT INTO copy_flow (id, at, newest) VALUES (1, ?1, ?2)
             ON CONFLICT (id) DO UPDATE SET at = max(at, ?1), newest = max(coalesce(newest, ?2), coalesce(?2, newest))";
        sqlx::query(beat).bind(now.0).bind(newest.map(|newest| newest.0)).execute(&mut *tx).await?;
        if copies > 0 {
            let count = "INSERT INTO copies_by_hour (hour, copies) VALUES (?1, ?2)
                 ON CONFLICT (hour) DO UPDATE SET copies = copies + ?2";
            let copies = i64::try_from(copies).unwrap_or(i64::MAX);
            sqlx::query(count).bind(hour_of(now)).bind(copies).execute(&mut *tx).await?;
        }
        tx.commit().await
    }

    async fn note_in_one(&self, users: &[Accid], day: i64) -> sqlx::Result<()> {
        let (_turn, mut tx) = self.begin().await?;
        let note = "INSERT INTO active_users (accid, day) VALUES (?1, ?2)
             ON CONFLICT (accid) DO UPDATE SET day = max(day, ?2)";
        for user in users {
            sqlx::query(note).bind(user.as_str()).bind(day).execute(&mut *tx).await?;
        }
        tx.commit().await
    }

    async fn close_in_one(&self, ClaimedGap { gap, holder, .. }: &ClaimedGap) -> sqlx::Result<()> {
        let (_turn, mut tx) = self.begin().await?;
        let same = "DELETE FROM gaps WHERE id = ? AND holder = ? AND from_ms = ? AND to_ms = ?";
        let same = sqlx::query(same).bind(&gap.id).bind(holder).bind(gap.from.0).bind(gap.to.0);
        same.execute(&mut *tx).await?;
        let grown = "UPDATE gaps SET holder = NULL, leased_until = 0, reconciled_to = NULL
             WHERE id = ? AND holder = ?";
        sqlx::query(grown).bind(&gap.id).bind(holder).execute(&mut *tx).await?;
        tx.commit().await
    }
}

#[async_trait]
impl Gaps for SqliteLog {
    async fn last_beat(&self) -> Result<Beat, StoreError> {
        let last = sqlx::query_as::<_, (i64, Option<i64>)>("SELECT at, newest FROM copy_flow");
        let last = last.fetch_optional(&self.pool).await.map_err(store_error(STORE))?;
        let (at, newest) = last.map_or((None, None), |(at, newest)| (Some(at), newest));
        Ok(Beat { at: at.map(Millis), newest: newest.map(Millis) })
    }

    async fn beat(&self, now: Millis, copies: u64, newest: Option<Millis>) -> Result<(), StoreError> {
        self.beat_in_one(now, copies, newest).await.map_err(store_error(STORE))
    }

    async fn hours(&self, since: i64) -> Result<Vec<(i64, u64)>, StoreError> {
        let hours =
            sqlx::query_as::<_, (i64, i64)>("SELECT hour, copies FROM copies_by_hour WHERE hour >= ?");
        let hours = hours.bind(since).fetch_all(&self.pool).await.map_err(store_error(STORE))?;
        Ok(hours.into_iter().map(|(hour, copies)| (hour, copies.unsigned_abs())).collect())
    }

    async fn put(&self, gap: &Gap) -> Result<(), StoreError> {
        let sql = "INSERT INTO gaps (id, cause, from_ms, to_ms) VALUES (?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET cause = excluded.cause, from_ms = min(from_ms, excluded.from_ms),
                 to_ms = max(to_ms, excluded.to_ms)";
        let _turn = self.writing.lock().await;
        let put = sqlx::query(sql).bind(&gap.id).bind(gap.cause.as_str()).bind(gap.from.0).bind(gap.to.0);
        put.execute(&self.pool).await.map(drop).map_err(store_error(STORE))
    }

    async fn claim(
        &self,
        holder: &str,
        before: Millis,
        now: Millis,
        lease: Millis,
    ) -> Result<Option<ClaimedGap>, StoreError> {
        let sql = "UPDATE gaps SET holder = ?1, leased_until = ?2 WHERE id =
                 (SELECT id FROM gaps WHERE to_ms <= ?3 AND leased_until <= ?4 ORDER BY from_ms LIMIT 1)
             RETURNING id, cause, from_ms, to_ms, reconciled_to";
        let _turn = self.writing.lock().await;
        let claim = sqlx::query(sql).bind(holder).bind(lease.0).bind(before.0).bind(now.0);
        let row = claim.fetch_optional(&self.pool).await.map_err(store_error(STORE))?;
        row.map(|row| claimed(&row, holder)).transpose().map_err(store_error(STORE))
    }

    async fn progress(&self, gap: &ClaimedGap, lease: Millis) -> Result<bool, StoreError> {
        let sql = "UPDATE gaps SET reconciled_to = ?, leased_until = ? WHERE id = ? AND holder = ?";
        let _turn = self.writing.lock().await;
        let ours = sqlx::query(sql).bind(gap.after.as_ref().map(Accid::as_str)).bind(lease.0);
        let ours = ours.bind(&gap.gap.id).bind(&gap.holder).execute(&self.pool).await;
        ours.map(|done| done.rows_affected() == 1).map_err(store_error(STORE))
    }

    async fn close(&self, gap: &ClaimedGap) -> Result<(), StoreError> {
        self.close_in_one(gap).await.map_err(store_error(STORE))
    }

    async fn note_active(&self, users: &[Accid], day: i64) -> Result<(), StoreError> {
        self.note_in_one(users, day).await.map_err(store_error(STORE))
    }

    async fn active(
        &self,
        since_day: i64,
        after: Option<&Accid>,
        limit: u32,
    ) -> Result<Vec<Accid>, StoreError> {
        let sql = "SELECT accid FROM active_users WHERE accid > ? AND day >= ? ORDER BY accid LIMIT ?";
        let users = sqlx::query(sql).bind(after.map_or("", Accid::as_str)).bind(since_day).bind(limit);
        let users = users.fetch_all(&self.pool).await.map_err(store_error(STORE))?;
        users.iter().map(|row| accid(row, 0)).collect::<sqlx::Result<_>>().map_err(store_error(STORE))
    }

    async fn forget_flow(&self, before_day: i64) -> Result<(), StoreError> {
        for (sql, before) in [
            ("DELETE FROM copies_by_hour WHERE hour < ?", before_day * 24),
            ("DELETE FROM active_users WHERE day < ?", before_day),
            ("DELETE FROM gaps WHERE to_ms < ?", before_day * 24 * HOUR_MS),
        ] {
            let _turn = self.writing.lock().await;
            sqlx::query(sql).bind(before).execute(&self.pool).await.map_err(store_error(STORE))?;
        }
        Ok(())
    }
}

fn claimed(row: &SqliteRow, holder: &str) -> sqlx::Result<ClaimedGap> {
    let cause = GapCause::from_name(row.try_get("cause")?).ok_or_else(|| corrupt_column("cause"))?;
    let after = match row.try_get::<Option<&str>, _>("reconciled_to")? {
        Some(_) => Some(accid(row, "reconciled_to")?),
        None => None,
    };
    let (from, to) = (Millis(row.try_get("from_ms")?), Millis(row.try_get("to_ms")?));
    Ok(ClaimedGap { gap: Gap { id: row.try_get("id")?, cause, from, to }, holder: holder.to_owned(), after })
}
