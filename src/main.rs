//! The binary: an allocator and the command line.

use std::process::ExitCode;

use clap::Parser;
use otc_im::cli::{self, Cli};

/// A poll is many small allocations; this allocator spends less on them than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(Cli::parse()).await
}
