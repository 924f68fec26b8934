//! Finds the stretches of time in which copies may have been lost, and writes them down.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::copy_flow::{ActiveUsers, CopyFlow, Seen, widened};
use super::reconcile::Window;
use crate::domain::ids::Millis;
use crate::domain::silence::{DAYS, HOUR_MS, SHORTEST_MS, hour_of, odd_silence_ms};
use crate::log_gate::LogGate;
use crate::ports::StoreError;
use crate::ports::clock::{Clock, Ids};
use crate::ports::gaps::{Beat, Gap, GapCause, Gaps};

/// How often an instance says that it takes copies.
const EVERY: Duration = Duration::from_secs(5);
/// So long after the last such word nobody took any.
const DOWN_AFTER_MS: i64 = 60_000;
/// So long after the last refused copy the next one begins another gap.
const QUIET_AFTER_MS: i64 = 60_000;
/// Active users that are written down in one step.
const USERS_AT_ONCE: usize = 1_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The day of a time, counted from 1970.
pub fn day_of(at: Millis) -> i64 {
    at.0.div_euclid(DAY_MS)
}

/// What finding gaps needs.
pub struct GapFinder {
    /// Where they are written down.
    pub gaps: Arc<dyn Gaps>,
    /// What this instance sees.
    pub flow: Arc<CopyFlow>,
    /// Who polls and chats here.
    pub active: Arc<ActiveUsers>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Names gaps.
    pub ids: Arc<dyn Ids>,
}

/// What one instance remembers between two looks.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Copies that are refused now, and the gap of that.
    refusing: Option<(String, Window)>,
    /// The silence that is being written down: since when, and up to when.
    silent: Option<(Millis, Millis)>,
    /// The day on which old days were forgotten.
    forgotten_on: Option<i64>,
}

impl GapFinder {
    /// Looks every few seconds, and once more when it is to stop.
    pub async fn run(self, stop: CancellationToken) {
        let (mut remembered, mut ticks) = (Remembered::default(), tokio::time::interval(EVERY));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.look_and_tell(&mut remembered).await;
        }
        self.look_and_tell(&mut remembered).await;
    }

    async fn look_and_tell(&self, remembered: &mut Remembered) {
        static FAILED: LogGate = LogGate::new();
        if let Err(error) = self.look(remembered).await
            && let Some(count) = FAILED.pass()
        {
            let source = error.cause();
            tracing::warn!(count, %error, source, "the flow of copies could not be written down; trying again");
        }
    }

    /// Writes down what was seen since the last look, and every gap that shows by it.
    pub async fn look(&self, remembered: &mut Remembered) -> Result<(), StoreError> {
        let now = self.clock.now();
        let seen = self.flow.take();
        let found = async {
            let last = self.gaps.last_beat().await?;
            self.find(remembered, now, last, seen).await?;
            // Behind the gaps: it hides what they were found by.
            self.gaps.beat(now, seen.taken, seen.newest).await
        };
        if let Err(error) = found.await {
            self.flow.give_back(seen);
            return Err(error);
        }
        self.note_active(now).await?;
        self.forget(remembered, now).await
    }

    /// Writes the gaps down. To do it twice is the same as once: instances that find one at the same time name it alike.
    async fn find(
        &self,
        remembered: &mut Remembered,
        now: Millis,
        last: Beat,
        seen: Seen,
    ) -> Result<(), StoreError> {
        if let Some(at) = last.at.filter(|at| now.since(*at) > DOWN_AFTER_MS) {
            self.put(format!("down-{}", at.0), GapCause::Down, Window { from: at, to: now }).await?;
        }
        if let Some(window) = seen.refused {
            let (id, window) = remembered.refuse(window, &*self.ids);
            self.put(id, GapCause::Refused, window).await?;
        }
        remembered.refusing.take_if(|(_, window)| now.since(window.to) > QUIET_AFTER_MS);
        self.find_silence(remembered, now, last, seen).await
    }

    /// A silence is written down in pieces, so that a long one is reconciled while it lasts.
    async fn find_silence(
        &self,
        remembered: &mut Remembered,
        now: Millis,
        last: Beat,
        seen: Seen,
    ) -> Result<(), StoreError> {
        let Some(since) = last.newest else { return Ok(()) };
        let until = seen.newest.unwrap_or(now);
        let written = remembered.silent.filter(|(of, _)| *of == since).map(|(_, written)| written);
        let from = written.unwrap_or(since);
        // What ends a silence of which a part is written down belongs to it, however short.
        let ends = written.is_some() && seen.newest.is_some();
        if !ends && until.since(from) < SHORTEST_MS {
            return Ok(());
        }
        if !ends {
            let hours = self.gaps.hours(hour_of(now) - DAYS * 24 - 1).await?;
            if odd_silence_ms(&hours, now).is_none_or(|odd| until.since(from) < odd) {
                return Ok(());
            }
        }
        let id = format!("silence-{}-{}", since.0, from.0);
        self.put(id, GapCause::Silence, Window { from, to: until }).await?;
        remembered.silent = Some((since, until));
        Ok(())
    }

    async fn put(&self, id: String, cause: GapCause, Window { from, to }: Window) -> Result<(), StoreError> {
        self.gaps.put(&Gap { id, cause, from, to }).await
    }

    async fn note_active(&self, now: Millis) -> Result<(), StoreError> {
        loop {
            let users = self.active.take(USERS_AT_ONCE);
            if users.is_empty() {
                return Ok(());
            }
            if let Err(error) = self.gaps.note_active(&users, day_of(now)).await {
                self.active.give_back(users);
                return Err(error);
            }
        }
    }

    async fn forget(&self, remembered: &mut Remembered, now: Millis) -> Result<(), StoreError> {
        let today = day_of(now);
        if remembered.forgotten_on != Some(today) {
            self.gaps.forget_flow(today - DAYS - 1).await?;
            remembered.forgotten_on = Some(today);
        }
        Ok(())
    }
}

impl Remembered {
    fn refuse(&mut self, window: Window, ids: &dyn Ids) -> (String, Window) {
        let refusing = match self.refusing.take() {
            Some((id, before)) => (id, widened(Some(before), window)),
            None => (ids.fresh(), window),
        };
        self.refusing.insert(refusing).clone()
    }
}
