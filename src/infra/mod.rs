//! Adapters: each implements ports on something real. Only `app.rs` names them.

pub mod clock;
pub mod memory;
pub mod mongo;

pub mod redis;
pub mod sql;
