//! Taking in notifications, each key once.

use sqlx::error::DatabaseError;

use super::dialect::{CHUNK, Dialect, Statement};
use super::{SqlOutbox, bounded, claims, retrying_deadlocks, rows};
use crate::domain::ids::{Millis, UserId};
use crate::ports::outbox::{Accepted, IdempotencyKey, Lease, NewNotification, NotificationStatus, Way};

/// A key that is taken may be freed, or forgotten, before it is looked at; hardly twice in a row.
const TRIES: u32 = 5;

/// Characters of a notification's id, all of them ASCII.
const ID_LENGTH: usize = 36;

/// What a key was used for.
struct Use {
    id: String,
    fingerprint: String,
    accepted_at: Millis,
}

impl<DB: Dialect> SqlOutbox<DB> {
    pub(super) async fn accept_once(
        &self,
        new: &NewNotification,
        lease: Option<&Lease>,
    ) -> sqlx::Result<Accepted> {
        let mut tries = 0;
        loop {
            tries += 1;
            let refusal = match (retrying_deadlocks(|| self.insert(new, lease)).await, lease) {
                // It is durable: if its entries cannot be read now, that is no reason to say that it is not.
                (Ok(held), Some(lease)) => {
                    return Ok(Accepted::New(self.keep(lease, new.at, held).await.unwrap_or_default()));
                }
                (Ok(_), None) => return Ok(Accepted::New(Vec::new())),
                (Err(refusal), _) => refusal,
            };
            let taken = refusal.as_database_error().is_some_and(DatabaseError::is_unique_violation);
            let Some(key) = new.key.as_ref().filter(|_| taken && tries < TRIES) else { return Err(refusal) };
            match bounded(self.used(key)).await? {
                Some(old) if old.accepted_at < new.keys_since => {
                    retrying_deadlocks(|| self.free_key(&old)).await?;
                }
                Some(old) if key.repeats(&old.fingerprint) => return Ok(Accepted::Repeated(old.id)),
                Some(_) => return Ok(Accepted::KeyTaken),
                None => {}
            }
        }
    }

    async fn insert(&self, new: &NewNotification, lease: Option<&Lease>) -> sqlx::Result<Vec<i64>> {
        let mut change = self.change().await?;
        match insert_all::<DB>(&mut change.tx, new, lease).await {
            Ok(held) => change.tx.commit().await.map(|()| held),
            // At once, so that those who wait for the same key go on.
            Err(refusal) => change.tx.rollback().await.and(Err(refusal)),
        }
    }

    async fn used(&self, key: &IdempotencyKey) -> sqlx::Result<Option<Use>> {
        let select =
            Statement::<DB>::new("SELECT id, fingerprint, accepted_at FROM notifications WHERE caller = ");
        let select = select.text(&*key.caller).sql(" AND idempotency_key = ").text(&*key.key);
        let rows = select.fetch(&mut *self.connection().await?).await?;
        let used = |row| {
            Ok(Use {
                id: rows::text::<DB>(row, "id")?,
                fingerprint: rows::text::<DB>(row, "fingerprint")?,
                accepted_at: Millis(rows::number::<DB>(row, "accepted_at")?),
            })
        };
        rows.first().map(used).transpose()
    }

    async fn free_key(&self, old: &Use) -> sqlx::Result<()> {
        let update = Statement::<DB>::new(
            "UPDATE notifications SET caller = NULL, idempotency_key = NULL, fingerprint = NULL WHERE id = ",
        );
        let mut change = self.change().await?;
        update.text(&*old.id).execute(&mut change.tx).await?;
        change.tx.commit().await
    }

    pub(super) async fn deliveries(&self, id: &str) -> sqlx::Result<Option<NotificationStatus>> {
        // Others are nobody's, and MySQL would refuse to compare them, or take a trailing blank for nothing.
        if id.len() != ID_LENGTH || !id.is_ascii() {
            return Ok(None);
        }
        let select = Statement::<DB>::new(
            "SELECT to_user, state, attempts, last_error FROM outbox WHERE notification = ",
        );
        let select = select.text(id).sql(" ORDER BY id");
        let rows = select.fetch(&mut *self.connection().await?).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let deliveries =
            rows.iter().map(|row| rows::delivery::<DB>(self.case, row)).collect::<Result<_, _>>()?;
        Ok(Some(NotificationStatus { id: id.to_owned(), deliveries }))
    }
}

async fn insert_all<DB: Dialect>(
    connection: &mut DB::Connection,
    new: &NewNotification,
    lease: Option<&Lease>,
) -> sqlx::Result<Vec<i64>> {
    let key = new.key.as_ref();
    let insert = Statement::<DB>::new(
        "INSERT INTO notifications (id, accepted_at, content, caller, idempotency_key, fingerprint) VALUES (",
    );
    let insert = insert.text(&*new.id).sql(", ").number(new.at.0).sql(", ");
    let insert = insert.text(&*rows::json(&new.notice.content)?).sql(", ").text(key.map(|key| &*key.caller));
    let insert = insert.sql(", ").text(key.map(|key| &*key.key)).sql(", ");
    let insert = insert.text(key.map(|key| &*key.fingerprint)).sql(")");
    insert.execute(connection).await?;
    for to in new.to.chunks(CHUNK) {
        let insert = Statement::<DB>::new(
            "INSERT INTO outbox
                 (notification, batch, resendable, lane, from_user, to_user, accepted_at, due_at) VALUES ",
        );
        insert.separated(to, |insert, to| entry(insert, new, to)).execute(connection).await?;
    }
    match lease {
        Some(lease) => claims::take_of::<DB>(connection, lease, new.at, &new.id).await,
        None => Ok(Vec::new()),
    }
}

fn entry<DB: Dialect>(insert: Statement<DB>, new: &NewNotification, to: &UserId) -> Statement<DB> {
    let lane = match new.way {
        Way::Team => rows::lane_of_team(to.accid()),
        Way::Each | Way::Batch => to.accid().to_string(),
    };
    let insert = insert.sql("(").text(&*new.id).sql(", ").number(rows::code_of(new.way)).sql(", ");
    let insert = insert.number(new.notice.resendable.into()).sql(", ").text(&*lane).sql(", ");
    let insert = insert.text(new.from.as_str()).sql(", ").text(to.as_str()).sql(", ");
    insert.number(new.at.0).sql(", ").number(new.at.0).sql(")")
}
