//! Which stores answer, for `/readyz` and for the gauge of each.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::ports::StoreError;
use crate::ports::accounts::Accounts;
use crate::ports::message_log::MessageLog;
use crate::ports::unread_view::UnreadView;

/// How long one store may take to answer.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How often the stores are asked when nobody else asks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The stores by the names of their sections in the configuration.
const NAMES: [&str; 3] = ["accounts", "messages", "unread"];

/// Which store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StoreLabels {
    store: &'static str,
}

/// 1 for each store that answered when it was last asked, else 0.
type StoreGauges = Family<StoreLabels, Gauge>;

/// Which stores answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answering {
    /// Account rows.
    pub accounts: bool,
    /// The message log.
    pub messages: bool,
    /// The unread view.
    pub unread: bool,
}

impl Answering {
    fn each(self) -> [bool; 3] {
        [self.accounts, self.messages, self.unread]
    }

    /// Those that did not, by name.
    pub fn silent(self) -> Vec<&'static str> {
        NAMES.into_iter().zip(self.each()).filter(|(_, answers)| !answers).map(|(store, _)| store).collect()
    }
}

/// Asks the stores whether they answer.
pub struct StoreHealth {
    accounts: Arc<dyn Accounts>,
    log: Arc<dyn MessageLog>,
    view: Arc<dyn UnreadView>,
    up: StoreGauges,
    /// When the last look began, and what it saw.
    last: Mutex<(Instant, Answering)>,
}

impl StoreHealth {
    /// Over these stores, which are taken to answer until they were asked.
    pub fn new(accounts: Arc<dyn Accounts>, log: Arc<dyn MessageLog>, view: Arc<dyn UnreadView>) -> Self {
        let up = StoreGauges::default();
        for store in NAMES {
            up.get_or_create(&StoreLabels { store }).set(1);
        }
        let last = Mutex::new((Instant::now(), Answering { accounts: true, messages: true, unread: true }));
        Self { accounts, log, view, up, last }
    }

    /// Shows a gauge for each store under `/metrics`.
    pub fn register_metrics(&self, registry: &mut Registry) {
        registry.register("store_up", "1 if the store answered when it was last asked", self.up.clone());
    }

    /// Which stores answer now. Takes 1.5 s at most, and as long again while another look is under way; whoever asks
    /// meanwhile shares the next one.
    pub async fn look(&self) -> Answering {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if last.0 > asked {
            return last.1;
        }
        let began = Instant::now();
        let (accounts, messages, unread) = tokio::join!(
            timeout(PATIENCE, self.accounts.ping()),
            timeout(PATIENCE, self.log.ping()),
            timeout(PATIENCE, self.view.ping()),
        );
        let before = last.1.each();
        let heard = |place: usize, outcome: Result<Result<(), StoreError>, _>| {
            let answer = outcome.map_or_else(|_| Err(None), |answer| answer.map_err(Some));
            self.note(NAMES[place], before[place], answer)
        };
        let now = Answering {
            accounts: heard(0, accounts),
            messages: heard(1, messages),
            unread: heard(2, unread),
        };
        *last = (began, now);
        now
    }

    /// Sets the gauge, and tells the log of what has changed. An error of `None` is no answer in time.
    fn note(&self, store: &'static str, before: bool, answer: Result<(), Option<StoreError>>) -> bool {
        let answers = answer.is_ok();
        self.up.get_or_create(&StoreLabels { store }).set(i64::from(answers));
        match answer {
            Ok(()) if !before => tracing::info!(store, "a store answers again"),
            Err(error) if before => {
                let error = error.as_ref().map(|error| error as &dyn std::error::Error);
                tracing::warn!(store, error, "a store does not answer");
            }
            _ => {}
        }
        answers
    }

    /// Looks every five seconds, for ever.
    pub async fn watch(&self) {
        loop {
            self.look().await;
            sleep(LOOK_EVERY).await;
        }
    }
}
