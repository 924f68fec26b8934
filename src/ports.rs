//! What commands and queries need of the world, as traits and plain types. A method of a store is one atomic change or one
//! read.
//!
//! Adapters live in `infra`. Constructors are no part of a port: `app.rs` alone makes adapters.

pub mod accounts;
pub mod authenticator;
pub mod clock;
pub mod dead_letters;
pub mod gaps;
pub mod gateway;
pub mod history;
pub mod log_upkeep;
pub mod message_log;
pub mod outbox;
pub mod store_error;
pub mod unread_changes;
pub mod unread_view;
pub mod view_loader;

pub use store_error::StoreError;
