//! Keeps to NetEase's quota of one API on our side, so that NetEase never has to (416 closes the API for everybody).
//!
//! An API has N slots, N being its quota in one window. A call takes a slot before it is sent, and the slot can be
//! taken again one window after the call has **ended**. A call reaches NetEase somewhere between its sending and its
//! end, so two calls of one slot reach it at least a window apart, and no window of that length sees more than N,
//! however the network bunches them. A token bucket cannot promise that: it spaces what is sent, not what arrives.
//! (Of a call that was given up, the end is when we gave up; bytes that are under way even then are beyond us.)
//!
//! Calls that nobody waits for may be held to a part of the slots. Waiting is bounded in time and in number.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::ports::gateway::GatewayError;

/// Who asks for a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Somebody waits for the answer.
    Person,
    /// Nobody does: backlog, notices.
    Background,
}

/// What NetEase allows of one API, and how long we wait for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// Calls per window, at least 1.
    pub calls: usize,
    /// Those of them that background calls may hold, at least 1.
    pub background_calls: usize,
    /// The length of the window.
    pub window: Duration,
    /// How long NetEase closes the API once there were more.
    pub pause: Duration,
    /// How long background calls find no slot in a new process: the one before it may have called a moment ago.
    pub start_up: Duration,
    /// How long a person's call waits for a slot.
    pub person_patience: Duration,
    /// How long a background call waits for a slot.
    pub background_patience: Duration,
}

/// The quota of one API.
pub(super) struct Quota {
    api: &'static str,
    limit: Limit,
    all: Slots,
    /// A background call takes one of these besides: they are fewer.
    background: Slots,
    persons_line: Semaphore,
    background_line: Semaphore,
    /// NetEase takes no call until then.
    closed_until: watch::Sender<Option<Instant>>,
}

impl Quota {
    /// All slots are free; background calls get theirs in a moment.
    pub fn new(api: &'static str, limit: Limit) -> Self {
        let (background, now) = (limit.background_calls, Instant::now());
        Self {
            api,
            limit,
            all: Slots::new(limit.calls, now),
            background: Slots::new(background, now + limit.start_up),
            persons_line: line(limit.calls, limit.window, limit.person_patience),
            background_line: line(background, limit.window, limit.background_patience),
            closed_until: watch::Sender::new(None),
        }
    }

    /// A slot, in the order of asking, after [`Limit::person_patience`] or [`Limit::background_patience`] at most.
    ///
    /// [`GatewayError::Busy`] if there is none in that time or too many wait already; and as soon as the API is
    /// closed, even while waiting.
    pub async fn slot(&self, urgency: Urgency) -> Result<Slot<'_>, GatewayError> {
        // Before the look at what it watches, so that no closing falls between the two.
        let mut closing = self.closed_until.subscribe();
        if let Some(left) = self.closed_for() {
            return Err(self.busy(left));
        }
        let (line, patience) = match urgency {
            Urgency::Person => (&self.persons_line, self.limit.person_patience),
            Urgency::Background => (&self.background_line, self.limit.background_patience),
        };
        let Ok(_place) = line.try_acquire() else { return Err(self.busy(self.limit.window)) };
        tokio::select! {
            biased;
            _ = closing.changed() => Err(self.busy(self.closed_for().unwrap_or_default())),
            taken = self.take(urgency, Instant::now() + patience) => taken,
        }
    }

    /// NetEase answered 416: nobody gets a slot for its pause.
    pub fn close(&self) {
        let was_open = self.closed_for().is_none();
        self.closed_until.send_replace(Some(Instant::now() + self.limit.pause));
        if was_open {
            let (api, pause_s) = (self.api, self.limit.pause.as_secs());
            tracing::warn!(
                api,
                pause_s,
                "NetEase has closed this call for a while: it sees more calls than its quota; \
                check netease.calls_per_second, netease.batch_calls_per_minute and netease.instances"
            );
        }
    }

    async fn take(&self, urgency: Urgency, deadline: Instant) -> Result<Slot<'_>, GatewayError> {
        let late = |free_from: Option<Instant>| {
            // Not known: then all slots are with calls, and one that ends now is free after a window.
            self.busy(free_from.map_or(self.limit.window, |at| at.saturating_duration_since(Instant::now())))
        };
        let background = match urgency {
            Urgency::Person => None,
            Urgency::Background => Some(self.background.take(deadline).await.map_err(late)?),
        };
        let any = self.all.take(deadline).await.map_err(late)?;
        Ok(Slot { any, background, window: self.limit.window, is_sent: false })
    }

    fn closed_for(&self) -> Option<Duration> {
        let left = self.closed_until.borrow().map(|until| until.saturating_duration_since(Instant::now()));
        left.filter(|left| !left.is_zero())
    }

    fn busy(&self, again_in: Duration) -> GatewayError {
        GatewayError::Busy { api: self.api, again_in }
    }
}

/// Room for as many as can be served within `patience`: those of now, and those of each window that ends by then.
fn line(calls: usize, window: Duration, patience: Duration) -> Semaphore {
    let windows = usize::try_from(patience.as_millis() / window.as_millis().max(1)).unwrap_or(usize::MAX);
    Semaphore::new(calls.saturating_mul(windows.saturating_add(1)).min(Semaphore::MAX_PERMITS))
}

/// A right to one call. Dropped, it is free again: at once if nothing was sent, else a window from then on.
pub(super) struct Slot<'a> {
    any: Reserved<'a>,
    background: Option<Reserved<'a>>,
    window: Duration,
    is_sent: bool,
}

impl Slot<'_> {
    /// To be said before the first byte may go out.
    pub fn sending(&mut self) {
        self.is_sent = true;
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if self.is_sent {
            let free_from = Instant::now() + self.window;
            self.any.free_from = free_from;
            self.background.iter_mut().for_each(|taken| taken.free_from = free_from);
        }
    }
}

/// Slots, each with the moment from which it may be used.
struct Slots {
    /// Those that nobody has taken. tokio's semaphore serves in the order of asking.
    untaken: Semaphore,
    /// When each of them may be used, the soonest first. At least as many as `untaken` has permits.
    free_from: Mutex<BinaryHeap<Reverse<Instant>>>,
}

impl Slots {
    fn new(count: usize, from: Instant) -> Self {
        let free_from = std::iter::repeat_n(Reverse(from), count).collect();
        Self { untaken: Semaphore::new(count), free_from: Mutex::new(free_from) }
    }

    /// The slot that may be used soonest, once it may be used. If that is after `deadline`, answers when, if it is
    /// known, as soon as that is plain.
    async fn take(&self, deadline: Instant) -> Result<Reserved<'_>, Option<Instant>> {
        let Ok(Ok(permit)) = timeout_at(deadline, self.untaken.acquire()).await else { return Err(None) };
        let soonest = self.free_from().pop();
        let free_from = soonest.map_or_else(Instant::now, |Reverse(at)| at);
        // From here on, it goes back if this future is dropped.
        let taken = Reserved { slots: self, free_from, _permit: permit };
        if free_from > deadline {
            return Err(Some(free_from));
        }
        if free_from > Instant::now() {
            sleep_until(free_from).await;
        }
        Ok(taken)
    }

    fn free_from(&self) -> MutexGuard<'_, BinaryHeap<Reverse<Instant>>> {
        self.free_from.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot that is somebody's until this is dropped.
struct Reserved<'a> {
    slots: &'a Slots,
    free_from: Instant,
    /// Given back after the moment is: a struct's fields are dropped after it.
    _permit: SemaphorePermit<'a>,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.slots.free_from().push(Reverse(self.free_from));
    }
}

#[cfg(test)]
mod tests;
