//! Delivers copies to the webhook: in parallel, with retries, and with all the faults told to it.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::queue::{Counts, Job, MOST_COPIES, Next, Pace, Queue};
use self::webhook::{WebhookClient, is_delivered};
use crate::clock::Clock;
use crate::lock::lock;
use crate::signing::{self, Signature};
use crate::switchboard::Switchboard;

pub mod copies;
mod queue;
pub mod webhook;

/// A handle on the deliveries; clones share them.
#[derive(Clone)]
pub struct Delivery {
    inner: Arc<Inner>,
}

struct Inner {
    client: WebhookClient,
    app_secret: String,
    clock: Arc<Clock>,
    switchboard: Arc<Switchboard>,
    url: Mutex<Option<String>>,
    queue: Mutex<Queue>,
    /// Wakes the dispatcher: something arrived, ended, or was set.
    changed: Notify,
    /// Copies under way, for those who wait for none.
    open: watch::Sender<usize>,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

/// One copy on its way: as many posts as it is to be sent times.
pub struct Pending {
    posts: Vec<oneshot::Receiver<bool>>,
}

/// What became of a number of copies.
pub struct Settled {
    /// Copies answered 200 or 500 at least once.
    pub delivered: usize,
    /// Copies still under way when the time was up.
    pub pending: usize,
}

impl Delivery {
    /// Starts the dispatcher; it ends when `stopping` is cancelled.
    pub fn start(
        (app_key, app_secret): (String, String),
        url: Option<String>,
        clock: Arc<Clock>,
        switchboard: Arc<Switchboard>,
        stopping: CancellationToken,
    ) -> io::Result<Self> {
        let inner = Arc::new(Inner {
            client: WebhookClient::new(app_key)?,
            app_secret,
            clock,
            switchboard,
            url: Mutex::new(url),
            queue: Mutex::new(Queue::new()),
            changed: Notify::new(),
            open: watch::Sender::new(0),
            stopping,
            tasks: TaskTracker::new(),
        });
        inner.tasks.spawn(Arc::clone(&inner).dispatch());
        Ok(Self { inner })
    }

    /// Copies go here from now on, those already waiting included.
    pub fn set_url(&self, url: String) {
        *lock(&self.inner.url) = Some(url);
    }

    /// Settings have changed: look at the queue again.
    pub fn nudge(&self) {
        self.inner.changed.notify_one();
    }

    /// Whether this many copies more, times `duplicate`, still fit into the queue.
    pub fn has_room_for(&self, copies: usize) -> bool {
        let posts = copies.saturating_mul(1 + self.inner.switchboard.read(|faults| faults.duplicate));
        lock(&self.inner.queue).len().saturating_add(posts) <= MOST_COPIES
    }

    /// Puts copies in line, in this order. The caller asked [`Delivery::has_room_for`] them before.
    pub fn submit(&self, bodies: Vec<String>) -> Vec<Pending> {
        let pending = bodies.into_iter().map(|body| self.submit_one(&body.into())).collect();
        self.nudge();
        pending
    }

    fn submit_one(&self, body: &Bytes) -> Pending {
        let inner = &self.inner;
        let (duplicate, delay_ms) = inner.switchboard.read(|faults| (faults.duplicate, faults.delay_ms));
        if inner.switchboard.loses_copy() || lock(&inner.url).is_none() {
            lock(&inner.queue).totals.dropped += 1;
            return Pending { posts: Vec::new() };
        }
        let mut posts = Vec::new();
        for _ in 0..=duplicate {
            let (done, post) = oneshot::channel();
            posts.push(post);
            inner.open.send_modify(|open| *open += 1);
            let job = Job { body: body.clone(), attempts: 0, signature: None, done };
            if delay_ms == 0 {
                lock(&inner.queue).push(job, Instant::now());
            } else {
                inner.park(job, Duration::from_millis(delay_ms));
            }
        }
        Pending { posts }
    }

    /// Waits until each copy has been answered 200 or 500 or been given up, but no longer than `limit`.
    pub async fn settle(&self, copies: Vec<Pending>, limit: Duration) -> Settled {
        let deadline = Instant::now() + limit;
        let mut settled = Settled { delivered: 0, pending: 0 };
        for copy in copies {
            let (mut delivered, mut late) = (false, false);
            for post in copy.posts {
                match timeout_at(deadline, post).await {
                    Ok(outcome) => delivered |= outcome.unwrap_or(false),
                    Err(_) => late = true,
                }
            }
            settled.delivered += usize::from(delivered);
            settled.pending += usize::from(late);
        }
        settled
    }

