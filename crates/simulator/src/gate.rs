//! What stands between a caller and the API: quotas, request ids, and a log of calls to measure peaks in.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

/// Calls are remembered for this long…
const REMEMBERED_MS: i64 = 10 * 60 * 1_000;
/// …and at most this many per API, so that a load test cannot fill the memory.
const REMEMBERED_CALLS: usize = 500_000;

/// What stands between a caller and the API.
#[derive(Default)]
pub struct Gate {
    /// By API name.
    pub quotas: BTreeMap<&'static str, Quota>,
    /// `RequestIds` of late.
    pub request_ids: RequestIds,
    /// Calls of late.
    pub log: CallLog,
}

/// How many calls an API takes in which time, and how long it closes past that. Milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Calls per window.
    pub calls: usize,
    /// Length of the window.
    pub window_ms: i64,
    /// How long the API stays closed.
    pub pause_ms: i64,
}

/// One API's quota: a sliding window and a time until which the API is closed.
#[derive(Default)]
pub struct Quota {
    admitted: VecDeque<i64>,
    closed_until: i64,
}

impl Quota {
    /// Whether a call at `now_ms` is let in. The first one past the limit closes the API (code 416).
    pub fn admit(&mut self, now_ms: i64, limit: Limit) -> bool {
        if now_ms < self.closed_until {
            return false;
        }
        while self.admitted.front().is_some_and(|&at| at <= now_ms - limit.window_ms) {
            self.admitted.pop_front();
        }
        if self.admitted.len() >= limit.calls {
            self.closed_until = now_ms + limit.pause_ms;
            return false;
        }
        self.admitted.push_back(now_ms);
        true
    }
}

/// When each API was called, refused calls included, and what came of it.
#[derive(Default)]
pub struct CallLog {
    by_api: BTreeMap<&'static str, ApiLog>,
}

#[derive(Default)]
struct ApiLog {
    calls: u64,
    at: VecDeque<i64>,
    outcomes: BTreeMap<String, u64>,
}

/// What `/simulator/stats` tells about one API.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiStats {
    /// Calls that arrived.
    pub calls: u64,
    /// Calls by NIM code, or by `http-502`, `cut`.
    pub codes: BTreeMap<String, u64>,
    /// The most calls within any one second of the last ten minutes.
    pub max_in_one_second: usize,
}

impl CallLog {
    /// Notes that a call arrived.
    pub fn arrived(&mut self, api: &'static str, now_ms: i64) {
        let log = self.by_api.entry(api).or_default();
        log.calls += 1;
        log.at.push_back(now_ms);
        while log.at.len() > REMEMBERED_CALLS || log.at.front().is_some_and(|&at| at < now_ms - REMEMBERED_MS)
        {
            log.at.pop_front();
        }
    }

    /// Notes what came of a call.
    pub fn ended(&mut self, api: &'static str, outcome: String) {
        *self.by_api.entry(api).or_default().outcomes.entry(outcome).or_default() += 1;
    }

    /// All APIs called so far.
    pub fn stats(&self) -> BTreeMap<&'static str, ApiStats> {
        let stats = |log: &ApiLog| ApiStats {
            calls: log.calls,
            codes: log.outcomes.clone(),
            max_in_one_second: most_within(&log.at, 1_000),
        };
        self.by_api.iter().map(|(&api, log)| (api, stats(log))).collect()
    }

    /// Unix times in milliseconds at which this API was called, oldest first.
    pub fn times_of(&self, api: &str) -> Vec<i64> {
        self.by_api.get(api).map(|log| log.at.iter().copied().collect()).unwrap_or_default()
    }
}

/// The largest number of the (sorted) times that fit into any window shorter than `window_ms`.
fn most_within(times: &VecDeque<i64>, window_ms: i64) -> usize {
    let mut most = 0;
    let mut first = 0;
    for (last, &at) in times.iter().enumerate() {
        while times.get(first).is_some_and(|&begin| begin <= at - window_ms) {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

/// NIM de-duplicates on the `RequestId` header (code 431); ids are remembered as long as calls are.
#[derive(Default)]
pub struct RequestIds {
    seen: std::collections::HashSet<String>,
    in_order: VecDeque<(i64, String)>,
}

impl RequestIds {
    /// False if the id was used within the window.
    pub fn is_new(&mut self, id: &str, now_ms: i64) -> bool {
        while self.in_order.front().is_some_and(|(at, _)| *at < now_ms - REMEMBERED_MS) {
            if let Some((_, old)) = self.in_order.pop_front() {
                self.seen.remove(&old);
            }
        }
        if !self.seen.insert(id.to_owned()) {
            return false;
        }
        self.in_order.push_back((now_ms, id.to_owned()));
        true
    }
}
