//! Tracking: one connection of its own, with `CLIENT TRACKING ON BCAST PREFIX im:`, on which Redis tells which
//! readers change.
//!
//! Why an answer from memory is never older than `staleness`:
//!
//! 1. Redis sends one connection its invalidations and replies in order, and tells of what a turn of its event loop
//!    has changed before that turn ends. Only one heartbeat at a time is under way, and nothing else is sent here, so
//!    the turn that reads it began after it was sent at time S: whatever Redis changed before S was told before the
//!    reply. redis-rs hands invalidations on in that order too, and they are taken in within that call. So once the
//!    heartbeat is answered, memory holds nothing that was changed before S.
//! 2. From memory is answered only while `now − S ≤ staleness`, S being that of the last heartbeat answered. That
//!    does not need the connection to end, or anything to run, when it hangs.
//! 3. What is held was heard of on the same connection from before it was read: a [`TrackingSession`] is one connection and
//!    what was read under it. When that connection ends, so does the session, entries and generations; the next begins
//!    empty, after tracking is on again.
//!
//! After a failover the connection that polls use may lead to another server than this one, which would then tell of
//! the wrong changes. So every heartbeat also asks that connection which server it leads to and which connection it
//! is ([`Endpoint`]): a session begins only with one server behind both, and ends when polls have moved to another.
//! If they have a new connection to the same one, what was read meanwhile may be of a third, and is forgotten. Hence
//! the promise in full: an answer is one that the view without a near cache could have given `staleness` ago, or
//! since. That is all that can be said of a master that does not know it was replaced; one that knows refuses the
//! next write, and `single.rs` leaves it. Durations are those of a monotonic clock, which may stand still while a
//! machine sleeps.

use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures_util::future::join;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, ErrorKind, PushInfo, RedisError, RedisResult};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;

use super::Connection;
use super::address::RedisAddress;
use super::connector::Connector;
use super::counters::NearCounters;
use super::session::TrackingSession;
use super::single::run_id;
use super::timeouts::{CONNECT_TIMEOUT, timed_out};
use crate::infra::changes::ChangeHub;

/// Heartbeats within `staleness`: some may be late before polls notice.
const BEATS: u32 = 5;
/// How long to wait before connecting again: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// How much a near cache may hold, and how old it may be.
#[derive(Debug, Clone, Copy)]
pub struct NearSettings {
    /// Readers that are kept; the least used are forgotten first.
    pub readers: usize,
    /// No answer is older than this, whatever becomes of the connection that tells of changes.
    pub staleness: Duration,
}

/// Keeps a session open whenever Redis allows. Ends when dropped.
pub(super) struct Tracking {
    current: Arc<RwLock<Option<Arc<TrackingSession>>>>,
    staleness: Duration,
    keeper: AbortHandle,
}

impl Drop for Tracking {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Tracking {
    /// Begins to track the server at `address`, which has to be the one behind `polls`. The task that does so ends when
    /// this is dropped, and never by itself.
    pub fn start(
        polls: Connection,
        address: &RedisAddress,
        settings: NearSettings,
        counters: NearCounters,
        changes: ChangeHub,
    ) -> RedisResult<(Self, JoinHandle<()>)> {
        let connector = Connector::for_tracking(address)?;
        let current = Arc::default();
        let keeper = Keeper { connector, polls, settings, counters, changes, current: Arc::clone(&current) };
        let task = tokio::spawn(keeper.run());
        Ok((Self { current, staleness: settings.staleness, keeper: task.abort_handle() }, task))
    }

    /// The session, if polls may be answered from it now.
    pub fn fresh(&self) -> Option<Arc<TrackingSession>> {
        self.current().filter(|session| session.is_fresh(self.staleness))
    }

