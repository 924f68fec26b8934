//! Account and friendship rows, on MySQL and SQLite alike: every statement is the same in both dialects.

use async_trait::async_trait;
use sqlx::mysql::MySqlQueryResult;
use sqlx::sqlite::SqliteQueryResult;
use sqlx::{ColumnIndex, Database, Decode, Encode, Executor, IntoArguments, Pool, Row, Type};

use super::{Schema, bounded, duplicate, store_error};
use crate::domain::ids::{Accid, LetterCase, UserId};
use crate::ports::StoreError;
use crate::ports::accounts::{Account, Accounts, Registration};

const STORE: &str = "accounts";

/// What a statement came to; sqlx has no name for it that every database shares.
pub trait Matched {
    /// Whether there was a row for it.
    fn matched(&self) -> bool;
}

impl Matched for MySqlQueryResult {
    fn matched(&self) -> bool {
        self.rows_affected() > 0
    }
}

impl Matched for SqliteQueryResult {
    fn matched(&self) -> bool {
        self.rows_affected() > 0
    }
}

/// Accounts in the database behind a pool.
#[derive(Debug)]
pub struct SqlAccounts<DB: Database> {
    pool: Pool<DB>,
    case: LetterCase,
    schema: Schema,
}

impl<DB: Database> SqlAccounts<DB> {
    /// Accounts behind `pool`, whose schema is up to date, of users whom `case` tells apart.
    pub fn new(pool: Pool<DB>, case: LetterCase) -> Self {
        Self { pool, case, schema: Schema::seen() }
    }

    /// The same, but nothing is asked of the database before its schema is up to date.
    #[must_use]
    pub fn not_before(self, schema: Schema) -> Self {
        Self { schema, ..self }
    }

    async fn bounded<T>(&self, statement: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        bounded(async {
            self.schema.is_up_to_date().await?;
            statement.await
        })
        .await
    }
}

