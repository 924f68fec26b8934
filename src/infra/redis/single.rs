//! The shared connection to one Redis server, left behind also where redis-rs would stay with it.
//!
//! redis-rs connects again when a connection ends. One that stays up and never answers, and one to a master that has
//! become a replica, do not end: here a time-out and a refusal to write bring a new connection too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};

/// A connection younger than this is kept, whatever it answers: a server in trouble is not to drown in new ones.
const LEAST_AGE: Duration = Duration::from_millis(250);

/// One server behind one URL. Clones share the connection.
#[derive(Clone)]
pub struct Single(Arc<Shared>);

struct Shared {
    client: Client,
    config: ConnectionManagerConfig,
    current: Mutex<Current>,
}

#[derive(Clone)]
struct Current {
    manager: ConnectionManager,
    /// Tells this connection from those before it.
    since: Instant,
}

impl Single {
    /// Connects.
    pub async fn open(client: Client, config: ConnectionManagerConfig) -> RedisResult<Self> {
        let manager = ConnectionManager::new_with_config(client.clone(), config.clone()).await?;
        let current = Mutex::new(Current { manager, since: Instant::now() });
        Ok(Self(Arc::new(Shared { client, config, current })))
    }

    /// Sends one command.
    pub async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let mut used = self.current().clone();
        let outcome = match used.manager.send_packed_command(command).await {
            Ok(Value::ServerError(refusal)) => Err(refusal.into()),
            other => other,
        };
        if let Err(error) = &outcome {
            self.judge(&used, error)?;
        }
        outcome
    }

    /// Sends a pipeline.
    pub async fn send_all(
        &self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let mut used = self.current().clone();
        let outcome = used.manager.send_packed_commands(pipeline, offset, count).await;
        let refused = outcome.iter().flatten().find_map(|answer| match answer {
            Value::ServerError(refusal) => Some(RedisError::from(refusal.clone())),
            _ => None,
        });
        if let Some(refusal) = outcome.as_ref().err().or(refused.as_ref()) {
            self.judge(&used, refusal)?;
        }
        outcome
    }

    /// The number of the database.
    pub fn db(&self) -> i64 {
        self.current().manager.get_db()
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves the connection if such an answer says that it will not get better; later commands go to a new one.
    fn judge(&self, used: &Current, error: &RedisError) -> RedisResult<()> {
        if is_hopeless(error) && used.since.elapsed() >= LEAST_AGE {
            let mut current = self.current();
            // The first of many commands that failed together has done it already.
            if current.since == used.since {
                let Shared { client, config, .. } = &*self.0;
                // Lazy: the next command connects.
                let manager = ConnectionManager::new_lazy_with_config(client.clone(), config.clone())?;
                *current = Current { manager, since: Instant::now() };
                tracing::warn!(%error, "leaving the connection to Redis for a new one");
            }
        }
        Ok(())
    }
}

fn is_hopeless(error: &RedisError) -> bool {
    let refused = [ServerErrorKind::ReadOnly, ServerErrorKind::MasterDown].map(ErrorKind::Server);
    error.is_timeout() || refused.contains(&error.kind())
}
