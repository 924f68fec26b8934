//! The same as `exhaustive` with more going on: minutes each, and some gigabytes. Run by name, with `--ignored`.

use super::exhaustive::{explore, scene};
use super::near;
use super::scene::{Budget, Grain, Scene, message, recall, receipt};
use super::situations as reached;

#[test]
#[ignore = "takes minutes"]
fn longer_a_crash_among_older_and_newer_receipts_is_mended() {
    let facts = vec![
        message(1, "ben", "ann", 10),
        receipt("ann", "ben", 5),
        receipt("ann", "ben", 10),
        recall(1, "ben", "ann"),
    ];
    let budget = Budget { loads: 1, repeats: 1, crashes: 1, ..Budget::default() };
    let reaches =
        [reached::HALF_DONE, reached::EARLY_RECALL, reached::FILLED, reached::LATE, reached::REPEATED];
    explore(Scene { grain: Grain::Operations, ..scene(&["ann"], facts, budget, &reaches) }, 2_000_000);
}

#[test]
#[ignore = "takes minutes"]
fn longer_a_lost_view_and_a_crash_at_once_leave_no_wrong_number() {
    let facts = vec![message(1, "ben", "ann", 10), receipt("ann", "ben", 10), recall(1, "ben", "ann")];
    let budget = Budget { loads: 3, losses: 1, crashes: 1, ..Budget::default() };
    let reaches = [reached::SUPERSEDED, reached::SHARED_TOKEN, reached::IGNORANT, reached::ADDS];
    explore(scene(&["ann"], facts, budget, &reaches), 900_000);
}

#[test]
#[ignore = "takes minutes"]
fn longer_a_failover_during_loads_cut_into_mongodbs_reads_is_healed() {
    let facts = vec![message(1, "ben", "ann", 10), receipt("ann", "ben", 10), recall(1, "ben", "ann")];
    let budget = Budget { loads: 3, failovers: 1, ..Budget::default() };
    let reaches = [reached::REMOVES, reached::TOO_FEW, reached::TOO_MANY, reached::TORN];
    explore(Scene { grain: Grain::Operations, ..scene(&["ann"], facts, budget, &reaches) }, 2_000_000);
}

#[test]
#[ignore = "takes minutes"]
fn longer_a_near_cache_keeps_its_promises_with_more_going_on() {
    near::explore(near::Budget { own: 2, foreign: 1, reads: 3, beats: 2, breaks: 1 }, 6_000_000);
}
