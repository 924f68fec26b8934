//! Forgets, now and then, what is done and old.

use std::sync::Arc;
use std::time::Duration;

use super::Stores;
use crate::commands::forget_old::{forget_dead_letters, forget_notifications, forget_read};
use crate::config::Config;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::dead_letters::DeadLetters;
use crate::ports::log_upkeep::LogUpkeep;
use crate::ports::outbox::Notifications;

/// How often it looks.
const EVERY: Duration = Duration::from_hours(1);

/// What is forgotten, and when.
pub struct Retention {
    log: Arc<dyn LogUpkeep>,
    message_days: Option<u32>,
    dead_letters: Arc<dyn DeadLetters>,
    letter_days: u32,
    notifications: Arc<dyn Notifications>,
    notification_days: u32,
    clock: Arc<dyn Clock>,
}

impl Retention {
    /// As the configuration says.
    pub fn new(config: &Config, stores: &Stores, clock: Arc<dyn Clock>) -> Self {
        Self {
            log: Arc::clone(&stores.upkeep),
            message_days: config.messages.retention_days,
            dead_letters: Arc::clone(&stores.dead_letters),
            letter_days: config.messages.dead_letters_days,
            notifications: Arc::clone(&stores.notifications),
            notification_days: config.notifications.keep_days,
            clock,
        }
    }

    /// Looks every hour, for ever.
    pub async fn run(self) {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            if let Some(days) = self.message_days {
                report("messages", days, forget_read(&*self.log, &*self.clock, days).await);
            }
            let days = self.letter_days;
            report("dead letters", days, forget_dead_letters(&*self.dead_letters, &*self.clock, days).await);
            let days = self.notification_days;
            report(
                "notifications",
                days,
                forget_notifications(&*self.notifications, &*self.clock, days).await,
            );
        }
    }
}

fn report(what: &str, days: u32, outcome: Result<u64, StoreError>) {
    match outcome {
        Ok(0) => {}
        Ok(forgotten) => tracing::info!(what, days, forgotten, "forgot what is done and old"),
        Err(error) => {
            let source = error.cause();
            tracing::warn!(what, %error, source, "what is old could not be forgotten; trying again later");
        }
    }
}
