//! Adapters: each implements ports on something real. Only `app.rs` names them.

pub mod authorities;
pub mod cache;
pub mod changes;
pub mod clock;
pub mod group_commit;
pub mod http_client;
pub mod jwt;
pub mod memory;
pub mod mongo;
pub mod netease;
pub mod no_authentication;
pub mod paced_history;
pub mod redis;
pub mod sql;
