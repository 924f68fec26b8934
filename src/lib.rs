//! The chat back end of an OTC trading site on NetEase IM.
pub mod domain;
pub mod ports;
pub mod infra;
