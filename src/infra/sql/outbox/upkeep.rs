//! Takes back entries whose lease has expired, and deletes what is finished and old.

use super::dialect::{CHUNK, Dialect, Statement};
use super::{SqlOutbox, bounded, retrying_deadlocks, rows};
use crate::domain::ids::Millis;

/// Rows that are deleted in one transaction, about.
const AT_ONCE: i64 = 5_000;

impl<DB: Dialect> SqlOutbox<DB> {
    /// Looked for without a lock and taken by their numbers: an `UPDATE` that looked for itself would lock, on MySQL,
    /// index before row, and those who settle lock row before index.
    pub(super) async fn reclaim(&self, now: Millis, why: &str) -> sqlx::Result<u64> {
        let select = Statement::<DB>::new(
            // Every kind, said so that the index of the queue is used.
            "SELECT id FROM outbox WHERE state = 0 AND batch IN (0, 1, 2, 3) AND sending = TRUE
                 AND leased_until <= ",
        );
        let select = select.number(now.0);
        let mut dead = ids::<DB>(&select.fetch(&mut *self.connection().await?).await?)?;
        dead.sort_unstable();
        if dead.is_empty() {
            return Ok(0);
        }
        let mut taken = 0;
        let mut change = self.change().await?;
        for ids in dead.chunks(CHUNK) {
            let update = Statement::<DB>::new("UPDATE outbox").sql(DB::BY_ID).sql(
                " SET lease = NULL, leased_until = 0, sending = FALSE, attempts = attempts + 1,
                     state = CASE WHEN resendable THEN 0 ELSE 3 END, last_error = ",
            );
            let update = update.text(rows::cut(why)).sql(" WHERE id IN ").numbers(ids);
            let update = update.sql(" AND sending = TRUE AND leased_until <= ").number(now.0);
            taken += update.execute(&mut change.tx).await?;
        }
        change.tx.commit().await?;
        Ok(taken)
    }

    /// Nothing that is done is ever queued again, so what was found can be deleted later.
    pub(super) async fn forget_some(&self, before: Millis, limit: u32) -> sqlx::Result<u64> {
        let old = bounded(self.old_notifications(before, limit)).await?;
        let mut forgotten = 0;
        let mut at_once: Vec<String> = Vec::new();
        let mut rows = 0;
        for (at, (id, deliveries)) in old.iter().enumerate() {
            at_once.push(id.clone());
            rows += deliveries;
            if rows >= AT_ONCE || at_once.len() >= CHUNK || at + 1 == old.len() {
                forgotten += retrying_deadlocks(|| self.delete_notifications(&at_once)).await?;
                (rows, at_once) = (0, Vec::new());
            }
        }
        let left = i64::from(limit) - i64::try_from(old.len()).unwrap_or(i64::MAX);
        let friendships = bounded(self.old_friendships(before, left)).await?;
        for ids in friendships.chunks(CHUNK) {
            forgotten += retrying_deadlocks(|| self.delete_friendships(ids)).await?;
        }
        Ok(forgotten)
    }

    async fn old_notifications(&self, before: Millis, limit: u32) -> sqlx::Result<Vec<(String, i64)>> {
        let select = Statement::<DB>::new(
            "SELECT n.id, (SELECT COUNT(*) FROM outbox d WHERE d.notification = n.id) AS deliveries
             FROM notifications n
             WHERE NOT EXISTS (SELECT 1 FROM outbox q WHERE q.notification = n.id AND q.state = 0)
                 AND n.accepted_at < ",
        );
        let select = select.number(before.0).sql(" ORDER BY n.accepted_at LIMIT ").number(limit.into());
        let rows = select.fetch(&mut *self.connection().await?).await?;
        rows.iter()
            .map(|row| Ok((rows::text::<DB>(row, "id")?, rows::number::<DB>(row, "deliveries")?)))
            .collect()
    }

    async fn old_friendships(&self, before: Millis, limit: i64) -> sqlx::Result<Vec<i64>> {
        let select = Statement::<DB>::new(
            "SELECT id FROM outbox WHERE notification IS NULL AND state > 0 AND accepted_at < ",
        );
        let select = select.number(before.0).sql(" LIMIT ").number(limit);
        ids::<DB>(&select.fetch(&mut *self.connection().await?).await?)
    }

    async fn delete_notifications(&self, notifications: &[String]) -> sqlx::Result<u64> {
        let entries = Statement::<DB>::new("DELETE FROM outbox WHERE notification IN ").texts(notifications);
        let delete = Statement::<DB>::new("DELETE FROM notifications WHERE id IN ").texts(notifications);
        let mut change = self.change().await?;
        entries.execute(&mut change.tx).await?;
        let deleted = delete.execute(&mut change.tx).await?;
        change.tx.commit().await?;
        Ok(deleted)
    }

    async fn delete_friendships(&self, ids: &[i64]) -> sqlx::Result<u64> {
        let mut change = self.change().await?;
        let delete = Statement::<DB>::new("DELETE FROM outbox WHERE id IN ").numbers(ids);
        let deleted = delete.execute(&mut change.tx).await?;
        change.tx.commit().await?;
        Ok(deleted)
    }
}

fn ids<DB: Dialect>(rows: &[DB::Row]) -> sqlx::Result<Vec<i64>> {
    rows.iter().map(|row| rows::number::<DB>(row, "id")).collect()
}
