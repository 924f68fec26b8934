//! Whether the schema behind a pool is up to date, for a service that may start before its database.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use sqlx::{Error, MySqlPool};
use tokio::sync::Mutex;

use super::migrate::{MYSQL, applied, up_to_date};
use crate::log_gate::LogGate;

static BEHIND: LogGate = LogGate::new();

/// The schema behind a pool: known to be up to date, or looked at until it is.
#[derive(Debug, Clone, Default)]
pub struct Schema(Option<Arc<Unseen>>);

#[derive(Debug)]
struct Unseen {
    pool: MySqlPool,
    up_to_date: AtomicBool,
    /// When somebody looked last in vain, and what came of it. Held while somebody looks.
    last: Mutex<Option<(Instant, String)>>,
}

impl Schema {
    /// It has been seen to be up to date.
    pub fn seen() -> Self {
        Self(None)
    }

    /// It has not been seen yet: the first statement looks, and none is made before it is up to date.
    pub fn unseen(pool: MySqlPool) -> Self {
        let (up_to_date, last) = (AtomicBool::new(false), Mutex::default());
        Self(Some(Arc::new(Unseen { pool, up_to_date, last })))
    }

    /// An error unless it is up to date. Those who ask while somebody looks are told what came of that look.
    pub(super) async fn is_up_to_date(&self) -> sqlx::Result<()> {
        match &self.0 {
            Some(unseen) if !unseen.up_to_date.load(Ordering::Acquire) => unseen.look(Instant::now()).await,
            _ => Ok(()),
        }
    }
}

impl Unseen {
    async fn look(&self, asked_at: Instant) -> sqlx::Result<()> {
        let mut last = self.last.lock().await;
        if self.up_to_date.load(Ordering::Acquire) {
            return Ok(());
        }
        if let Some((at, why)) = &*last
            && *at >= asked_at
        {
            return Err(Error::Io(io::Error::other(why.clone())));
        }
        let outcome = match applied(&self.pool).await {
            Ok(applied) if up_to_date(&MYSQL, &applied) => Ok(()),
            Ok(_) => Err(behind()),
            Err(error) => Err(error),
        };
        match &outcome {
            Ok(()) => {
                tracing::info!("the accounts' database is there, and its schema is up to date");
                self.up_to_date.store(true, Ordering::Release);
            }
            Err(error) => *last = Some((Instant::now(), error.to_string())),
        }
        outcome
    }
}

fn behind() -> Error {
    if let Some(count) = BEHIND.pass() {
        tracing::error!(count, "the schema of the accounts' database is not up to date: run otc-im migrate");
    }
    Error::Io(io::Error::other("its schema is not up to date: run `otc-im migrate`"))
}
