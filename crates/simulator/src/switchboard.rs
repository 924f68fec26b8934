//! The live switchboard: the fault settings, the dice, and the few counters that faults need.

use std::sync::{Mutex, MutexGuard};

use serde_json::{Map, Value};

use crate::clock::Dice;
use crate::faults::{FailMode, Faults, names};
use crate::lock::lock;

/// Shared by the server API and the deliveries; every method is one short critical section.
pub struct Switchboard {
    inner: Mutex<Inner>,
}

struct Inner {
    faults: Faults,
    dice: Dice,
    /// Since the settings last changed, so that "every third" starts to count there.
    copies_seen: u64,
}

impl Switchboard {
    /// All faults off.
    pub fn new(seed: u64) -> Self {
        let inner = Inner { faults: Faults::default(), dice: Dice::new(seed), copies_seen: 0 };
        Self { inner: Mutex::new(inner) }
    }

    /// The settings as they are now.
    pub fn faults(&self) -> Faults {
        self.inner().faults.clone()
    }

    /// Reads a few settings without cloning them all.
    pub fn read<T>(&self, pick: impl FnOnce(&Faults) -> T) -> T {
        pick(&self.inner().faults)
    }

    /// Lays the given fields over the present ones. All or nothing; the error is a sentence for the caller.
    pub fn merge(&self, given: Map<String, Value>) -> Result<Faults, String> {
        let mut inner = self.inner();
        let mut merged = serde_json::to_value(&inner.faults).map_err(|error| error.to_string())?;
        if let Value::Object(fields) = &mut merged {
            fields.extend(given);
        }
        let merged: Faults = serde_json::from_value(merged).map_err(|error| error.to_string())?;
        merged.check()?;
        inner.faults = merged.clone();
        inner.copies_seen = 0;
        Ok(merged)
    }

    /// All faults off again.
    pub fn reset(&self) -> Faults {
        let mut inner = self.inner();
        inner.faults = Faults::default();
        inner.copies_seen = 0;
        inner.faults.clone()
    }

    /// How this call is to fail, if it is: `failNext` first, then `failRate`.
    pub fn failure_of(&self, api: &str) -> Option<FailMode> {
        let mut inner = self.inner();
        if let Some(mode) = inner.faults.take_next_failure(api) {
            return Some(mode);
        }
        let rate = inner.faults.fail_rate.clone().filter(|rate| names(&rate.api, api))?;
        let hit = inner.dice.below(1_000) < usize::from(rate.permille);
        hit.then_some(rate.mode)
    }

    /// Whether the copy at hand is lost for good. Call once per copy: it counts.
    pub fn loses_copy(&self) -> bool {
        let mut inner = self.inner();
        inner.copies_seen += 1;
        if inner.faults.drop_next > 0 {
            inner.faults.drop_next -= 1;
            return true;
        }
        let every = inner.faults.drop_every;
        if every > 0 && inner.copies_seen.is_multiple_of(every) {
            return true;
        }
        let rate = inner.faults.drop_rate;
        rate > 0.0 && inner.dice.fraction() < rate
    }

    /// Puts the items in an order of chance.
    pub fn shuffle<T>(&self, items: &mut [T]) {
        self.inner().dice.shuffle(items);
    }

    /// 32 random hex digits.
    pub fn hex_id(&self) -> String {
        self.inner().dice.hex_id()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}
