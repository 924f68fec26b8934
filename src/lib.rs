//! The chat back end of an OTC trading site whose chat runs on NetEase IM (云信): accounts, system notices, message
//! copies, and — above all — how many messages somebody has not read. ARCHITECTURE.md says how it hangs together.

pub mod app;
pub mod cli;
pub mod commands;
pub mod config;
#[cfg(feature = "simulator")]
pub mod demo;
pub mod domain;
pub mod http;
pub mod infra;
pub mod log_gate;
pub mod ports;
pub mod queries;
pub mod telemetry;
