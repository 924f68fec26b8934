//! The simulator's clock and its seeded dice: the only two sources of time and chance in here.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Unix time in milliseconds that never steps back: wall time at the start, plus a monotonic reading.
pub struct Clock {
    started_at_ms: i64,
    started: Instant,
}

impl Clock {
    /// Reads the wall clock once; from then on only the monotonic one.
    pub fn start() -> Self {
        Self { started_at_ms: wall_clock_ms(), started: Instant::now() }
    }

    /// Unix time of the simulator's start, in milliseconds.
    pub fn started_at_ms(&self) -> i64 {
        self.started_at_ms
    }

    /// Unix time now, in milliseconds.
    pub fn now_ms(&self) -> i64 {
        let elapsed = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.started_at_ms.saturating_add(elapsed)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the simulator plays another company: it has a clock of its own"
)]
fn wall_clock_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// `SplitMix64`: small, fast, and the same for the same seed everywhere.
pub struct Dice {
    state: u64,
}

impl Dice {
    /// The same seed gives the same throws.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        let pick = self.bits().checked_rem(bound).unwrap_or(0);
        usize::try_from(pick).unwrap_or(0)
    }

    /// A number in `0.0..1.0`.
    pub fn fraction(&mut self) -> f64 {
        let bits = u32::try_from(self.bits() >> 32).unwrap_or(0);
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }

    /// Fisher-Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// 32 random hex digits: good for a token or a client's message id.
    pub fn hex_id(&mut self) -> String {
        format!("{:016x}{:016x}", self.bits(), self.bits())
    }
}
