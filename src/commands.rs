//! What changes something: one file each, a function over the ports it needs.

pub mod befriend;
pub mod bind_account;
pub mod caller_limits;
pub mod clamp_receipt;
pub mod copy_flow;
pub mod deliver;
pub mod find_gaps;
pub mod forget_old;
pub mod keep_dead_letters;
pub mod log_failure;
pub mod mark_read;
pub mod projector;
pub mod receive_copy;
pub mod reconcile;
pub mod reconcile_gaps;
pub mod record_facts;
pub mod recount;
pub mod redrive;
pub mod refresh_token;
pub mod register_account;
pub mod send_notification;
pub mod verify_accounts;
