//! The service, simulated: the real commands and queries on two instances, over stores that delay, refuse, lose
//! replies, apply late, forget and go back in time, while instances die and clocks leap. Time and chance come from a
//! seed, so whatever goes wrong goes wrong again:
//!
//! ```text
//! SEED=12345 cargo nextest run --no-capture simulation    one seed, with its whole history
//! SEEDS=100000 cargo nextest run simulation               more seeds than usual
//! ```

mod history;
mod ledger;
mod log;
mod netease;
mod polls;
mod port;
mod real_seeds;
mod real_stores;
mod rng;
mod run;
mod seeds;
mod service;
mod verdict;
mod view;
mod world;
