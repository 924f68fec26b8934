//! The rules, pure: identities, message copies, receipts, and what counts as unread.
//!
//! Nothing here does I/O, reads a clock or imports another part of this crate.

pub mod copy;
pub mod counting;
pub mod excerpt;
pub mod ids;
pub mod message;
pub mod names;
pub mod outbox;
pub mod signature;
pub mod silence;
pub mod unread;
