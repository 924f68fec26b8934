//! The HTTP surface: one file per group of calls, one place for errors, one for reading requests.

pub mod bind;
pub mod connection;
pub mod cors;
mod docs;
pub mod edge;
pub mod health;
mod idempotency;
mod json;
pub mod metrics;
mod notification_order;
pub mod notifications;
pub mod problem;
pub mod read;
mod request;
pub mod router;
mod schemas;
pub mod shared_looks;
pub mod streams;
pub mod unread;
mod unread_query;
pub mod unread_stream;
pub mod webhook;
