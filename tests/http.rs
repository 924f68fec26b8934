//! The HTTP surface, call by call: services in this process, called over sockets.

mod accounts;
mod accounts_limits;
mod accounts_owned;
mod accounts_troubled;
mod connections;
mod connections_h2;
mod cors;
mod identities;
mod long_inputs;
mod notice_text;
mod notification_outbox;
mod notifications;
mod openapi;
mod operation;
mod request_faults;
mod shared_looks;
mod stores_corrupt;
mod stores_out_of_reach;
mod unread;
mod unread_get;
mod unread_refused;
mod unread_stream;
mod unread_total;
mod webhook;
mod webhook_bodies;
mod webhook_costs;
