//! What the log tells of a reader, or of one pair.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{SqliteLog, accid, server_id};
use crate::domain::ids::{Accid, Millis};
use crate::domain::message::MessageRef;
use crate::domain::unread::{Snapshot, TOMBSTONE_MS};
use crate::infra::clock::System;
use crate::ports::clock::Clock;
use crate::ports::message_log::Reach;

impl SqliteLog {
    pub(super) async fn find_reach(
        &self,
        reader: &Accid,
        peer: &Accid,
        up_to: Millis,
    ) -> sqlx::Result<Reach> {
        // A row in any case; with both of one moment.
        let sql = r#"SELECT "msgTimestamp", "msgidServer", "msgidClient",
                (SELECT mark FROM read_marks WHERE reader = ?1 AND peer = ?2) AS mark
             FROM (SELECT 1) LEFT JOIN
                (SELECT "msgTimestamp", "msgidServer", "msgidClient" FROM messages
                 WHERE "to" = ?1 AND "fromAccount" = ?2 AND state = 0 AND counted = 1 AND "msgTimestamp" <= ?3
                 ORDER BY "msgTimestamp" DESC LIMIT 1)"#;
        let row = sqlx::query(sql).bind(reader.as_str()).bind(peer.as_str()).bind(up_to.0);
        reach(&row.fetch_one(&self.pool).await?)
    }

    pub(super) async fn snapshot_in_one(&self, reader: &Accid) -> sqlx::Result<Snapshot> {
        let mut tx = self.pool.begin().await?;
        let unread = r#"SELECT "fromAccount", "msgidServer", "msgTimestamp" FROM messages
             WHERE "to" = ? AND state = 0 AND counted = 1"#;
        let unread = sqlx::query(unread).bind(reader.as_str()).fetch_all(&mut *tx).await?;
        let marks = sqlx::query("SELECT peer, mark FROM read_marks WHERE reader = ?");
        let marks = marks.bind(reader.as_str()).fetch_all(&mut *tx).await?;
        let recalled = r#"SELECT "fromAccount", "msgidServer" FROM messages
             WHERE "to" = ? AND recalled = 1 AND "convType" = 'PERSON' AND "msgType" IS NOT NULL AND "recalledAt" >= ?"#;
        let recalled = sqlx::query(recalled).bind(reader.as_str()).bind(System.now().plus(-TOMBSTONE_MS).0);
        let recalled = recalled.fetch_all(&mut *tx).await?;
        tx.commit().await?;
        let message = |row: &SqliteRow| Ok((accid(row, 0)?, server_id(row, 1)?, Millis(row.try_get(2)?)));
        Ok(Snapshot {
            unread: unread.iter().map(message).collect::<sqlx::Result<_>>()?,
            marks: marks
                .iter()
                .map(|row| Ok((accid(row, 0)?, Millis(row.try_get(1)?))))
                .collect::<sqlx::Result<_>>()?,
            recalled: recalled
                .iter()
                .map(|row| Ok((accid(row, 0)?, server_id(row, 1)?)))
                .collect::<sqlx::Result<_>>()?,
        })
    }
}

fn reach(row: &SqliteRow) -> sqlx::Result<Reach> {
    let unread = match row.try_get::<Option<i64>, _>("msgTimestamp")? {
        Some(at) => Some(MessageRef {
            at: Millis(at),
            id: server_id(row, "msgidServer")?,
            client_id: row.try_get("msgidClient")?,
        }),
        None => None,
    };
    Ok(Reach { unread, mark: row.try_get::<Option<i64>, _>("mark")?.map(Millis) })
}
