//! The binary: an allocator and the command line.

use std::process::ExitCode;

use clap::Parser;
use otc_im::cli::{self, Cli};
use otc_im::telemetry;

/// A poll is many small allocations; this allocator spends less on them than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Last, after whatever the runtime logs as it ends.
    let _flush = telemetry::Flush;
    run(Cli::parse())
}

#[tokio::main]
async fn run(cli: Cli) -> ExitCode {
    cli::run(cli).await
}
