//! Claiming entries under a lease, and settling them.
//!
//! A claim looks for entries without locking any, takes those that are still free by their numbers, and only then, for
//! all to see, looks whether it came first in each lane. Two who accept at once may be seen in another order than they
//! were numbered in, so that a look before the commit would not do: of two who hold entries of one lane, the later to
//! look sees the other, and lets go.

use std::collections::{BTreeMap, BTreeSet};

use super::claimed::{Sorted, sorted};
use super::dialect::{CHUNK, Dialect, Statement};
use super::rows::{self, StoredNotification};
use super::{SqlOutbox, bounded, retrying_deadlocks};
use crate::domain::ids::Millis;
use crate::domain::outbox::{Settled, State};
use crate::log_gate::LogGate;
use crate::ports::gateway::NoticeContent;
use crate::ports::outbox::{BATCH, Claimed, EntryId, Lease};

/// Those who claim at once find the same entries: each looks for so many times more than it wants.
const CLAIMANTS: u32 = 4;
/// Reads get one in so many of the places of a claim, so that whatever comes next finds hands.
const READS_SHARE: u32 = 4;
/// After so long what could not be seen is looked at again; meanwhile others are not held up by it.
const UNSEEN_PAUSE_MS: i64 = 5_000;

static UNSEEN: LogGate = LogGate::new();

/// Which entries are looked for.
#[derive(Clone, Copy)]
pub(super) enum Which<'a> {
    Singles,
    Teams,
    Batches,
    Reads,
    Of(&'a str),
}

impl<DB: Dialect> SqlOutbox<DB> {
    /// Takes what can be claimed; [`Self::keep`] is to follow.
    pub(super) async fn hold(&self, lease: &Lease, now: Millis, limit: u32) -> sqlx::Result<Vec<i64>> {
        let mut connection = self.connection().await?;
        let many = limit.saturating_mul(CLAIMANTS);
        let mut singles = free::<DB>(&mut connection, Which::Singles, now, many).await?;
        singles.extend(free::<DB>(&mut connection, Which::Teams, now, many).await?);
        // Oldest first, to whomever they go.
        singles.sort_unstable_by_key(|(id, _)| *id);
        let batch = free::<DB>(&mut connection, Which::Batches, now, 1).await?;
        let some = (limit / READS_SHARE).max(1);
        let reads = free::<DB>(&mut connection, Which::Reads, now, some.saturating_mul(CLAIMANTS)).await?;
        drop(connection);
        if singles.is_empty() && batch.is_empty() && reads.is_empty() {
            return Ok(Vec::new());
        }
        let mut change = self.change().await?;
        let numbers = |free: Vec<(i64, _)>| free.into_iter().map(|(id, _)| id).collect::<Vec<i64>>();
        let mut held = take::<DB>(&mut change.tx, lease, now, &numbers(singles), limit).await?;
        let left = limit.saturating_sub(u32::try_from(held.len()).unwrap_or(limit)).min(some);
        if left > 0 {
            held.extend(take::<DB>(&mut change.tx, lease, now, &numbers(reads), left).await?);
        }
        if let Some(notification) = batch.into_iter().find_map(|(_, notification)| notification)
            && lock::<DB>(&mut change.tx, &notification).await?
        {
            held.extend(take_of::<DB>(&mut change.tx, lease, now, &notification).await?);
        }
        change.tx.commit().await?;
        Ok(held)
    }

    /// Reads what has been taken and lets go of what is not the first of its lane. After an error nothing is held.
    pub(super) async fn keep(
        &self,
        lease: &Lease,
        now: Millis,
        held: Vec<i64>,
    ) -> sqlx::Result<Vec<Claimed>> {
        let kept = self.keep_first(lease, now, &held).await;
        if kept.is_err() {
            // They are not to wait for the end of a lease that nobody uses. If this fails too, they do.
            let _ = self.let_go(lease, &held, now).await;
        }
        kept
    }

