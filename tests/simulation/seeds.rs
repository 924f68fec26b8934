//! Which seeds are run.

use super::run::{Report, run};
use super::world::{Happening, Tally, hash};

/// Seeds of an ordinary run, all shards together.
const SEEDS: u64 = 12_000;
const SHARDS: u64 = 4;

/// A number that the environment may set.
fn set(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "whoever runs the tests says here which seeds")]
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {value}")))
}

/// One seed with its history if one is named; else this shard of all.
fn shard(number: u64) {
    if let Some(seed) = set("SEED") {
        if seed % SHARDS == number {
            show(&run(seed));
        }
        return;
    }
    let mut seeds = (0..set("SEEDS").unwrap_or(SEEDS)).filter(|seed| seed % SHARDS == number);
    seeds.by_ref().for_each(|seed| run(seed).demand_right());
}

fn show(report: &Report) {
    report.demand_right();
    println!("{report}\nseed {}: right; hash {:016x}; {:?}", report.seed, hash(&report.notes), report.tally);
}

#[test]
fn every_answer_is_within_its_bounds_and_right_in_the_end_shard_0() {
    shard(0);
}

#[test]
fn every_answer_is_within_its_bounds_and_right_in_the_end_shard_1() {
    shard(1);
}

#[test]
fn every_answer_is_within_its_bounds_and_right_in_the_end_shard_2() {
    shard(2);
}

#[test]
fn every_answer_is_within_its_bounds_and_right_in_the_end_shard_3() {
    shard(3);
}

#[test]
fn everything_that_can_go_wrong_does() {
    let mut tally = Tally::new();
    for seed in 0..400 {
        for (happening, times) in run(seed).tally {
            *tally.entry(happening).or_default() += times;
        }
    }
    println!("{tally:?}");
    for happening in Happening::ALL {
        assert!(tally.get(&happening).is_some_and(|times| *times > 0), "{happening:?} never happened");
    }
}

#[test]
fn a_seed_always_means_the_same() {
    for seed in 0..60 {
        let (once, again) = (run(seed), run(seed));
        assert_eq!(hash(&once.notes), hash(&again.notes), "seed {seed}");
    }
}