    /// Waits until no copy is under way; false if that takes longer than `limit`.
    pub async fn drain(&self, limit: Duration) -> bool {
        let mut open = self.inner.open.subscribe();
        tokio::select! {
            drained = timeout(limit, open.wait_for(|open| *open == 0)) => drained.is_ok(),
            () = self.inner.stopping.cancelled() => false,
        }
    }

    /// Where copies are and what became of them.
    pub fn counts(&self) -> Counts {
        lock(&self.inner.queue).counts()
    }

    /// One post right now, beside the queue and without retry: the status, or why there is none.
    pub async fn post_once(
        &self,
        body: Bytes,
        signature: &Signature,
        headers: &[(String, String)],
    ) -> Result<u16, String> {
        let url = lock(&self.inner.url).clone().ok_or("no webhook address is set")?;
        self.inner.client.post(&url, body, signature, headers).await
    }

    /// Waits for all tasks to end. Cancel `stopping` first.
    pub async fn stopped(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

impl Inner {
    async fn dispatch(self: Arc<Self>) {
        loop {
            let look_again = self.send_what_may_go();
            let timer = async {
                match look_again {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stopping.cancelled() => return lock(&self.queue).clear(),
                () = self.changed.notified() => {}
                () = timer => {}
            }
        }
    }

    /// Sends until the queue says to wait; returns when to look again at the latest.
    fn send_what_may_go(self: &Arc<Self>) -> Option<Instant> {
        let pace = self.switchboard.read(|faults| Pace {
            down: faults.down,
            concurrency: faults.concurrency,
            window: faults.reorder,
        });
        loop {
            let shuffle = |jobs: &mut [Job]| {
                if pace.window > 1 {
                    self.switchboard.shuffle(jobs);
                }
            };
            let next = lock(&self.queue).next(&pace, Instant::now(), shuffle);
            match next {
                Next::Send(job) => drop(self.tasks.spawn(Arc::clone(self).attempt(job))),
                Next::At(at) => return Some(at),
                Next::Wait => return None,
            }
        }
    }

    async fn attempt(self: Arc<Self>, mut job: Job) {
        let posted = tokio::select! {
            posted = self.post(&mut job) => posted,
            () = self.stopping.cancelled() => return,
        };
        let delivered = posted.is_ok_and(is_delivered);
        let (most, first_ms, longest_ms) =
            self.switchboard.read(|faults| (faults.max_attempts, faults.first_retry_ms, faults.max_retry_ms));
        if delivered || job.attempts >= most {
            self.finish(job, delivered);
        } else {
            lock(&self.queue).landed();
            lock(&self.queue).totals.retried += 1;
            let doubled = first_ms.saturating_mul(1 << (job.attempts - 1).min(32));
            self.park(job, Duration::from_millis(doubled.min(longest_ms)));
        }
        self.changed.notify_one();
    }

    async fn post(&self, job: &mut Job) -> Result<u16, String> {
        job.attempts += 1;
        let (resign, skew_ms) = self.switchboard.read(|faults| (faults.resign_retries, faults.clock_skew_ms));
        let kept = job.signature.take().filter(|_| !resign);
        let signature = kept.unwrap_or_else(|| {
            let cur_time = (self.clock.now_ms() + skew_ms).to_string();
            signing::sign_copy(&self.app_secret, &job.body, &cur_time)
        });
        let url = lock(&self.url).clone().ok_or("no webhook address is set")?;
        let posted = self.client.post(&url, job.body.clone(), &signature, &[]).await;
        job.signature = Some(signature);
        posted
    }

    fn finish(&self, job: Job, delivered: bool) {
        let mut queue = lock(&self.queue);
        queue.landed();
        if delivered {
            queue.totals.delivered += 1;
        } else {
            queue.totals.given_up += 1;
        }
        drop(queue);
        // Nobody may be waiting for this copy; that is fine.
        let _ = job.done.send(delivered);
        self.open.send_modify(|open| *open -= 1);
    }

    /// Puts a copy aside; it takes no place among the posts in flight meanwhile.
    fn park(self: &Arc<Self>, job: Job, pause: Duration) {
        lock(&self.queue).park();
        let inner = Arc::clone(self);
        self.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(pause) => {
                    lock(&inner.queue).unpark(job, Instant::now());
                    inner.changed.notify_one();
                }
                () = inner.stopping.cancelled() => {}
            }
        });
    }
}