    async fn keep_first(&self, lease: &Lease, now: Millis, held: &[i64]) -> sqlx::Result<Vec<Claimed>> {
        let held: BTreeSet<i64> = held.iter().copied().collect();
        let in_order: Vec<i64> = held.iter().copied().collect();
        let (mut all, mut odd) = (Vec::with_capacity(held.len()), Vec::new());
        for ids in in_order.chunks(CHUNK) {
            for (id, row) in bounded(self.read(lease, now, ids)).await? {
                match row {
                    Ok(stored) => all.push(stored),
                    Err(_) => odd.push(id),
                }
            }
        }
        let seen: BTreeSet<i64> = all.iter().map(|held| held.entry.id.0).chain(odd.iter().copied()).collect();
        let (blocked, kept): (Vec<StoredNotification>, Vec<StoredNotification>) =
            all.into_iter().partition(|held| held.blocked);
        let blocked: Vec<i64> = blocked.iter().map(|held| held.entry.id.0).collect();
        self.let_go(lease, &blocked, now).await?;
        let mut notifications: Vec<String> =
            kept.iter().filter_map(|held| held.notification.clone()).collect();
        notifications.sort_unstable();
        notifications.dedup();
        let mut contents = BTreeMap::new();
        for ids in notifications.chunks(CHUNK) {
            contents.extend(bounded(self.contents(ids)).await?);
        }
        let Sorted { claimed, mut unreadable, mut unseen } = sorted(kept, &contents);
        unreadable.append(&mut odd);
        unseen.extend(held.difference(&seen));
        if !unseen.is_empty() {
            // The server that was asked lags behind the one that took them. What is not there was not read.
            if let Some(count) = UNSEEN.pass() {
                tracing::warn!(
                    count,
                    entries = unseen.len(),
                    "entries of the outbox cannot be seen; trying again"
                );
            }
            self.let_go(lease, &unseen, now.plus(UNSEEN_PAUSE_MS)).await?;
        }
        // Alone, so that it does not hold up its neighbours for ever.
        for ids in unreadable.chunks(CHUNK) {
            tracing::error!(entries = ids.len(), "notices in the outbox cannot be read, and are given up");
            retrying_deadlocks(|| self.give_up(lease, ids, now)).await?;
        }
        Ok(claimed)
    }

    /// Those of `ids` that are there, each with what its row holds, if that can be read.
    async fn read(
        &self,
        lease: &Lease,
        now: Millis,
        ids: &[i64],
    ) -> sqlx::Result<Vec<(i64, sqlx::Result<StoredNotification>)>> {
        let select = Statement::<DB>::new(
            "SELECT o.id, o.notification, o.batch, o.resendable, o.from_user, o.to_user, o.attempts,
                 o.accepted_at, o.message_at, o.message_id, o.message_client_id, ",
        );
        let select = rival(select, now).sql(" AS blocked FROM outbox o").sql(DB::BY_ID);
        let select = select.sql(" WHERE o.id IN ").numbers(ids).sql(" AND o.lease = ").text(&*lease.token);
        let rows = select.sql(" ORDER BY o.id").fetch(&mut *self.connection().await?).await?;
        rows.iter()
            .map(|row| Ok((rows::number::<DB>(row, "id")?, rows::stored::<DB>(self.case, row))))
            .collect()
    }

    /// Lets go of what this lease still holds, to be claimed again from `due_at` on.
    async fn let_go(&self, lease: &Lease, ids: &[i64], due_at: Millis) -> sqlx::Result<()> {
        for ids in ids.chunks(CHUNK) {
            retrying_deadlocks(|| self.let_go_of_some(lease, ids, due_at)).await?;
        }
        Ok(())
    }

    async fn let_go_of_some(&self, lease: &Lease, ids: &[i64], due_at: Millis) -> sqlx::Result<()> {
        let update = Statement::<DB>::new("UPDATE outbox").sql(DB::BY_ID);
        let update = update.sql(" SET lease = NULL, leased_until = 0, due_at = ").number(due_at.0);
        let update = update.sql(" WHERE id IN ").numbers(ids).sql(" AND lease = ").text(&*lease.token);
        let mut change = self.change().await?;
        update.execute(&mut change.tx).await?;
        change.tx.commit().await
    }

