//! What `scripts/bench` needs in Rust: the load generator, the peers that the service is compared with, and a harness
//! whose instructions are counted. The rest is in `benches/bed`.

mod copies;
mod fill;
mod http;
mod instructions;
mod load;
mod poll_peers;
mod raw_mongo;
mod serve;
mod source;
mod stats;
mod webhook_peers;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The same allocator as the service, so that no peer loses by it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Whatever goes wrong ends the command with a sentence.
type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Cargo passes it to every benchmark.
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the plan that stands in standard input, and prints what came of it as JSON
    Load,
    /// Answers polls without a store
    Bare {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Answers each poll with one aggregation in MongoDB
    Aggregate {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        mongo: String,
    },
    /// Takes webhooks in, one write each
    NaiveWebhook(webhook_peers::Naive),
    /// Writes documents with the driver alone, and prints what came of it as JSON
    RawMongo(raw_mongo::RawMongo),
    /// Puts readers into the view in Redis
    Fill(fill::Fill),
    /// Does one thing many times, so that its instructions can be counted
    Instructions(instructions::Instructions),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Load => serve::on_one_thread(load::run()),
        Command::Bare { listen } => serve::on_all_threads(poll_peers::bare(listen)),
        Command::Aggregate { listen, mongo } => serve::on_all_threads(poll_peers::aggregate(listen, mongo)),
        Command::NaiveWebhook(naive) => serve::on_all_threads(naive.run()),
        Command::RawMongo(raw) => serve::on_all_threads(raw.run()),
        Command::Fill(fill) => serve::on_all_threads(fill.run()),
        Command::Instructions(instructions) => serve::on_one_thread(instructions.run()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
