//! What is counted of the calls to NetEase.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::call::{Api, ServerApi};

/// How one attempt of a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallOutcome {
    /// NetEase answered 200.
    Done,
    /// NetEase refused it for good.
    Refused,
    /// NetEase refused it for now, or stumbled.
    Transient,
    /// NetEase has closed the API (416).
    Closed,
    /// The quota on our side had no slot in time.
    NoSlot,
    /// It did not reach NetEase.
    NotSent,
    /// It was sent, and no answer came that can be read.
    NoAnswer,
}

impl CallOutcome {
    const ALL: [(Self, &str); 7] = [
        (Self::Done, "done"),
        (Self::Refused, "refused"),
        (Self::Transient, "troubled"),
        (Self::Closed, "closed"),
        (Self::NoSlot, "no_slot"),
        (Self::NotSent, "not_sent"),
        (Self::NoAnswer, "no_answer"),
    ];
}

/// Labels of one kind of attempt. Both are of closed lists.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    api: &'static str,
    outcome: &'static str,
}

/// Which address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: &'static str,
}

/// Attempts by API and outcome, and which addresses calls go to.
#[derive(Debug, Clone, Default)]
pub(super) struct NeteaseCounters {
    calls: Family<CallLabels, Counter>,
    up: Family<EndpointLabels, Gauge>,
}

impl NeteaseCounters {
    /// All series, at zero; the circuit breaker of each endpoint is closed.
    pub fn new(server: ServerApi, endpoints: impl Iterator<Item = &'static str>) -> Self {
        let counters = Self::default();
        for api in Api::ALL {
            for (_, outcome) in CallOutcome::ALL {
                drop(counters.calls.get_or_create(&CallLabels { api: server.name(api), outcome }));
            }
        }
        endpoints.for_each(|endpoint| counters.is_up(endpoint, true));
        counters
    }

    /// One attempt of the call of this name has ended.
    pub fn ended(&self, api: &'static str, outcome: CallOutcome) {
        let (_, outcome) = CallOutcome::ALL[outcome as usize];
        self.calls.get_or_create(&CallLabels { api, outcome }).inc();
    }

    /// Whether calls go to this endpoint: its circuit breaker is closed.
    pub fn is_up(&self, endpoint: &'static str, up: bool) {
        self.up.get_or_create(&EndpointLabels { endpoint }).set(i64::from(up));
    }

    /// Shows them under `/metrics`.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Attempts of calls to NetEase, by how they ended";
        registry.register("netease_calls", help, self.calls.clone());
        let help = "1 while calls go to this address of NetEase, 0 while its circuit breaker is open";
        registry.register("netease_up", help, self.up.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_listed_in_the_order_of_their_declaration() {
        for (at, (outcome, _)) in CallOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, at);
        }
    }
}
