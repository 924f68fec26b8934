//! The binary: an allocator and the command line.

use std::io;
use std::process::ExitCode;

use clap::Parser;
use otc_im::cli::{self, Cli};
use otc_im::telemetry;
use tokio::runtime::Runtime;

/// A poll is many small allocations; this allocator spends less on them than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> io::Result<ExitCode> {
    // Last, after whatever is logged at the end.
    let _flush = telemetry::Flush;
    let cli = Cli::parse();
    let runtime = Runtime::new()?;
    let code = runtime.block_on(cli::run(cli));
    // Everything that matters has come to its end, and goes with the process. Torn down, the runtime would drop the
    // tasks of MongoDB's driver one by one, and those that outlive the others panic.
    std::mem::forget(runtime);
    Ok(code)
}
