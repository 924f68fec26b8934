//! The outboxes that the contract suite runs on, each as two instances see it: through pools of their own.

use std::ops::Deref;
use std::sync::Arc;

use otc_im::domain::ids::LetterCase;
use otc_im::infra::sql::SqlOutbox;
use otc_im::ports::outbox::{Notifications, Outbox};
use sqlx::{MySqlPool, SqlitePool};

use super::backends;
use super::stores::Folder;

/// Both ports of one store.
pub trait Store: Outbox + Notifications {}

impl<T: Outbox + Notifications> Store for T {}

/// An empty outbox.
pub struct Outboxes {
    /// As one instance has it.
    pub one: Arc<dyn Store>,
    /// As another instance has it.
    pub other: Arc<dyn Store>,
    behind: Behind,
}

enum Behind {
    Sqlite([SqlitePool; 2], Folder),
    MySql([MySqlPool; 2], String),
}

impl Deref for Outboxes {
    type Target = dyn Store;
    fn deref(&self) -> &Self::Target {
        &*self.one
    }
}

/// A new SQLite file.
pub async fn sqlite() -> Outboxes {
    let (pool, folder) = backends::sqlite().await;
    let pools = [pool, backends::sqlite_in(&folder).await];
    let [one, other] = pools.clone().map(|pool| Arc::new(SqlOutbox::new(pool, LetterCase::Distinct)));
    Outboxes { one, other, behind: Behind::Sqlite(pools, folder) }
}

/// A new database on the MySQL or MariaDB server.
pub async fn mysql() -> Outboxes {
    let (pool, name) = backends::mysql().await;
    let pools = [pool, backends::mysql_in(&name).await];
    let [one, other] = pools.clone().map(|pool| Arc::new(SqlOutbox::new(pool, LetterCase::Distinct)));
    Outboxes { one, other, behind: Behind::MySql(pools, name) }
}

impl Outboxes {
    /// The instance whose turn it is.
    pub fn of(&self, turn: usize) -> Arc<dyn Store> {
        if turn.is_multiple_of(2) { self.one.clone() } else { self.other.clone() }
    }

    /// Runs a statement behind the ports' back.
    pub async fn run(&self, sql: &'static str) {
        match &self.behind {
            Behind::Sqlite([pool, _], _) => sqlx::query(sql).execute(pool).await.map(|_| ()),
            Behind::MySql([pool, _], _) => sqlx::query(sql).execute(pool).await.map(|_| ()),
        }
        .unwrap();
    }

    /// Removes the database.
    pub async fn close(self) {
        match self.behind {
            Behind::Sqlite([pool, other], folder) => {
                other.close().await;
                pool.close().await;
                drop(folder);
            }
            Behind::MySql([pool, other], name) => {
                other.close().await;
                backends::drop_mysql(pool, &name).await;
            }
        }
    }
}
