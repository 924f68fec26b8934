//! The HTTP surface: one file per group of calls, one place for errors, one for reading requests.

pub mod api;
mod bind;
pub mod connection;
pub mod cors;
mod docs;
mod health;
mod idempotency;
mod json;
pub mod metrics;
mod notification_order;
mod notifications;
pub mod problem;
mod request;
pub mod router;
pub mod streams;
mod unread;
mod unread_page;
pub mod unread_stream;
mod webhook;
