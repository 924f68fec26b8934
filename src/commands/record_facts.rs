//! Log, then view: the one order in which facts are recorded.

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::domain::message::Fact;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::message_log::{InsertOutcome, MessageLog, Recorded};
use crate::ports::unread_view::UnreadView;

/// Changes of the view, of one call of the log, that are under way at once.
const CHANGES_AT_ONCE: usize = 16;

/// Records a fact in the log, then tells the view. Idempotent. The view is told again of a repeated fact: it is the
/// repetition that mends what a crash between the two left undone.
pub async fn record_fact(
    log: &dyn MessageLog,
    view: &dyn UnreadView,
    clock: &dyn Clock,
    fact: Fact,
) -> Result<InsertOutcome, StoreError> {
    tell(view, clock, log.record_one(fact).await?).await
}

/// [`record_fact`] of many, in one call of the log. After an error some of them may be recorded and told.
pub async fn record_facts(
    log: &dyn MessageLog,
    view: &dyn UnreadView,
    clock: &dyn Clock,
    facts: Vec<Fact>,
) -> Result<Vec<InsertOutcome>, StoreError> {
    let recorded = stream::iter(log.record(facts).await);
    recorded
        .map(async |recorded| tell(view, clock, recorded?).await)
        .buffered(CHANGES_AT_ONCE)
        .try_collect()
        .await
}

async fn tell(
    view: &dyn UnreadView,
    clock: &dyn Clock,
    recorded: Recorded,
) -> Result<InsertOutcome, StoreError> {
    if let Some(change) = recorded.change {
        view.apply(&change, clock.now()).await?;
    }
    Ok(recorded.copy)
}
