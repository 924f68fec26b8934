//! All tests that need more than one module: one binary, so that it is linked once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod architecture;
mod circles;
mod contract;
mod documents;
mod e2e;
mod faults;
mod gateway;
mod http;
mod model;
mod near;
mod simulation;
mod support;
