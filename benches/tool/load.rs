//! The load generator. A stream without a rate is a closed loop: each connection sends once it was answered. A stream
//! with a rate is an open loop: requests fall due whether or not earlier ones were answered, and latency counts from
//! the moment at which a request fell due, so that queueing cannot hide.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::Outcome;
use crate::http::Connection;
use crate::source::Source;
use crate::stats::{End, Sample, summary};

/// How long requests that fell due in time may take beyond the end.
const GRACE: Duration = Duration::from_secs(2);
/// How often the pacer looks what fell due.
const TICK: Duration = Duration::from_micros(100);

#[derive(Deserialize)]
struct Plan {
    streams: Vec<Stream>,
}

/// One kind of request to one address.
#[derive(Clone, Deserialize)]
pub struct Stream {
    name: String,
    address: String,
    connections: usize,
    seconds: f64,
    /// Requests a second; none is a closed loop.
    rate: Option<f64>,
    /// At most so many requests.
    limit: Option<u64>,
    /// The status of a good answer.
    #[serde(default = "ok")]
    expect: u16,
    source: Source,
}

fn ok() -> u16 {
    200
}

/// What the connections of a stream share.
struct Shared {
    stream: Stream,
    began: Instant,
    next: AtomicU64,
    due: Semaphore,
    samples: Mutex<Vec<Sample>>,
    statuses: Mutex<BTreeMap<String, u64>>,
}

/// Runs all streams of the plan in standard input at once.
pub async fn run() -> Outcome {
    let plan: Plan = serde_json::from_reader(std::io::stdin().lock())?;
    let results = join_all(plan.streams.into_iter().map(run_stream)).await;
    println!("{}", json!({ "streams": results }));
    Ok(())
}

async fn run_stream(mut stream: Stream) -> Value {
    stream.source.prepare();
    let connections = stream.connections;
    let length = Duration::from_secs_f64(stream.seconds);
    let shared = Arc::new(Shared {
        stream,
        began: Instant::now(),
        next: AtomicU64::new(0),
        due: Semaphore::new(0),
        samples: Mutex::new(Vec::new()),
        statuses: Mutex::new(BTreeMap::new()),
    });
    if let Some(rate) = shared.stream.rate {
        let shared = Arc::clone(&shared);
        std::thread::spawn(move || pace(&shared, rate, length));
    }
    let workers: Vec<_> = (0..connections).map(|_| tokio::spawn(worker(Arc::clone(&shared)))).collect();
    let aborts: Vec<_> = workers.iter().map(tokio::task::JoinHandle::abort_handle).collect();
    let _ = tokio::time::timeout(length + GRACE, join_all(workers)).await;
    aborts.iter().for_each(tokio::task::AbortHandle::abort);
    shared.result()
}

/// Lets requests fall due. A thread, because the runtime's own timer is too coarse.
fn pace(shared: &Shared, rate: f64, length: Duration) {
    let mut given = 0;
    loop {
        let now = shared.began.elapsed().min(length);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number")]
        let due = (now.as_secs_f64() * rate) as usize;
        shared.due.add_permits(due - given);
        given = due;
        if now == length {
            shared.due.close();
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "a thread of its own, which blocks nobody")]
        std::thread::sleep(TICK);
    }
}

async fn worker(shared: Arc<Shared>) {
    let stream = &shared.stream;
    let (mut request, mut connection) = (Vec::new(), None);
    while let Some((n, meant)) = shared.turn().await {
        stream.source.write(n, &mut request);
        let status = exchange(&stream.address, &mut connection, &request).await;
        let good = status.as_ref().is_ok_and(|status| *status == stream.expect);
        shared.note(meant, good);
        if !good {
            let what = status.map_or_else(|error| error.kind().to_string(), |status| status.to_string());
            *shared.statuses.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
            // Whoever is refused does not come again at once.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn exchange(address: &str, kept: &mut Option<Connection>, request: &[u8]) -> std::io::Result<u16> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => Connection::open(address).await?,
    };
    let status = connection.exchange(request).await?;
    *kept = Some(connection);
    Ok(status)
}

impl Shared {
    /// The number of the next request and when it was meant to be sent; `None` at the end.
    async fn turn(&self) -> Option<(u64, Instant)> {
        if self.stream.rate.is_some() {
            // A closed semaphore still has what fell due before.
            match self.due.acquire().await {
                Ok(permit) => permit.forget(),
                Err(_) if self.next.load(Ordering::Relaxed) < self.total() => {}
                Err(_) => return None,
            }
        } else if self.began.elapsed().as_secs_f64() >= self.stream.seconds {
            return None;
        }
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        if self.stream.limit.is_some_and(|limit| n >= limit) || n >= self.total() {
            return None;
        }
        Some((n, self.meant(n)))
    }

    /// How many requests fall due in an open loop.
    fn total(&self) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number")]
        self.stream.rate.map_or(u64::MAX, |rate| (rate * self.stream.seconds) as u64)
    }

    fn meant(&self, n: u64) -> Instant {
        // The first falls due once the time of one has passed, which is when the pacer lets it go.
        #[expect(clippy::cast_precision_loss, reason = "far fewer requests than 2^52")]
        let after = |rate: f64| Duration::from_secs_f64((n + 1) as f64 / rate);
        self.stream.rate.map_or_else(Instant::now, |rate| self.began + after(rate))
    }

    fn sample(&self, meant: Instant, end: End) -> Sample {
        let micros = u32::try_from(meant.elapsed().as_micros()).unwrap_or(u32::MAX);
        let at_ms = u32::try_from(meant.duration_since(self.began).as_millis()).unwrap_or(u32::MAX);
        Sample { at_ms, micros, end }
    }

    fn note(&self, meant: Instant, good: bool) {
        let sample = self.sample(meant, if good { End::Good } else { End::Failed });
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
    }

    fn result(&self) -> Value {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if self.stream.rate.is_some() {
            let answered = samples.len() as u64;
            samples.extend((answered..self.total()).map(|n| self.sample(self.meant(n), End::Behind)));
        }
        let lasted = self.began.elapsed().as_secs_f64();
        let seconds = if self.stream.limit.is_some() { lasted } else { self.stream.seconds };
        let mut result = summary(&samples, seconds);
        result["name"] = json!(self.stream.name);
        result["rate"] = json!(self.stream.rate);
        result["other_answers"] = json!(*self.statuses.lock().unwrap_or_else(PoisonError::into_inner));
        result
    }
}