    async fn give_up(&self, lease: &Lease, ids: &[i64], now: Millis) -> sqlx::Result<()> {
        let why = Some("this service cannot read what it stored".to_owned());
        let failed = Settled { state: State::Failed, attempts: 0, due_at: now, last_error: why };
        let mut change = self.change().await?;
        settle::<DB>(&mut change.tx, lease, ids, &failed).await?;
        change.tx.commit().await
    }

    /// `None` for what this version of the program cannot read.
    async fn contents(&self, ids: &[String]) -> sqlx::Result<Vec<(String, Option<NoticeContent>)>> {
        let select = Statement::<DB>::new("SELECT id, content FROM notifications WHERE id IN ").texts(ids);
        let rows = select.fetch(&mut *self.connection().await?).await?;
        let content =
            |row| Ok((rows::text::<DB>(row, "id")?, rows::content(&rows::text::<DB>(row, "content")?).ok()));
        rows.iter().map(content).collect()
    }

    pub(super) async fn begin_all(&self, lease: &Lease, entries: &[EntryId]) -> sqlx::Result<bool> {
        let mut ids: Vec<i64> = entries.iter().map(|entry| entry.0).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut change = self.change().await?;
        for ids in ids.chunks(CHUNK) {
            let update = Statement::<DB>::new("UPDATE outbox").sql(DB::BY_ID);
            let update = update.sql(" SET sending = TRUE, leased_until = ").number(lease.until.0);
            let update = update.sql(" WHERE id IN ").numbers(ids).sql(" AND lease = ").text(&*lease.token);
            if update.execute(&mut change.tx).await? != ids.len() as u64 {
                change.tx.rollback().await?;
                return Ok(false);
            }
        }
        change.tx.commit().await?;
        Ok(true)
    }

    pub(super) async fn settle_some(
        &self,
        lease: &Lease,
        outcomes: &[(EntryId, Settled)],
    ) -> sqlx::Result<()> {
        let mut outcomes: Vec<_> = outcomes.iter().collect();
        outcomes.sort_by_key(|(id, s)| (s.state, s.attempts, s.due_at, s.last_error.as_deref(), *id));
        let mut change = self.change().await?;
        for alike in outcomes.chunk_by(|(_, one), (_, other)| one == other) {
            let ids: Vec<i64> = alike.iter().map(|(id, _)| id.0).collect();
            settle::<DB>(&mut change.tx, lease, &ids, &alike[0].1).await?;
        }
        change.tx.commit().await
    }
}

/// Entries that can be claimed as far as can be seen, oldest first, with their notifications.
async fn free<DB: Dialect>(
    connection: &mut DB::Connection,
    which: Which<'_>,
    now: Millis,
    limit: u32,
) -> sqlx::Result<Vec<(i64, Option<String>)>> {
    let select = Statement::<DB>::new("SELECT o.id, o.notification FROM outbox o WHERE ");
    let select = match which {
        Which::Singles => select.sql("o.batch = ").sql(rows::SINGLE),
        Which::Teams => select.sql("o.batch = ").sql(rows::TEAM),
        Which::Batches => select.sql("o.batch = ").sql(rows::BATCH),
        Which::Reads => select.sql("o.batch = ").sql(rows::READ),
        Which::Of(notification) => select.sql("o.notification = ").text(notification),
    };
    let select = claimable(select.sql(" AND "), now).sql(" AND NOT ");
    let select = rival(select, now).sql(" ORDER BY o.id LIMIT ").number(limit.into());
    let rows = select.fetch(connection).await?;
    rows.iter().map(|row| Ok((rows::number::<DB>(row, "id")?, DB::text(row, "notification")?))).collect()
}

