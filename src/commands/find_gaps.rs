//! Finds the stretches of time in which copies may have been lost, and writes them down.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::copy_flow::{ActiveUsers, CopyFlow, Seen, widened};
use super::reconcile::Window;
use crate::domain::ids::Millis;
use crate::domain::silence::{DAYS, HOUR_MS, hour_of, odd_silence_ms};
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
/// Silences shorter than this are never odd, so nothing is asked about them.
const SHORTEST_SILENCE_MS: i64 = 5 * 60_000;
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
    /// The silence that was written down last: since when, and for how many odd lengths.
    silent: Option<(Millis, i64)>,
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
        if let Some(window) = seen.refused {
            remembered.refuse(window, &*self.ids);
        }
        let beat = match self.gaps.beat(now, seen.taken, seen.newest).await {
            Ok(beat) => beat,
            Err(error) => {
                self.flow.give_back(seen);
                return Err(error);
            }
        };
        if let Some(at) = beat.at.filter(|at| now.since(*at) > DOWN_AFTER_MS) {
            self.put(self.ids.fresh(), GapCause::Down, Window { from: at, to: now }).await?;
        }
        if let Some((id, window)) = remembered.refusing.clone() {
            self.put(id, GapCause::Refused, window).await?;
            if now.since(window.to) > QUIET_AFTER_MS {
                remembered.refusing = None;
            }
        }
        self.look_for_silence(remembered, now, beat, seen).await?;
        self.note_active(now).await?;
        self.forget(remembered, now).await
    }

    /// A silence is written down in pieces of the length that is odd, so that a long one is reconciled while it lasts. All
    /// instances name the pieces alike.
    async fn look_for_silence(
        &self,
        remembered: &mut Remembered,
        now: Millis,
        beat: Beat,
        seen: Seen,
    ) -> Result<(), StoreError> {
        let Some(since) = beat.newest else { return Ok(()) };
        let until = seen.newest.unwrap_or(now);
        let silence = until.since(since);
        if silence < SHORTEST_SILENCE_MS {
            return Ok(());
        }
        let hours = self.gaps.hours(hour_of(now) - DAYS * 24 - 1).await?;
        let Some(odd) = odd_silence_ms(&hours, now) else { return Ok(()) };
        let (pieces, ended) = (silence / odd, seen.newest.is_some());
        let written = remembered.silent.filter(|(of, _)| *of == since).map_or(0, |(_, pieces)| pieces);
        if pieces > written || ended && written > 0 {
            let from = since.plus(written * odd);
            let to = if ended { until } else { since.plus(pieces * odd) };
            self.put(format!("silence-{}-{pieces}", since.0), GapCause::Silence, Window { from, to }).await?;
            remembered.silent = Some((since, pieces));
        }
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
    fn refuse(&mut self, window: Window, ids: &dyn Ids) {
        self.refusing = Some(match self.refusing.take() {
            Some((id, before)) => (id, widened(Some(before), window)),
            None => (ids.fresh(), window),
        });
    }
}
