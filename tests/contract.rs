//! What every adapter of a port has to do, whichever server is behind it: one suite per port, one line per back end.

/// Makes a module per back end: `each` with a test per case, `together` with one test of all cases, for a back end
/// that takes seconds to start. A case is given the opened store.
macro_rules! on_each {
    ($cases:tt $($how:ident $backend:ident: $open:expr;)+) => {
        $( on_each!(@$how $backend, $open, $cases); )+
    };
    (@each $backend:ident, $open:expr, [$($case:ident,)+]) => {
        mod $backend {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let store = $open;
                    super::$case(&store).await;
                    store.close().await;
                }
            )+
        }
    };
    (@together $backend:ident, $open:expr, [$($case:ident,)+]) => {
        mod $backend {
            use super::*;
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn keeps_the_whole_contract() {
                let store = $open;
                $( super::$case(&store).await; )+
                store.close().await;
            }
        }
    };
}

mod account_cache;
mod accounts;
mod batches;
mod big_reader;
mod counting_rules;
mod deliveries;
mod documented_rights;
mod edits;
pub mod facts;
mod gap_finding;
mod gaps;
mod histories;
pub mod interleavings;
mod load_slots;
mod loads;
mod log_races;
mod message_log;
mod model;
mod mongo_commands;
mod mongo_connections;
mod outbox;
mod outbox_keys;
mod outbox_lanes;
mod outbox_leases;
mod outbox_races;
mod outbox_reads;
mod outbox_teams;
mod reconcile;
mod redis_cluster;
mod redis_losses;
mod registration_races;
mod sql_refusals;
mod sql_schemas;
mod unknown_messages;
mod unread_merge;
mod unread_totals;
mod unread_view;
mod upkeep;
pub mod watched;
mod whole_copies;
mod withdrawals;
