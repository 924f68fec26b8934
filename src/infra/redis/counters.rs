//! What the near cache counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

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

impl NearCounters {
    /// Shows them under `/metrics`.
    pub fn register(&self, registry: &mut Registry) {
        let Self { hits, misses, bypassed, invalidations, active } = self.clone();
        registry.register("near_cache_hits", "Reads of the unread view answered from memory", hits);
        registry.register("near_cache_misses", "Reads of readers who were not in memory", misses);
        registry.register("near_cache_bypassed", "Reads while changes could not be heard of", bypassed);
        registry.register("near_cache_invalidations", "Changes of readers heard of", invalidations);
        registry.register("near_cache_active", "1 while changes are heard of", active);
    }
}