#[async_trait]
impl<DB: Database> Accounts for SqlAccounts<DB>
where
    for<'c> &'c Pool<DB>: Executor<'c, Database = DB>,
    DB::Arguments: IntoArguments<DB>,
    DB::QueryResult: Matched,
    for<'a> &'a str: ColumnIndex<DB::Row> + Encode<'a, DB> + Type<DB>,
    for<'a> Option<&'a str>: Encode<'a, DB> + Type<DB>,
    for<'a> String: Decode<'a, DB> + Type<DB>,
    for<'a> bool: Decode<'a, DB> + Encode<'a, DB> + Type<DB>,
    for<'a> i64: Decode<'a, DB> + Encode<'a, DB> + Type<DB>,
{
    async fn find(&self, accid: &Accid) -> Result<Option<Account>, StoreError> {
        let sql = "SELECT user_id, name, token, registered, foreign_token, confirmed_name FROM accounts
             WHERE accid = ?";
        let row = self.bounded(sqlx::query(sql).bind(accid.as_str()).fetch_optional(&self.pool)).await;
        row.map_err(store_error(STORE))?.map(|row| account::<DB>(self.case, accid, &row)).transpose()
    }

    async fn insert_or_get(&self, account: &Account) -> Result<Account, StoreError> {
        let sql = "INSERT INTO accounts (accid, user_id, name, token) VALUES (?, ?, ?, ?)";
        let inserted = self
            .bounded(
                sqlx::query(sql)
                    .bind(account.accid.as_str())
                    .bind(account.user.as_str())
                    .bind(account.name.as_deref())
                    .bind(&*account.token)
                    .execute(&self.pool),
            )
            .await;
        // A plain insert and its refusal: an upsert's row count does not tell new from old on every server.
        inserted.map(|_| ()).or_else(duplicate).map_err(store_error(STORE))?;
        // A server that lags behind the one that took the row does not have it yet.
        let gone = || StoreError::unavailable(STORE, "an account that was just made cannot be seen");
        self.find(&account.accid).await?.ok_or_else(gone)
    }

    async fn confirm(&self, accid: &Accid, token: &str, name: Option<&str>) -> Result<bool, StoreError> {
        let sql = "UPDATE accounts SET registered = TRUE, foreign_token = FALSE, confirmed_name = ?
             WHERE accid = ? AND token = ?";
        let update = sqlx::query(sql).bind(name).bind(accid.as_str()).bind(token);
        let updated = self.bounded(update.execute(&self.pool)).await.map_err(store_error(STORE))?;
        Ok(updated.matched())
    }

    async fn mark_foreign(&self, accid: &Accid, token: &str) -> Result<bool, StoreError> {
        let sql =
            "UPDATE accounts SET foreign_token = TRUE WHERE accid = ? AND token = ? AND registered = FALSE";
        let update = sqlx::query(sql).bind(accid.as_str()).bind(token);
        let updated = self.bounded(update.execute(&self.pool)).await.map_err(store_error(STORE))?;
        Ok(updated.matched())
    }

    async fn rename(&self, accid: &Accid, name: &str) -> Result<(), StoreError> {
        let sql = "UPDATE accounts SET name = ? WHERE accid = ?";
        let updated =
            self.bounded(sqlx::query(sql).bind(name).bind(accid.as_str()).execute(&self.pool)).await;
        updated.map(|_| ()).map_err(store_error(STORE))
    }

    async fn replace_token(&self, accid: &Accid, token: &str) -> Result<(), StoreError> {
        let sql = "UPDATE accounts SET token = ?, registered = FALSE WHERE accid = ?";
        let updated =
            self.bounded(sqlx::query(sql).bind(token).bind(accid.as_str()).execute(&self.pool)).await;
        updated.map(|_| ()).map_err(store_error(STORE))
    }

    async fn forget_confirmation(&self, accid: &Accid) -> Result<(), StoreError> {
        // Friendships first: if it ends in between, the account still shows that something is left to do.
        let friends = "DELETE FROM friendships WHERE accid_a = ? OR accid_b = ?";
        let friends = sqlx::query(friends).bind(accid.as_str()).bind(accid.as_str());
        self.bounded(friends.execute(&self.pool)).await.map_err(store_error(STORE))?;
        let account = "UPDATE accounts SET registered = FALSE, foreign_token = FALSE, confirmed_name = NULL
             WHERE accid = ?";
        let updated = self.bounded(sqlx::query(account).bind(accid.as_str()).execute(&self.pool)).await;
        updated.map(|_| ()).map_err(store_error(STORE))
    }

    async fn release(&self, accid: &Accid) -> Result<bool, StoreError> {
        // Friendships first: if it ends in between, the account is still there to be released again.
        let friends = "DELETE FROM friendships WHERE accid_a = ? OR accid_b = ?";
        let friends = sqlx::query(friends).bind(accid.as_str()).bind(accid.as_str());
        self.bounded(friends.execute(&self.pool)).await.map_err(store_error(STORE))?;
        let account = sqlx::query("DELETE FROM accounts WHERE accid = ?").bind(accid.as_str());
        let deleted = self.bounded(account.execute(&self.pool)).await.map_err(store_error(STORE))?;
        Ok(deleted.matched())
    }

    async fn page(&self, after: Option<&Accid>, limit: u32) -> Result<Vec<Account>, StoreError> {
        let sql =
            "SELECT accid, user_id, name, token, registered, foreign_token, confirmed_name FROM accounts
             WHERE accid > ? ORDER BY accid LIMIT ?";
        let rows = sqlx::query(sql).bind(after.map_or("", Accid::as_str)).bind(i64::from(limit));
        let rows = self.bounded(rows.fetch_all(&self.pool)).await.map_err(store_error(STORE))?;
        let one = |row: &DB::Row| {
            let accid: String = row.try_get("accid").map_err(store_error(STORE))?;
            let odd = |e| StoreError::Corrupt { store: STORE, what: format!("the accid {accid} {e}") };
            account::<DB>(self.case, &Accid::from_nim(&accid).map_err(odd)?, row)
        };
        rows.iter().map(one).collect()
    }

    async fn count(&self, after: Option<&Accid>) -> Result<u64, StoreError> {
        let sql = "SELECT COUNT(*) AS accounts FROM accounts WHERE accid > ?";
        let count = sqlx::query(sql).bind(after.map_or("", Accid::as_str)).fetch_one(&self.pool);
        let row = self.bounded(count).await.map_err(store_error(STORE))?;
        row.try_get::<i64, _>("accounts").map(i64::unsigned_abs).map_err(store_error(STORE))
    }

    async fn are_friends(&self, one: &Accid, other: &Accid) -> Result<bool, StoreError> {
        let sql = "SELECT accid_a FROM friendships WHERE accid_a = ? AND accid_b = ?";
        let (a, b) = sorted(one, other);
        let row = self.bounded(sqlx::query(sql).bind(a).bind(b).fetch_optional(&self.pool)).await;
        row.map(|row| row.is_some()).map_err(store_error(STORE))
    }

    async fn remember_friends(&self, one: &Accid, other: &Accid) -> Result<(), StoreError> {
        let sql = "INSERT INTO friendships (accid_a, accid_b) VALUES (?, ?)";
        let (a, b) = sorted(one, other);
        let inserted = self.bounded(sqlx::query(sql).bind(a).bind(b).execute(&self.pool)).await;
        inserted.map(|_| ()).or_else(duplicate).map_err(store_error(STORE))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let answered = self.bounded(sqlx::query("SELECT 1").fetch_optional(&self.pool)).await;
        answered.map(|_| ()).map_err(store_error(STORE))
    }
}

fn sorted<'a>(one: &'a Accid, other: &'a Accid) -> (&'a str, &'a str) {
    if one <= other { (one.as_str(), other.as_str()) } else { (other.as_str(), one.as_str()) }
}

fn account<DB: Database>(case: LetterCase, accid: &Accid, row: &DB::Row) -> Result<Account, StoreError>
where
    for<'a> &'a str: ColumnIndex<DB::Row>,
    for<'a> String: Decode<'a, DB> + Type<DB>,
    for<'a> bool: Decode<'a, DB> + Type<DB>,
{
    let user: String = row.try_get("user_id").map_err(store_error(STORE))?;
    let odd = |e| StoreError::Corrupt { store: STORE, what: format!("the user id of accid {accid} {e}") };
    let registered: bool = row.try_get("registered").map_err(store_error(STORE))?;
    let foreign: bool = row.try_get("foreign_token").map_err(store_error(STORE))?;
    Ok(Account {
        accid: accid.clone(),
        user: UserId::parse(&user, case).map_err(odd)?,
        name: row.try_get("name").map_err(store_error(STORE))?,
        token: row.try_get("token").map_err(store_error(STORE))?,
        registration: match (registered, foreign) {
            (true, _) => Registration::Confirmed,
            (false, true) => Registration::ForeignToken,
            (false, false) => Registration::Unconfirmed,
        },
        confirmed_name: row.try_get("confirmed_name").map_err(store_error(STORE))?,
    })
}
