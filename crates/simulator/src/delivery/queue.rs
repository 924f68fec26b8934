//! The bounded queue of copies: what goes next, what waits for company to be shuffled with.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Bytes;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::signing::Signature;

/// Copies that may be under way at once, retries and duplicates included.
pub const MOST_COPIES: usize = 100_000;
/// A shuffle window that does not fill is flushed when nothing has come for this long.
const QUIET: Duration = Duration::from_millis(20);

/// One post to make.
pub struct Job {
    /// The raw body; its bytes are what is signed.
    pub body: Bytes,
    /// Attempts made so far.
    pub attempts: u32,
    /// That of the first attempt.
    pub signature: Option<Signature>,
    /// Told true once delivered; dropped if given up.
    pub done: oneshot::Sender<bool>,
}

/// What happened to copies so far, and where the others are.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Waiting for a free place among the posts in flight.
    pub queued: usize,
    /// Being posted now.
    pub in_flight: usize,
    /// Sitting out a delay or the pause before a retry.
    pub parked: usize,
    /// Answered 200 or 500.
    pub delivered: u64,
    /// Posts that had to be repeated.
    pub retried: u64,
    /// Lost on purpose (`dropEvery`, `dropNext`, `dropRate`), or for want of a webhook address.
    pub dropped: u64,
    /// Not delivered after the last attempt.
    pub given_up: u64,
}

/// The settings that decide what may go.
pub struct Pace {
    /// Nothing goes at all.
    pub down: bool,
    /// Posts in flight at once.
    pub concurrency: usize,
    /// Size of the shuffle window; 0 and 1 keep the order.
    pub window: usize,
}

/// What to do now.
pub enum Next {
    /// Post this one.
    Send(Job),
    /// Look again at this time at the latest.
    At(Instant),
    /// Look again when something has changed.
    Wait,
}

/// Waiting copies, oldest first, and the counts.
pub struct Queue {
    waiting: VecDeque<Job>,
    shuffled: VecDeque<Job>,
    last_arrival: Instant,
    in_flight: usize,
    parked: usize,
    /// The counters that only go up.
    pub totals: Counts,
}

impl Queue {
    /// Nothing to do.
    pub fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            shuffled: VecDeque::new(),
            last_arrival: Instant::now(),
            in_flight: 0,
            parked: 0,
            totals: Counts::default(),
        }
    }

    /// Copies under way.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.shuffled.len() + self.parked + self.in_flight
    }

    /// All counts.
    pub fn counts(&self) -> Counts {
        let queued = self.waiting.len() + self.shuffled.len();
        Counts { queued, in_flight: self.in_flight, parked: self.parked, ..self.totals.clone() }
    }

    /// A copy gets in line.
    pub fn push(&mut self, job: Job, now: Instant) {
        self.last_arrival = now;
        self.waiting.push_back(job);
    }

    /// Forgets what waits; those waiting for it learn at once.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.shuffled.clear();
    }

    /// A copy is put aside for a while.
    pub fn park(&mut self) {
        self.parked += 1;
    }

    /// A copy that was put aside gets in line.
    pub fn unpark(&mut self, job: Job, now: Instant) {
        self.parked -= 1;
        self.push(job, now);
    }

    /// A post has ended, well or not.
    pub fn landed(&mut self) {
        self.in_flight -= 1;
    }

    /// Takes what may go now; `shuffle` orders a full (or quiet) window.
    pub fn next(&mut self, pace: &Pace, now: Instant, shuffle: impl FnOnce(&mut [Job])) -> Next {
        if pace.down || self.in_flight >= pace.concurrency {
            return Next::Wait;
        }
        if self.shuffled.is_empty() && !self.waiting.is_empty() {
            let flush_at = self.last_arrival + QUIET;
            if self.waiting.len() < pace.window && now < flush_at {
                return Next::At(flush_at);
            }
            let size = pace.window.clamp(1, self.waiting.len());
            let mut window: Vec<Job> = self.waiting.drain(..size).collect();
            shuffle(&mut window);
            self.shuffled = window.into();
        }
        match self.shuffled.pop_front() {
            Some(job) => {
                self.in_flight += 1;
                Next::Send(job)
            }
            None => Next::Wait,
        }
    }
}
