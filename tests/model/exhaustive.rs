//! Scenes that are explored to the last state, in some seconds each. Each says what it is about, and has to reach the
//! situations that it is there for.

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use otc_im::domain::message::Fact;

use super::scene::{Budget, Grain, Scene, message, recall, receipt};
use super::situations as reached;

/// Explores a scene; `least` states, so that a scene that was cut short by accident is noticed.
pub fn explore(scene: Scene, least: usize) {
    let begun = Instant::now();
    let name = std::thread::current().name().unwrap_or("a scene").to_owned();
    let checker = scene.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let states = checker.unique_state_count();
    println!("{name}: {states} states, {} deep, {:.1?}", checker.max_depth(), begun.elapsed());
    checker.assert_properties();
    assert!(states >= least, "{states} states are fewer than {least}: something no longer happens");
}

pub fn scene(readers: &[&str], facts: Vec<Fact>, budget: Budget, reaches: &[&'static str]) -> Scene {
    Scene { budget, reaches: reaches.to_vec(), ..Scene::of(readers, facts) }
}

/// Two messages of one time, and late ones: below the mark, below an older receipt.
#[test]
fn receipts_and_messages_meet_in_every_order_of_mongodbs_operations() {
    let facts = vec![
        message(1, "ben", "ann", 10),
        message(2, "ben", "ann", 10),
        message(3, "ben", "ann", 5),
        receipt("ann", "ben", 5),
        receipt("ann", "ben", 10),
    ];
    let budget = Budget { loads: 1, ..Budget::default() };
    let reaches =
        [reached::LATE, reached::TWINS, reached::READ, reached::IGNORANT, reached::ADDS, reached::TORN];
    explore(Scene { grain: Grain::Operations, ..scene(&["ann"], facts, budget, &reaches) }, 900_000);
}

#[test]
fn a_crash_between_any_two_operations_is_mended_by_the_next_delivery() {
    let facts = vec![message(1, "ben", "ann", 10), receipt("ann", "ben", 10), recall(1, "ben", "ann")];
    let budget = Budget { loads: 1, repeats: 1, crashes: 1, ..Budget::default() };
    let reaches =
        [reached::HALF_DONE, reached::EARLY_RECALL, reached::FILLED, reached::LATE, reached::REPEATED];
    explore(Scene { grain: Grain::Operations, ..scene(&["ann"], facts, budget, &reaches) }, 200_000);
}

#[test]
fn a_view_that_was_lost_is_unknown_until_it_is_whole_again() {
    let facts = vec![message(1, "ben", "ann", 10), receipt("ann", "ben", 10), recall(1, "ben", "ann")];
    let budget = Budget { loads: 3, losses: 1, ..Budget::default() };
    let reaches = [reached::SUPERSEDED, reached::SHARED_TOKEN, reached::IGNORANT, reached::ADDS];
    explore(scene(&["ann"], facts, budget, &reaches), 120_000);
}

#[test]
fn a_failover_without_the_newest_writes_is_healed_by_one_recheck() {
    let facts = vec![message(1, "ben", "ann", 10), receipt("ann", "ben", 10), recall(1, "ben", "ann")];
    let budget = Budget { loads: 3, failovers: 1, ..Budget::default() };
    let reaches = [reached::REMOVES, reached::TOO_FEW, reached::TOO_MANY, reached::SHARED_TOKEN];
    explore(scene(&["ann"], facts, budget, &reaches), 500_000);
}

#[test]
fn readers_and_peers_do_not_touch_each_other() {
    let facts = vec![
        message(1, "ben", "ann", 10),
        message(2, "ann", "ben", 10),
        message(3, "cat", "ann", 10),
        receipt("ann", "ben", 10),
    ];
    let budget = Budget { loads: 2, reader_losses: 1, ..Budget::default() };
    let reaches = [reached::BOTH, reached::READ, reached::IGNORANT];
    explore(scene(&["ann", "ben"], facts, budget, &reaches), 400_000);
}
