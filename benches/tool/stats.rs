//! What came of a stream of requests.

use serde_json::{Value, json};

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With the answer that was wanted.
    Good,
    /// With another answer, or none.
    Failed,
    /// Not at all by the end of the run, though it fell due in time.
    Behind,
}

/// One request.
#[derive(Clone, Copy)]
pub struct Sample {
    /// Milliseconds after the start at which it was meant to be sent.
    pub at_ms: u32,
    /// From then to the last byte of the answer.
    pub micros: u32,
    /// How it ended.
    pub end: End,
}

/// The value below which a share of `sorted` lies.
fn quantile(sorted: &[u32], share: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "far fewer samples than 2^52"
    )]
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(0)
}

fn quantiles(mut micros: Vec<u32>) -> Value {
    micros.sort_unstable();
    json!({
        "p50": quantile(&micros, 0.5), "p90": quantile(&micros, 0.9), "p99": quantile(&micros, 0.99),
        "p999": quantile(&micros, 0.999), "max": micros.last().copied().unwrap_or(0),
    })
}

/// Latencies in microseconds, and how each second went.
pub fn summary(samples: &[Sample], seconds: f64) -> Value {
    let count = |end| samples.iter().filter(|s| s.end == end).count();
    let (done, behind) = (count(End::Good), count(End::Behind));
    // What was never answered waited at least until the end.
    let waited = samples.iter().filter(|s| s.end != End::Failed).map(|s| s.micros).collect();
    let last = samples.iter().map(|s| s.at_ms / 1000).max().unwrap_or(0);
    let mut by_second: Vec<(Vec<u32>, usize)> = vec![(Vec::new(), 0); last as usize + 1];
    for sample in samples {
        let second = &mut by_second[(sample.at_ms / 1000) as usize];
        match sample.end {
            End::Good => second.0.push(sample.micros),
            End::Failed | End::Behind => second.1 += 1,
        }
    }
    let by_second: Vec<Value> = by_second
        .into_iter()
        .map(|(good, failed)| {
            let done = good.len();
            let latency = quantiles(good);
            json!({ "done": done, "failed": failed, "p99": latency["p99"], "max": latency["max"] })
        })
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "far fewer samples than 2^52")]
    let per_second = done as f64 / seconds;
    json!({
        "done": done, "failed": samples.len() - done - behind, "behind": behind, "seconds": seconds, "per_second": per_second,
        "latency_us": quantiles(waited), "by_second": by_second,
    })
}
