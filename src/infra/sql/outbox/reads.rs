//! Reads that NetEase is owed to be told of: of a pair one waits at most.

use sqlx::error::DatabaseError;

use super::dialect::{Dialect, Statement};
use super::{SqlOutbox, bounded, claims, retrying_deadlocks, rows};
use crate::domain::ids::{Millis, UserId};
use crate::domain::message::MessageRef;
use crate::domain::outbox::{Settled, State};
use crate::ports::outbox::{EntryId, Lease};

/// What waits may be claimed, or be done, before it is changed; hardly so often in a row.
const TRIES: u32 = 5;
/// NetEase takes ids of clients up to this length (NIM server API, msg/markReadMsg). A longer one is none.
const MOST_CLIENT_ID_CHARS: usize = 128;

/// A read of a pair that waits.
struct Waiting {
    id: i64,
    at: Millis,
}

impl<DB: Dialect> SqlOutbox<DB> {
    pub(super) async fn owe_one_read(
        &self,
        reader: &UserId,
        peer: &UserId,
        newest: &MessageRef,
        at: Millis,
    ) -> sqlx::Result<()> {
        let lane = rows::lane_of_reads(reader.accid(), peer.accid());
        let mut tries = 0;
        loop {
            tries += 1;
            let waiting = bounded(self.waiting(&lane)).await?;
            if waiting.as_ref().is_some_and(|waiting| waiting.at >= newest.at) {
                return Ok(());
            }
            let owe = || self.replace_or_add(&lane, waiting.as_ref(), (reader, peer), newest, at);
            match retrying_deadlocks(owe).await {
                Ok(true) => return Ok(()),
                Ok(false) if tries < TRIES => {}
                Ok(false) => return Err(sqlx::Error::Protocol("the read of a pair keeps changing".into())),
                // Somebody else was first.
                Err(refusal) => {
                    let taken = refusal.as_database_error().is_some_and(DatabaseError::is_unique_violation);
                    if !taken || tries >= TRIES {
                        return Err(refusal);
                    }
                }
            }
        }
    }

    async fn waiting(&self, lane: &str) -> sqlx::Result<Option<Waiting>> {
        let select = Statement::<DB>::new("SELECT id, message_at FROM outbox WHERE owed_once = ").text(lane);
        let rows = select.fetch(&mut *self.connection().await?).await?;
        let waiting = |row| {
            Ok(Waiting {
                id: rows::number::<DB>(row, "id")?,
                at: Millis(rows::number::<DB>(row, "message_at")?),
            })
        };
        rows.first().map(waiting).transpose()
    }

    /// Puts the newer message into what waits. One that is held is left as it is, for its holder may be telling the older
    /// message: it waits no longer, and a new one takes its place. False, and nothing done, if it is gone.
    async fn replace_or_add(
        &self,
        lane: &str,
        waiting: Option<&Waiting>,
        (reader, peer): (&UserId, &UserId),
        newest: &MessageRef,
        at: Millis,
    ) -> sqlx::Result<bool> {
        let client_id = newest.client_id.as_deref().filter(|id| id.chars().count() <= MOST_CLIENT_ID_CHARS);
        let mut change = self.change().await?;
        if let Some(Waiting { id, .. }) = waiting {
            let replace = Statement::<DB>::new("UPDATE outbox").sql(DB::BY_ID).sql(" SET message_at = ");
            let replace = replace.number(newest.at.0).sql(", message_id = ").number(newest.id.get());
            let replace = replace.sql(", message_client_id = ").text(client_id).sql(", accepted_at = ");
            let replace = replace.number(at.0).sql(", due_at = ").number(at.0).sql(", attempts = 0");
            let replace = replace.sql(" WHERE id = ").number(*id).sql(" AND owed_once = ").text(lane);
            let replace = replace.sql(" AND lease IS NULL AND message_at < ").number(newest.at.0);
            if replace.execute(&mut change.tx).await? == 1 {
                return change.tx.commit().await.map(|()| true);
            }
            let pass = Statement::<DB>::new("UPDATE outbox").sql(DB::BY_ID).sql(" SET owed_once = NULL");
            let pass = pass.sql(" WHERE id = ").number(*id).sql(" AND owed_once = ").text(lane);
            let pass = pass.sql(" AND lease IS NOT NULL AND message_at < ").number(newest.at.0);
            if pass.execute(&mut change.tx).await? == 0 {
                return change.tx.rollback().await.map(|()| false);
            }
        }
        let insert = Statement::<DB>::new(
            "INSERT INTO outbox (batch, resendable, lane, owed_once, from_user, to_user, accepted_at, due_at,
                 message_at, message_id, message_client_id) VALUES (",
        );
        let insert = insert.sql(rows::READ).sql(", TRUE, ").text(lane).sql(", ").text(lane).sql(", ");
        let insert = insert.text(reader.as_str()).sql(", ").text(peer.as_str()).sql(", ");
        let insert = insert.number(at.0).sql(", ").number(at.0).sql(", ").number(newest.at.0).sql(", ");
        let insert = insert.number(newest.id.get()).sql(", ").text(client_id).sql(")");
        match insert.execute(&mut change.tx).await {
            Ok(_) => change.tx.commit().await.map(|()| true),
            // At once, so that those who wait for the same pair go on.
            Err(refusal) => change.tx.rollback().await.and(Err(refusal)),
        }
    }

    pub(super) async fn settle_one_read(
        &self,
        lease: &Lease,
        entry: EntryId,
        outcome: &Settled,
    ) -> sqlx::Result<()> {
        let delete = Statement::<DB>::new("DELETE FROM outbox WHERE id = ").number(entry.0);
        let delete = delete.sql(" AND lease = ").text(&*lease.token);
        let again = outcome.state == State::Queued;
        let delete = if again { delete.sql(" AND owed_once IS NULL") } else { delete };
        let mut change = self.change().await?;
        delete.execute(&mut change.tx).await?;
        if again {
            claims::settle::<DB>(&mut change.tx, lease, &[entry.0], outcome).await?;
        }
        change.tx.commit().await
    }
}
