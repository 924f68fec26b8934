//! Statements in both dialects, and the little that MySQL and SQLite do not have in common.

use std::fmt::Display;

use sqlx::mysql::MySqlRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Database, MySql, MySqlConnection, QueryBuilder, Row, Sqlite, SqliteConnection};

/// Numbers in one `IN` list, and rows in one `INSERT`: far below what either database takes as arguments.
pub const CHUNK: usize = 500;

/// A database that the outbox can live in.
pub trait Dialect: Database {
    /// Begins a transaction that may write.
    const BEGIN: &'static str;
    /// Behind a table's name: rows are to be found by their primary key. MySQL prefers other indexes of a small
    /// table, and would then lock rows that nobody asked for.
    const BY_ID: &'static str;
    /// Locks what a select finds, except for what another transaction has locked.
    const LOCK: &'static str;
    /// Whether there is one writer at a time, so that others had better queue.
    const ONE_WRITER: bool;

    /// Adds a number as an argument.
    fn bind_number(sql: &mut QueryBuilder<Self>, value: i64);
    /// Adds a text as an argument.
    fn bind_text(sql: &mut QueryBuilder<Self>, value: Option<&str>);
    /// Rows that a statement has matched.
    fn execute(
        connection: &mut Self::Connection,
        sql: QueryBuilder<Self>,
        kept: bool,
    ) -> impl Future<Output = sqlx::Result<u64>> + Send;
    /// Rows that a statement answers.
    fn fetch(
        connection: &mut Self::Connection,
        sql: QueryBuilder<Self>,
        kept: bool,
    ) -> impl Future<Output = sqlx::Result<Vec<Self::Row>>> + Send;
    /// A number of an answer.
    fn number(row: &Self::Row, column: &str) -> sqlx::Result<Option<i64>>;
    /// A text of an answer.
    fn text(row: &Self::Row, column: &str) -> sqlx::Result<Option<String>>;
}

/// sqlx can do this for any database, but only under bounds that every user of the trait would have to repeat.
macro_rules! as_sqlx_does {
    ($connection:ty, $row:ty) => {
        fn bind_number(sql: &mut QueryBuilder<Self>, value: i64) {
            sql.push_bind(value);
        }

        fn bind_text(sql: &mut QueryBuilder<Self>, value: Option<&str>) {
            sql.push_bind(value);
        }

        async fn execute(
            connection: &mut $connection,
            mut sql: QueryBuilder<Self>,
            kept: bool,
        ) -> sqlx::Result<u64> {
            Ok(sql.build().persistent(kept).execute(connection).await?.rows_affected())
        }

        async fn fetch(
            connection: &mut $connection,
            mut sql: QueryBuilder<Self>,
            kept: bool,
        ) -> sqlx::Result<Vec<$row>> {
            sql.build().persistent(kept).fetch_all(connection).await
        }

        fn number(row: &$row, column: &str) -> sqlx::Result<Option<i64>> {
            row.try_get(column)
        }

        fn text(row: &$row, column: &str) -> sqlx::Result<Option<String>> {
            row.try_get(column)
        }
    };
}

impl Dialect for MySql {
    /// No gaps are locked at this level: nobody who adds rows waits for one who claims some.
    const BEGIN: &'static str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION";
    const BY_ID: &'static str = " FORCE INDEX (PRIMARY)";
    const LOCK: &'static str = " FOR UPDATE SKIP LOCKED";
    const ONE_WRITER: bool = false;

    as_sqlx_does!(MySqlConnection, MySqlRow);
}

impl Dialect for Sqlite {
    const BEGIN: &'static str = "BEGIN IMMEDIATE";
    const BY_ID: &'static str = "";
    const LOCK: &'static str = "";
    const ONE_WRITER: bool = true;

    as_sqlx_does!(SqliteConnection, SqliteRow);
}

/// A statement with its arguments, as it is put together.
pub struct Statement<DB: Dialect> {
    sql: QueryBuilder<DB>,
    /// Whether the connection had better keep it prepared: not if its text is different each time.
    kept: bool,
}

impl<DB: Dialect> Statement<DB> {
    pub fn new(sql: &'static str) -> Self {
        Self { sql: QueryBuilder::new(sql), kept: true }
    }

    pub fn sql(mut self, sql: impl Display) -> Self {
        self.sql.push(sql);
        self
    }

    pub fn number(mut self, value: i64) -> Self {
        DB::bind_number(&mut self.sql, value);
        self
    }

    pub fn text<'a>(mut self, value: impl Into<Option<&'a str>>) -> Self {
        DB::bind_text(&mut self.sql, value.into());
        self
    }

    /// A list of numbers, at least one, in brackets.
    pub fn numbers(self, values: &[i64]) -> Self {
        self.listed(values, |statement, value| statement.number(*value))
    }

    /// A list of texts, at least one, in brackets.
    pub fn texts(self, values: &[String]) -> Self {
        self.listed(values, |statement, value| statement.text(value.as_str()))
    }

    fn listed<T>(self, values: &[T], add: impl Fn(Self, &T) -> Self) -> Self {
        self.sql("(").separated(values, |statement, value| add(statement, value)).sql(")")
    }

    /// One piece for each value, with commas between.
    pub fn separated<T>(mut self, values: &[T], add: impl Fn(Self, &T) -> Self) -> Self {
        self.kept &= values.len() == 1;
        for (at, value) in values.iter().enumerate() {
            self = add(if at == 0 { self } else { self.sql(", ") }, value);
        }
        self
    }

    /// Runs it; answers how many rows it has matched.
    pub async fn execute(self, connection: &mut DB::Connection) -> sqlx::Result<u64> {
        DB::execute(connection, self.sql, self.kept).await
    }

    /// Runs it; answers the rows.
    pub async fn fetch(self, connection: &mut DB::Connection) -> sqlx::Result<Vec<DB::Row>> {
        DB::fetch(connection, self.sql, self.kept).await
    }
}