    /// The session, also one that is suspended or stale and may recover.
    pub fn current(&self) -> Option<Arc<TrackingSession>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A connection and its server. Another connection is another endpoint, also one to the same server, or to one
/// restarted.
#[derive(Debug, PartialEq, Eq)]
struct Endpoint {
    run_id: String,
    client_id: u64,
}

impl Endpoint {
    async fn of(connection: &mut impl ConnectionLike) -> RedisResult<Self> {
        let mut ask = redis::pipe();
        ask.cmd("CLIENT").arg("ID").cmd("INFO").arg("server");
        let (client_id, info): (u64, String) = ask.query_async(connection).await?;
        let run_id =
            run_id(&info).ok_or((ErrorKind::Client, "the server does not say which one it is"))?.to_owned();
        Ok(Self { run_id, client_id })
    }
}

struct Keeper {
    connector: Connector,
    polls: Connection,
    settings: NearSettings,
    counters: NearCounters,
    changes: ChangeHub,
    current: Arc<RwLock<Option<Arc<TrackingSession>>>>,
}

impl Keeper {
    async fn run(mut self) {
        let (mut pause, mut said) = (PAUSES.0, false);
        loop {
            let error = match self.open().await {
                Ok((connection, polls, session)) => {
                    tracing::info!("Redis tells of changes: polls are answered from memory, too");
                    (pause, said) = (PAUSES.0, false);
                    self.keep(connection, polls, &session).await
                }
                Err(error) => error,
            };
            // Once for each time of trouble.
            if !std::mem::replace(&mut said, true) {
                tracing::warn!(%error, "polls are not answered from memory until Redis tells of changes again");
            }
            tokio::time::sleep(pause).await;
            pause = PAUSES.1.min(2 * pause);
        }
    }

    /// Turns tracking on, on a new connection to the server that polls use.
    async fn open(&mut self) -> RedisResult<(MultiplexedConnection, Endpoint, Arc<TrackingSession>)> {
        let session = Arc::new(TrackingSession::new(
            self.settings.readers,
            self.counters.clone(),
            self.changes.clone(),
        ));
        let listener = Arc::clone(&session);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(self.settings.staleness.max(CONNECT_TIMEOUT)))
            .set_push_sender(move |push: PushInfo| {
                listener.on_push(&push);
                Ok::<(), Infallible>(())
            });
        let mut connection = self.connector.connect(&config).await?;
        let mut tracking = redis::cmd("CLIENT");
        tracking.arg("TRACKING").arg("ON").arg("BCAST").arg("PREFIX").arg("im:");
        tracking.query_async::<()>(&mut connection).await?;
        let sent = Instant::now();
        let here = Endpoint::of(&mut connection).await?;
        let polls = Endpoint::of(&mut self.polls).await?;
        if here.run_id != polls.run_id {
            return Err((ErrorKind::Client, "polls go to another server than this one").into());
        }
        session.confirm(sent);
        Ok((connection, polls, session))
    }

    /// Lets polls have the session for as long as heartbeats are answered; says why they no longer are.
    async fn keep(
        &mut self,
        mut connection: MultiplexedConnection,
        mut polls: Endpoint,
        session: &Arc<TrackingSession>,
    ) -> RedisError {
        self.set(Some(Arc::clone(session)));
        let mut beats = tokio::time::interval(self.settings.staleness / BEATS);
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let error = loop {
            beats.tick().await;
            let sent = Instant::now();
            match self.beat(&mut connection).await {
                Err(error) => break error,
                // The connection that they have next may lead to the same server.
                Ok(Err(_)) => session.suspend(),
                Ok(Ok(now)) if now.run_id == polls.run_id => {
                    if now != polls {
                        session.clear();
                        polls = now;
                    }
                    session.confirm(sent);
                }
                Ok(Ok(_)) => break (ErrorKind::Client, "polls go to another server now").into(),
            }
        };
        session.end();
        self.set(None);
        error
    }

    /// Both connections are asked, the tracking one, whose failure is the outer error, and that of polls, which says
    /// where it leads.
    async fn beat(&mut self, connection: &mut MultiplexedConnection) -> RedisResult<RedisResult<Endpoint>> {
        let (ping, patience) = (redis::cmd("PING"), self.settings.staleness);
        let (pong, polls) = join(
            timeout(patience, ping.query_async::<()>(connection)),
            timeout(patience, Endpoint::of(&mut self.polls)),
        )
        .await;
        pong.map_err(|_| timed_out())??;
        Ok(polls.unwrap_or_else(|_| Err(timed_out())))
    }

    fn set(&self, session: Option<Arc<TrackingSession>>) {
        self.counters.active.set(i64::from(session.is_some()));
        let live = session.is_some();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = session;
        self.changes.set_live(live);
    }
}