/// Of `o` itself. One that its holder has begun is not to be claimed even if the holder is dead.
fn claimable<DB: Dialect>(sql: Statement<DB>, now: Millis) -> Statement<DB> {
    let sql = sql.sql("o.state = 0 AND o.sending = FALSE AND o.due_at <= ").number(now.0);
    sql.sql(" AND o.leased_until <= ").number(now.0)
}

/// Whether another entry of the lane of `o` comes first, or is being done.
fn rival<DB: Dialect>(sql: Statement<DB>, now: Millis) -> Statement<DB> {
    let sql =
        sql.sql("EXISTS (SELECT 1 FROM outbox r WHERE r.lane = o.lane AND r.state = 0 AND r.id <> o.id");
    sql.sql(" AND (r.id < o.id OR r.leased_until > ").number(now.0).sql("))")
}

/// Takes up to `limit` of these entries, without waiting for anybody.
async fn take<DB: Dialect>(
    connection: &mut DB::Connection,
    lease: &Lease,
    now: Millis,
    ids: &[i64],
    limit: u32,
) -> sqlx::Result<Vec<i64>> {
    let mut taken = Vec::new();
    for ids in ids.chunks(CHUNK) {
        let left = u32::try_from(taken.len()).map_or(0, |taken| limit.saturating_sub(taken));
        let select = Statement::<DB>::new("SELECT o.id FROM outbox o").sql(DB::BY_ID).sql(" WHERE o.id IN ");
        let select = claimable(select.numbers(ids).sql(" AND "), now);
        let select = select.sql(" ORDER BY o.id LIMIT ").number(left.into()).sql(DB::LOCK);
        let rows = select.fetch(connection).await?;
        let free: Vec<i64> =
            rows.iter().map(|row| rows::number::<DB>(row, "id")).collect::<Result<_, _>>()?;
        if !free.is_empty() {
            let update = Statement::<DB>::new("UPDATE outbox").sql(DB::BY_ID).sql(" SET lease = ");
            let update = update.text(&*lease.token).sql(", leased_until = ").number(lease.until.0);
            update.sql(" WHERE id IN ").numbers(&free).execute(connection).await?;
            taken.extend(free);
        }
    }
    Ok(taken)
}

/// Takes what can be claimed of one notification.
pub(super) async fn take_of<DB: Dialect>(
    connection: &mut DB::Connection,
    lease: &Lease,
    now: Millis,
    notification: &str,
) -> sqlx::Result<Vec<i64>> {
    let ids = free::<DB>(connection, Which::Of(notification), now, BATCH).await?;
    let ids: Vec<i64> = ids.into_iter().map(|(id, _)| id).collect();
    take::<DB>(connection, lease, now, &ids, BATCH).await
}

/// Has a batch to itself, so that it is not torn into two calls; false if somebody else has it.
async fn lock<DB: Dialect>(connection: &mut DB::Connection, notification: &str) -> sqlx::Result<bool> {
    let select = Statement::<DB>::new("SELECT id FROM notifications WHERE id = ").text(notification);
    Ok(!select.sql(DB::LOCK).fetch(connection).await?.is_empty())
}

pub(super) async fn settle<DB: Dialect>(
    connection: &mut DB::Connection,
    lease: &Lease,
    ids: &[i64],
    settled: &Settled,
) -> sqlx::Result<()> {
    let attempts = settled.attempts.min(i32::MAX.unsigned_abs());
    let update = Statement::<DB>::new("UPDATE outbox").sql(DB::BY_ID);
    let update = update.sql(" SET lease = NULL, leased_until = 0, sending = FALSE, state = ");
    let update = update.number(rows::code(settled.state)).sql(", attempts = ").number(attempts.into());
    let update = update.sql(", due_at = ").number(settled.due_at.0).sql(", last_error = ");
    let update = update.text(settled.last_error.as_deref().map(rows::cut));
    let update = if settled.state == State::Queued { update } else { update.sql(", owed_once = NULL") };
    let update = update.sql(" WHERE id IN ").numbers(ids).sql(" AND lease = ").text(&*lease.token);
    update.execute(connection).await.map(|_| ())
}
