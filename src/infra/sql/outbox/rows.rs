//! How an entry is written in the columns of its row.

use super::dialect::Dialect;
use crate::domain::ids::{Accid, LetterCase, Millis, ServerId, UserId};
use crate::domain::message::MessageRef;
use crate::domain::outbox::State;
use crate::ports::gateway::NoticeContent;
use crate::ports::outbox::{Delivery, EntryId, OutboxEntry, Way};

/// Characters that `last_error` holds.
const MAX_ERROR_CHARS: usize = 500;

/// `batch` of a notice or friendship that has a call to itself.
pub const SINGLE: i64 = 0;
/// `batch` of a notice that shares its call.
pub const BATCH: i64 = 1;
/// `batch` of a read. A version that does not know of this or the next asks for 0 and 1 alone, so it takes neither a read
/// for a friendship nor a team for a user.
pub const READ: i64 = 2;
/// `batch` of a notice to a team.
pub const TEAM: i64 = 3;

/// What of an entry decides how it is to be done.
pub struct StoredNotification {
    pub entry: OutboxEntry,
    pub from: UserId,
    /// `None` for a friendship and for a read.
    pub notification: Option<String>,
    /// Of a read: up to which message.
    pub read: Option<MessageRef>,
    pub batch: i64,
    pub resendable: bool,
    /// Whether another entry of its lane comes first.
    pub blocked: bool,
}

pub fn stored<DB: Dialect>(case: LetterCase, row: &DB::Row) -> sqlx::Result<StoredNotification> {
    Ok(StoredNotification {
        entry: OutboxEntry {
            id: EntryId(number::<DB>(row, "id")?),
            to: user::<DB>(case, row, "to_user")?,
            attempts: attempts::<DB>(row)?,
            accepted_at: Millis(number::<DB>(row, "accepted_at")?),
        },
        from: user::<DB>(case, row, "from_user")?,
        notification: DB::text(row, "notification")?,
        read: read::<DB>(row)?,
        batch: number::<DB>(row, "batch")?,
        resendable: number::<DB>(row, "resendable")? != 0,
        blocked: number::<DB>(row, "blocked")? != 0,
    })
}

fn read<DB: Dialect>(row: &DB::Row) -> sqlx::Result<Option<MessageRef>> {
    if number::<DB>(row, "batch")? != READ {
        return Ok(None);
    }
    let id = ServerId::new(number::<DB>(row, "message_id")?).ok_or_else(|| corrupt_column("message_id"))?;
    let at = Millis(number::<DB>(row, "message_at")?);
    Ok(Some(MessageRef { at, id, client_id: DB::text(row, "message_client_id")? }))
}

pub fn delivery<DB: Dialect>(case: LetterCase, row: &DB::Row) -> sqlx::Result<Delivery> {
    let state = match number::<DB>(row, "state")? {
        0 => State::Queued,
        1 => State::Sent,
        2 => State::Failed,
        3 => State::Unknown,
        _ => return Err(corrupt_column("state")),
    };
    Ok(Delivery {
        to: user::<DB>(case, row, "to_user")?,
        state,
        attempts: attempts::<DB>(row)?,
        last_error: DB::text(row, "last_error")?,
    })
}

pub fn number<DB: Dialect>(row: &DB::Row, column: &str) -> sqlx::Result<i64> {
    DB::number(row, column)?.ok_or_else(|| corrupt_column(column))
}

pub fn text<DB: Dialect>(row: &DB::Row, column: &str) -> sqlx::Result<String> {
    DB::text(row, column)?.ok_or_else(|| corrupt_column(column))
}

fn user<DB: Dialect>(case: LetterCase, row: &DB::Row, column: &str) -> sqlx::Result<UserId> {
    UserId::parse(&text::<DB>(row, column)?, case).map_err(|_| corrupt_column(column))
}

fn attempts<DB: Dialect>(row: &DB::Row) -> sqlx::Result<u32> {
    u32::try_from(number::<DB>(row, "attempts")?).map_err(|_| corrupt_column("attempts"))
}

pub fn corrupt_column(column: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{column} holds what was never written").into())
}

pub fn code(state: State) -> i64 {
    match state {
        State::Queued => 0,
        State::Sent => 1,
        State::Failed => 2,
        State::Unknown => 3,
    }
}

/// No accid has a `+`, so no friendship shares a lane with a recipient.
pub fn lane_of_friends(one: &Accid, other: &Accid) -> String {
    if one <= other { format!("{one}+{other}") } else { format!("{other}+{one}") }
}

/// Nor has one a `>`.
pub fn lane_of_reads(reader: &Accid, peer: &Accid) -> String {
    format!("{reader}>{peer}")
}

/// Nor has one a `#`, so a team whose id is a user's too has a lane of its own.
pub fn lane_of_team(id: &Accid) -> String {
    format!("#{id}")
}

pub fn code_of(way: Way) -> i64 {
    match way {
        Way::Each => SINGLE,
        Way::Batch => BATCH,
        Way::Team => TEAM,
    }
}

pub fn cut(error: &str) -> &str {
    error.char_indices().nth(MAX_ERROR_CHARS).map_or(error, |(end, _)| &error[..end])
}

pub fn json(content: &NoticeContent) -> sqlx::Result<String> {
    serde_json::to_string(content).map_err(|e| sqlx::Error::Encode(e.into()))
}

pub fn content(json: &str) -> sqlx::Result<NoticeContent> {
    serde_json::from_str(json).map_err(|e| sqlx::Error::Decode(e.into()))
}
