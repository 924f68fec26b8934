//! What a near cache of the unread view counts, for those who show it.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

/// Every read of the view is a hit, a miss or a bypass. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct NearCounters {
    /// Reads answered from memory.
    pub hits: Counter,
    /// Reads of what was not in memory.
    pub misses: Counter,
    /// Reads that went past the near cache, because it could not be sure to hear of changes.
    pub bypassed: Counter,
    /// Changes of readers that the store told of.
    pub invalidations: Counter,
    /// 1 while the store tells of changes, else 0.
    pub active: Gauge,
}
