//! Limits on open streams, in all and of one reader, and the turns in which they read counts.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};

use super::problem::{Code, Problem};
use crate::domain::ids::Accid;

/// Streams that look at the same time. When all are told of a change at once, they look in turn: as many as Redis takes
/// on without anybody's waiting.
const LOOKS_AT_ONCE: usize = 64;
/// For so long a stream waits for its turn to look, and goes on asking for counts that cannot be had, before it ends.
const FORBEARANCE: Duration = Duration::from_secs(5);
/// Between two such attempts.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// How many streams there are, in all and by reader.
#[derive(Debug)]
pub struct StreamLimiter {
    most: usize,
    most_of_one: usize,
    by_reader: Mutex<HashMap<Accid, usize>>,
    open: Gauge,
    looks: Semaphore,
}

impl StreamLimiter {
    /// At most so many in all, and so many of one reader.
    pub fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        let (by_reader, open, looks) = (Mutex::default(), Gauge::default(), Semaphore::new(LOOKS_AT_ONCE));
        Arc::new(Self { most, most_of_one, by_reader, open, looks })
    }

    /// Shows under `/metrics` how many there are.
    pub fn register_metrics(&self, registry: &mut Registry) {
        registry.register("streams_open", "Streams of counts that are open", self.open.clone());
    }

    /// What `ask` brings, in turn with other streams. A store that is away for a moment ends nobody's stream; nor does a
    /// short queue.
    pub async fn in_turn<T, F>(&self, ask: impl Fn() -> F) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, Problem>>,
    {
        let until = Instant::now() + FORBEARANCE;
        let mut why = None;
        loop {
            let Ok(turn) = timeout_at(until, self.looks.acquire()).await else {
                return Err(why.unwrap_or_else(|| {
                    Problem::new(Code::Overloaded, "too many streams wait to look at their counts")
                }));
            };
            let outcome = ask().await;
            drop(turn);
            match outcome {
                Err(problem)
                    if matches!(problem.code(), Code::StoreUnavailable | Code::Overloaded)
                        && Instant::now() < until =>
                {
                    why = Some(problem);
                    sleep(spread(ASK_AGAIN)).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// A place for one more stream of this reader.
    pub fn enter(self: &Arc<Self>, reader: &Accid) -> Result<StreamPermit, Problem> {
        let mut by_reader = self.by_reader.lock().unwrap_or_else(PoisonError::into_inner);
        if usize::try_from(self.open.get()).unwrap_or_default() >= self.most {
            return Err(Problem::new(Code::Overloaded, "there are as many streams as this service takes on"));
        }
        let own = by_reader.entry(reader.clone()).or_default();
        if *own >= self.most_of_one {
            let detail = format!("this reader has {own} streams, and may not have more: close one");
            return Err(Problem::new(Code::TooManyStreams, detail));
        }
        *own += 1;
        self.open.inc();
        Ok(StreamPermit { streams: Arc::clone(self), reader: reader.clone() })
    }
}

/// One stream's place among the others, until it is dropped.
pub struct StreamPermit {
    streams: Arc<StreamLimiter>,
    reader: Accid,
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut by_reader = self.streams.by_reader.lock().unwrap_or_else(PoisonError::into_inner);
        self.streams.open.dec();
        if let Some(own) = by_reader.get_mut(&self.reader) {
            *own -= 1;
            if *own == 0 {
                by_reader.remove(&self.reader);
            }
        }
    }
}

/// Between three and five quarters of a time, so that streams which began together do not look together for ever.
pub fn spread(time: Duration) -> Duration {
    let share = RandomState::default().hash_one(()) % 512;
    time.mul_f64(0.75 + f64::from(u32::try_from(share).unwrap_or(0)) / 1024.0)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::timeout;

    use super::*;

    const ALL: u32 = 64;

    fn streams() -> Arc<StreamLimiter> {
        StreamLimiter::new(1, 1)
    }

    async fn asked_of(streams: &StreamLimiter, code: Code) -> (Code, usize, Duration) {
        let (began, asked) = (Instant::now(), AtomicUsize::new(0));
        let outcome = streams.in_turn(|| async {
            asked.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(Problem::new(code, "says the test"))
        });
        let outcome = timeout(2 * FORBEARANCE, outcome).await.expect("an end").unwrap_err();
        (outcome.code(), asked.into_inner(), began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_waits_for_its_turn_for_five_seconds_and_no_longer() {
        let streams = streams();
        assert_eq!(streams.looks.available_permits(), ALL as usize);
        let turns = streams.looks.acquire_many(ALL).await.unwrap();
        let (code, asked, waited) = asked_of(&streams, Code::Internal).await;
        assert_eq!((code, asked), (Code::Overloaded, 0));
        assert!(waited >= FORBEARANCE && waited < FORBEARANCE + ASK_AGAIN, "{waited:?}");
        let looks = streams.in_turn(|| async { Ok(7) });
        let free = async {
            sleep(FORBEARANCE / 2).await;
            drop(turns);
        };
        assert_eq!(tokio::join!(looks, free).0.unwrap(), 7, "its turn has come");
        assert_eq!(streams.looks.available_permits(), ALL as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_away_is_asked_again_for_five_seconds_and_then_named() {
        for code in [Code::StoreUnavailable, Code::Overloaded] {
            let (ended_by, asked, waited) = asked_of(&streams(), code).await;
            assert_eq!(ended_by, code);
            assert!((8..=15).contains(&asked), "{asked} times");
            assert!(waited >= FORBEARANCE && waited < FORBEARANCE + 2 * ASK_AGAIN, "{waited:?}");
        }
        let at_once = (Code::Internal, 1, Duration::ZERO);
        assert_eq!(asked_of(&streams(), Code::Internal).await, at_once, "a fault is none that passes");
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_again_leaves_the_turn_to_others_meanwhile() {
        let streams = streams();
        let most = streams.looks.acquire_many(ALL - 1).await.unwrap();
        let asking = asked_of(&streams, Code::StoreUnavailable);
        let other = async {
            sleep(ASK_AGAIN / 4).await;
            streams.in_turn(|| async { Ok(Instant::now()) }).await.unwrap()
        };
        let began = Instant::now();
        let (_, looked) = tokio::join!(asking, other);
        assert_eq!(looked - began, ASK_AGAIN / 4);
        drop(most);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_store_said_is_told_rather_than_that_others_are_in_front() {
        let streams = streams();
        let asking = asked_of(&streams, Code::StoreUnavailable);
        let crowd = async {
            sleep(ASK_AGAIN / 4).await;
            let turns = streams.looks.acquire_many(ALL).await.unwrap();
            sleep(2 * FORBEARANCE).await;
            drop(turns);
        };
        let ((code, asked, waited), ()) = tokio::join!(asking, crowd);
        assert_eq!((code, asked), (Code::StoreUnavailable, 1));
        assert!(waited >= FORBEARANCE && waited < FORBEARANCE + ASK_AGAIN, "{waited:?}");
    }

    #[test]
    fn times_are_spread_by_a_quarter_to_either_side() {
        let time = Duration::from_secs(4);
        let times: Vec<_> = (0..1_000).map(|_| spread(time)).collect();
        assert!(times.iter().all(|it| (time * 3 / 4..time * 5 / 4).contains(it)));
        let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        assert!(*most > *least + time / 4, "{least:?} to {most:?}");
    }
}
