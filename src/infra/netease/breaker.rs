//! Stops calling an endpoint that does not answer, and finds out with one call at a time when it does again.
//!
//! Pure state: the time comes in as an argument.

use std::time::Duration;

use tokio::time::Instant;

/// This many calls in a row without an answer, and it opens.
const FAILURES: u32 = 5;
/// It rests this long first; each failed probe doubles it…
const FIRST_REST: Duration = Duration::from_secs(2);
/// …up to this.
const LONGEST_REST: Duration = Duration::from_secs(10);
/// How soon it is worth looking again while a probe is out: its end is not known.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Whether calls go through, by what became of the last ones.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    /// Probes so far: a number for the next one.
    probes: u64,
}

#[derive(Debug)]
enum State {
    /// Calls go through; so many of the last ones failed.
    Closed { failures: u32 },
    /// None goes through until then; after that, one does.
    Open { until: Instant, rest: Duration },
    /// That one is out.
    Probing { probe: u64, rest: Duration },
}

/// A right to one call. What became of it has to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// One of many.
    Plain,
    /// The only one, by its number.
    Probe(u64),
}

impl Breaker {
    /// Closed: calls go through.
    pub fn new() -> Self {
        Self { state: State::Closed { failures: 0 }, probes: 0 }
    }

    /// Lets a call through, or says how long none will be.
    pub fn pass(&mut self, now: Instant) -> Result<Pass, Duration> {
        if let Some(left) = self.circuit_open_for(now) {
            return Err(left);
        }
        if let State::Open { rest, .. } = self.state {
            self.probes += 1;
            self.state = State::Probing { probe: self.probes, rest };
            return Ok(Pass::Probe(self.probes));
        }
        Ok(Pass::Plain)
    }

    /// How long no call goes through; while a probe is out, a short time after which to look again.
    pub fn circuit_open_for(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { until, .. } => {
                Some(until.saturating_duration_since(now)).filter(|left| !left.is_zero())
            }
            State::Probing { .. } => Some(LOOK_AGAIN),
        }
    }

    /// An answer came, even if to a call from before it opened. True if that closes it.
    pub fn succeeded(&mut self) -> bool {
        let was_open = !matches!(self.state, State::Closed { .. });
        self.state = State::Closed { failures: 0 };
        was_open
    }

    /// No answer came. True if that opens it; a failed probe leaves it open.
    pub fn failed(&mut self, pass: Pass, now: Instant) -> bool {
        match self.state {
            State::Closed { failures } if failures + 1 >= FAILURES => {
                self.state = State::Open { until: now + FIRST_REST, rest: FIRST_REST };
                true
            }
            State::Closed { failures } => {
                self.state = State::Closed { failures: failures + 1 };
                false
            }
            State::Probing { probe, rest } if pass == Pass::Probe(probe) => {
                let rest = (rest * 2).min(LONGEST_REST);
                self.state = State::Open { until: now + rest, rest };
                false
            }
            // A call from before it opened: it says nothing new.
            State::Open { .. } | State::Probing { .. } => false,
        }
    }

    /// Nobody waited for what became of it. After a probe, another one may go at once.
    pub fn abandoned(&mut self, pass: Pass, now: Instant) {
        if let State::Probing { probe, rest } = self.state
            && pass == Pass::Probe(probe)
        {
            self.state = State::Open { until: now, rest };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// Open since the moment given.
    fn open(now: Instant) -> Breaker {
        let mut breaker = Breaker::new();
        for failure in 1..=FAILURES {
            let pass = breaker.pass(now).unwrap();
            assert_eq!(breaker.failed(pass, now), failure == FAILURES);
        }
        breaker
    }

    #[test]
    fn only_failures_in_a_row_open_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        for _ in 0..3 {
            for _ in 1..FAILURES {
                assert!(!breaker.failed(Pass::Plain, now));
            }
            assert!(!breaker.succeeded());
        }
        assert_eq!(breaker.circuit_open_for(now), None);

        let mut breaker = open(now);
        assert_eq!(breaker.circuit_open_for(now), Some(secs(2)));
        assert_eq!(breaker.pass(now + secs(1)), Err(secs(1)));
        assert!(!breaker.failed(Pass::Plain, now + secs(1)), "one from before says nothing new");
        assert_eq!(breaker.circuit_open_for(now + secs(2)), None, "somebody may try");
    }

    #[test]
    fn one_probe_goes_at_a_time_and_a_failed_one_doubles_the_rest() {
        let mut now = Instant::now();
        let mut breaker = open(now);
        now += secs(2);
        for rest in [4, 8, 10, 10] {
            let probe = breaker.pass(now).unwrap();
            assert!(matches!(probe, Pass::Probe(_)));
            assert_eq!(breaker.pass(now), Err(LOOK_AGAIN));
            assert_eq!(breaker.circuit_open_for(now), Some(LOOK_AGAIN));
            assert!(!breaker.failed(probe, now));
            assert_eq!(breaker.pass(now), Err(secs(rest)));
            now += secs(rest);
        }
        breaker.pass(now).unwrap();
        assert!(breaker.succeeded());
        assert_eq!(breaker.pass(now), Ok(Pass::Plain));
        assert_eq!(open(now).circuit_open_for(now), Some(secs(2)), "it begins anew");
    }

    #[test]
    fn a_probe_that_is_given_up_makes_way_for_another() {
        let now = Instant::now() + secs(2);
        let mut breaker = open(now - secs(2));
        let first = breaker.pass(now).unwrap();
        breaker.abandoned(Pass::Plain, now);
        assert_eq!(breaker.pass(now), Err(LOOK_AGAIN), "a plain call's end is not the probe's");
        breaker.abandoned(first, now);
        let second = breaker.pass(now).unwrap();
        assert_ne!(first, second);
        breaker.abandoned(first, now);
        assert!(!breaker.failed(first, now));
        assert_eq!(breaker.pass(now), Err(LOOK_AGAIN), "the first has no say any more");
        breaker.failed(second, now);
        assert_eq!(
            breaker.circuit_open_for(now),
            Some(secs(4)),
            "giving up is no failure: it does not double"
        );
    }

    #[test]
    fn an_answer_that_comes_late_closes_it_too() {
        let now = Instant::now();
        let mut breaker = open(now);
        assert!(breaker.succeeded());
        assert_eq!(breaker.pass(now), Ok(Pass::Plain));
    }
}
