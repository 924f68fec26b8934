//! What only answers: one file each, a function over the ports it needs.

pub mod explain;
pub mod store_health;
pub mod unread_counts;
