//! One trial: a fleet at load, faults from outside, and the reckoning at the end.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::task::JoinSet;

use super::chance::Chance;
use super::driver::{Load, lock};
use super::fleet::Fleet;
use super::truth::Log;
use super::{seed, times, within};

/// How long everything may take to be right again after a fault.
const RECOVERY: Duration = Duration::from_secs(20);
/// `limits.poll_timeout`, and something for the machine.
const SLOWEST_POLL: Duration = Duration::from_millis(3_000 + 700);
/// NetEase waits no longer for the answer to a copy.
const SLOWEST_COPY: Duration = Duration::from_secs(5);

/// A fleet at load.
pub struct Trial {
    /// The instances.
    pub fleet: Fleet,
    /// What they suffer.
    pub load: Arc<Load>,
    /// Decides the schedule.
    pub chance: Chance,
    name: &'static str,
    tasks: JoinSet<()>,
    faults: u32,
    longest: Duration,
}

impl Trial {
    /// Begins to load the fleet.
    pub async fn start(name: &'static str, fleet: Fleet) -> Self {
        Self::start_as(name, fleet, false).await
    }

    /// Begins to load the fleet; every copy goes to all instances at once.
    pub async fn start_on_all(name: &'static str, fleet: Fleet) -> Self {
        Self::start_as(name, fleet, true).await
    }

    async fn start_as(name: &'static str, fleet: Fleet, all: bool) -> Self {
        let chance = Chance::new(seed());
        let load = Load::new(fleet.bases(), all);
        let tasks = load.start(&chance);
        let mut trial = Self { fleet, load, chance, name, tasks, faults: 0, longest: Duration::ZERO };
        trial.recovered().await;
        trial.longest = Duration::ZERO;
        trial
    }

    /// How many rounds to go, when `usual` of them are usual.
    pub fn rounds(usual: u32) -> u32 {
        usual * times()
    }

    /// Lets the load go on for a time between these, in milliseconds.
    pub async fn go_on(&mut self, from: u64, to: u64) {
        let time = self.chance.millis(from, to);
        tokio::time::sleep(time).await;
    }

    /// One more fault has just ended: waits until every instance takes copies again and answers all polls rightly.
    pub async fn recovered(&mut self) {
        self.faults += 1;
        let (since, load) = (Instant::now(), Arc::clone(&self.load));
        let right = within(RECOVERY, "all is right again", async || load.all_right_since(since));
        match AssertUnwindSafe(right).catch_unwind().await {
            Ok(took) => self.longest = self.longest.max(took),
            Err(_) => self.give_up("all is not right again after a fault"),
        }
    }

    fn give_up(&mut self, why: &str) -> ! {
        let (wrongs, complaints) = (lock(&self.load.wrongs).clone(), self.fleet.complaints());
        let figures = lock(&self.load.figures);
        let counts = lock(&self.load.ledger).counts();
        panic!("{}: {why}; {counts:?} {figures:?}\nwrong: {wrongs:#?}\nlogged: {complaints:#?}", self.name);
    }

    /// Delivers what is left, then holds polls, log and view against what was acknowledged, and stops the fleet.
    pub async fn finish(mut self, log: Log) {
        self.faults -= 1;
        self.load.end_production();
        let delivered = async || {
            let (sent, acked) = lock(&self.load.ledger).counts();
            sent == acked
        };
        let drained = within(Duration::from_secs(30), "everything is delivered", delivered);
        if AssertUnwindSafe(drained).catch_unwind().await.is_err() {
            self.give_up("some copies were never taken");
        }
        // Nothing is under way any more, so the polls' bounds have become one number.
        self.recovered().await;
        self.load.stop();
        while self.tasks.join_next().await.is_some() {}
        let losses = log.compare(&lock_expected(&self.load)).await;
        for loss in &losses {
            self.load.wrong(loss.clone());
        }
        self.judge_times();
        if !lock(&self.load.wrongs).is_empty() {
            self.give_up("something is wrong");
        }
        for instance in 0..self.fleet.len() {
            self.fleet.terminate(instance).await;
        }
        self.report();
    }

    fn judge_times(&self) {
        let figures = lock(&self.load.figures);
        if self.load.deaf.load(Ordering::Relaxed) {
            return;
        }
        if figures.slowest_poll > SLOWEST_POLL {
            self.load.wrong(format!("a poll took {:?}", figures.slowest_poll));
        }
        if figures.slowest_copy > SLOWEST_COPY {
            self.load.wrong(format!("a copy took {:?}", figures.slowest_copy));
        }
    }

    fn report(&self) {
        let (sent, acked) = lock(&self.load.ledger).counts();
        let figures = lock(&self.load.figures);
        println!(
            "{}: {sent} events, {acked} acked, {} redelivered; {} faults; {} polls right, {} refused, {} wrong within \
             the window, 0 wrong; 0 lost; right again after {:.2} s at most; slowest poll {:.2} s, copy {:.2} s; seed {}",
            self.name,
            figures.redelivered,
            self.faults - 1,
            figures.polls - figures.stale,
            figures.polls_refused,
            figures.stale,
            self.longest.as_secs_f64(),
            figures.slowest_poll.as_secs_f64(),
            figures.slowest_copy.as_secs_f64(),
            seed(),
        );
    }
}

fn lock_expected(load: &Load) -> super::truth::Expectation {
    lock(&load.ledger).expected()
}
