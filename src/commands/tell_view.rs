//! The second half of what a copy does: what the log has taken in, the view is told.

use std::iter::repeat_with;

use crate::domain::unread::Change;
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::unread_view::UnreadView;

/// Applies the changes of what the log has taken in, one batch of them. Each item ends as its own change does, or as
/// it ended in the log if it has none or failed there.
pub(super) async fn tell_view<T>(
    view: &dyn UnreadView,
    clock: &dyn Clock,
    logged: Vec<Result<(T, Option<Change>), StoreError>>,
) -> Vec<Result<T, StoreError>> {
    let (mut places, mut changes) = (Vec::new(), Vec::new());
    let mut outcomes = Vec::with_capacity(logged.len());
    for (place, logged) in logged.into_iter().enumerate() {
        outcomes.push(logged.map(|(done, change)| {
            places.extend(change.is_some().then_some(place));
            changes.extend(change);
            done
        }));
    }
    if changes.is_empty() {
        return outcomes;
    }
    let applied = view.apply_all(&changes, clock.now()).await.into_iter();
    // A view that says nothing of a change has not vouched for it.
    let silent = || Err(StoreError::unavailable("unread", "no outcome"));
    for (place, applied) in places.into_iter().zip(applied.chain(repeat_with(silent))) {
        if let Err(error) = applied {
            outcomes[place] = Err(error);
        }
    }
    outcomes
}
