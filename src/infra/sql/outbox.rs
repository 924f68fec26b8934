//! What is owed to NetEase, in the accounts' database: MySQL or SQLite.

mod acceptance;
mod claimed;
mod claims;
mod dialect;
mod reads;
mod rows;
mod upkeep;

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::{Database, Pool, Transaction};
use tokio::sync::{Mutex, MutexGuard};

pub(super) use self::dialect::Dialect;
use self::dialect::Statement;
use super::{Schema, bounded, duplicate, store_error};
use crate::domain::ids::{LetterCase, Millis, UserId};
use crate::domain::message::MessageRef;
use crate::domain::outbox::Settled;
use crate::ports::StoreError;
use crate::ports::outbox::{
    Accepted, Backlog, Claimed, EntryId, Lease, NewNotification, NotificationStatus, Notifications, Outbox,
};

const STORE: &str = "outbox";
/// How often work is tried that MySQL undoes because of a deadlock.
const TRIES: u32 = 5;

/// Notifications and the outbox in the database behind a pool. MySQL from 8.0, MariaDB from 10.6.
#[derive(Debug)]
pub struct SqlOutbox<DB: Database> {
    pool: Pool<DB>,
    case: LetterCase,
    schema: Schema,
    /// SQLite has one writer at a time, and makes others poll for their turn: those of the outbox queue instead.
    writing: Mutex<()>,
}

impl<DB: Database> SqlOutbox<DB> {
    /// The outbox behind `pool`, whose schema is up to date, for users whom `case` tells apart.
    pub fn new(pool: Pool<DB>, case: LetterCase) -> Self {
        Self { pool, case, schema: Schema::seen(), writing: Mutex::default() }
    }

    /// The same, but nothing is asked of the database before its schema is up to date.
    #[must_use]
    pub fn not_before(self, schema: Schema) -> Self {
        Self { schema, ..self }
    }

    async fn connection(&self) -> sqlx::Result<PoolConnection<DB>> {
        self.schema.is_up_to_date().await?;
        self.pool.acquire().await
    }
}

/// A transaction that may write. Its turn ends after it.
struct OutboxTransaction<'a, DB: Database> {
    tx: Transaction<'a, DB>,
    _turn: Option<MutexGuard<'a, ()>>,
}

impl<DB: Dialect> SqlOutbox<DB> {
    async fn change(&self) -> sqlx::Result<OutboxTransaction<'_, DB>> {
        self.schema.is_up_to_date().await?;
        let turn = if DB::ONE_WRITER { Some(self.writing.lock().await) } else { None };
        Ok(OutboxTransaction { tx: self.pool.begin_with(DB::BEGIN).await?, _turn: turn })
    }

    async fn owe(&self, buyer: &UserId, seller: &UserId, at: Millis) -> sqlx::Result<()> {
        let lane = rows::lane_of_friends(buyer.accid(), seller.accid());
        // Befriending twice does no harm, so a friendship is always resendable.
        let insert = Statement::<DB>::new(
            "INSERT INTO outbox (resendable, lane, owed_once, from_user, to_user, accepted_at, due_at)
             VALUES (TRUE, ",
        );
        let insert = insert.text(&*lane).sql(", ").text(&*lane).sql(", ").text(buyer.as_str()).sql(", ");
        let insert = insert.text(seller.as_str()).sql(", ").number(at.0).sql(", ").number(at.0).sql(")");
        let mut change = self.change().await?;
        match insert.execute(&mut change.tx).await {
            Ok(_) => change.tx.commit().await,
            Err(refusal) => {
                change.tx.rollback().await?;
                duplicate(refusal)
            }
        }
    }

    async fn count(&self) -> sqlx::Result<Backlog> {
        let count = Statement::<DB>::new(
            "SELECT batch, COUNT(*) AS queued, MIN(accepted_at) AS oldest FROM outbox WHERE state = 0
             GROUP BY batch",
        );
        let mut backlog = Backlog::default();
        for row in &count.fetch(&mut *self.connection().await?).await? {
            let queued = rows::number::<DB>(row, "queued")?.unsigned_abs();
            if rows::number::<DB>(row, "batch")? == rows::READ {
                backlog.reads = queued;
                continue;
            }
            backlog.queued += queued;
            let oldest = DB::number(row, "oldest")?.map(Millis);
            backlog.oldest_at = backlog.oldest_at.into_iter().chain(oldest).min();
        }
        Ok(backlog)
    }
}

/// Does work that is one transaction, within the time of a statement, and anew after a deadlock.
async fn retrying_deadlocks<T, F>(work: impl Fn() -> F + Send) -> sqlx::Result<T>
where
    F: Future<Output = sqlx::Result<T>> + Send,
{
    let tried = async {
        for _ in 1..TRIES {
            match work().await {
                Err(sqlx::Error::Database(refusal)) if refusal.code().as_deref() == Some("40001") => {}
                outcome => return outcome,
            }
        }
        work().await
    };
    bounded(tried).await
}

#[async_trait]
impl<DB: Dialect> Outbox for SqlOutbox<DB> {
    async fn owe_friendship(&self, buyer: &UserId, seller: &UserId, at: Millis) -> Result<(), StoreError> {
        retrying_deadlocks(|| self.owe(buyer, seller, at)).await.map_err(store_error(STORE))
    }

    async fn owe_read(
        &self,
        reader: &UserId,
        peer: &UserId,
        newest: &MessageRef,
        at: Millis,
    ) -> Result<(), StoreError> {
        self.owe_one_read(reader, peer, newest, at).await.map_err(store_error(STORE))
    }

    async fn claim(&self, lease: &Lease, now: Millis, limit: u32) -> Result<Vec<Claimed>, StoreError> {
        let held = retrying_deadlocks(|| self.hold(lease, now, limit)).await.map_err(store_error(STORE))?;
        self.keep(lease, now, held).await.map_err(store_error(STORE))
    }

    async fn begin(&self, lease: &Lease, entries: &[EntryId]) -> Result<bool, StoreError> {
        retrying_deadlocks(|| self.begin_all(lease, entries)).await.map_err(store_error(STORE))
    }

    async fn settle(&self, lease: &Lease, outcomes: &[(EntryId, Settled)]) -> Result<(), StoreError> {
        for outcomes in outcomes.chunks(dialect::CHUNK) {
            retrying_deadlocks(|| self.settle_some(lease, outcomes)).await.map_err(store_error(STORE))?;
        }
        Ok(())
    }

    async fn settle_read(&self, lease: &Lease, entry: EntryId, outcome: &Settled) -> Result<(), StoreError> {
        retrying_deadlocks(|| self.settle_one_read(lease, entry, outcome)).await.map_err(store_error(STORE))
    }

    async fn reclaim_expired(&self, now: Millis, why: &str) -> Result<u64, StoreError> {
        retrying_deadlocks(|| self.reclaim(now, why)).await.map_err(store_error(STORE))
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        bounded(self.count()).await.map_err(store_error(STORE))
    }
}

#[async_trait]
impl<DB: Dialect> Notifications for SqlOutbox<DB> {
    async fn accept(&self, new: &NewNotification, lease: Option<&Lease>) -> Result<Accepted, StoreError> {
        self.accept_once(new, lease).await.map_err(store_error(STORE))
    }

    async fn status(&self, id: &str) -> Result<Option<NotificationStatus>, StoreError> {
        bounded(self.deliveries(id)).await.map_err(store_error(STORE))
    }

    async fn forget(&self, before: Millis, limit: u32) -> Result<u64, StoreError> {
        self.forget_some(before, limit).await.map_err(store_error(STORE))
    }
}
