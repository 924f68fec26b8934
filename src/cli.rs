//! The command line. Exit codes: 0 done, 1 failed, 2 a mistake in the command or the configuration.

mod accounts;
mod dead_letters;
mod dev;
mod explain;
mod recount;
mod token;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::{self, App, StartError};
use crate::config::{Config, ConfigError};
use crate::domain::ids::{Accid, UserId};
use crate::ports::StoreError;
use crate::simulator::{Simulator, SimulatorConfig};
use crate::telemetry;

/// The chat back end of an OTC trading site on NetEase IM.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything in this process, NetEase simulator included, and print how to try it
    Dev(dev::Dev),
    /// Run the service
    Serve(ConfigFile),
    /// Bring the schemas of the stores up to date
    Migrate(ConfigFile),
    /// Check the configuration and the connections to the stores
    Check(ConfigFile),
    /// Compare the unread view with the message log and put the view right
    Recount(recount::Recount),
    /// Why is this number what it is? Log and view, message by message
    Explain(explain::Explain),
    /// Tokens and accounts at NetEase
    Accounts(accounts::Accounts),
    /// Message copies that could not be understood
    DeadLetters(dead_letters::DeadLetters),
    /// Run the NetEase simulator alone
    Simulator(SimulatorArgs),
    /// Print a JWT for trying things out; it is signed with the key of `otc-im dev`
    Token(token::Token),
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// A configuration file; `otc-im.toml` is read if it is there
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// Reads the configuration and begins to log as it says.
    fn load(&self) -> Result<Config, ConfigError> {
        let config = Config::load(self.config.as_deref())?;
        telemetry::start(&config.log)?;
        Ok(config)
    }
}

#[derive(Debug, Args)]
struct SimulatorArgs {
    /// Where to listen, on loopback
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// Where message copies go
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/receiveMsg.action")]
    webhook_url: String,
    /// The app key that calls have to name
    #[arg(long, value_name = "KEY", default_value = "simulated_app_key")]
    app_key: String,
    /// The app secret that signs calls and copies
    #[arg(long, value_name = "SECRET", default_value = "simulated_app_secret")]
    app_secret: String,
    /// Decides all chance
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
}

/// Runs what the command line asks for.
pub async fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Dev(dev) => dev.run().await,
        Command::Serve(file) => serve(file).await,
        Command::Migrate(file) => migrate(file).await,
        Command::Check(file) => check(file).await,
        Command::Recount(recount) => recount.run().await,
        Command::Explain(explain) => explain.run().await,
        Command::Accounts(accounts) => accounts.run().await,
        Command::DeadLetters(letters) => letters.run().await,
        Command::Simulator(args) => simulate(args).await,
        Command::Token(token) => token.run(),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("otc-im: {error}");
            ExitCode::from(if matches!(error, StartError::Config(_)) { 2 } else { 1 })
        }
    }
}

async fn serve(file: ConfigFile) -> Result<bool, StartError> {
    let config = file.load()?;
    let app = App::build(&config).await?;
    let listener = app::listen(&config).await?;
    tracing::info!(address = %listener.local_addr()?, "serving");
    app.serve(listener, stop_signal()?).await
}

async fn migrate(file: ConfigFile) -> Result<bool, StartError> {
    app::migrate(&file.load()?).await?;
    println!("the schemas are up to date");
    Ok(true)
}

async fn check(file: ConfigFile) -> Result<bool, StartError> {
    App::build(&file.load()?).await?;
    println!("the configuration is complete; the stores answer, and their schemas are up to date");
    Ok(true)
}

async fn simulate(args: SimulatorArgs) -> Result<bool, StartError> {
    let SimulatorArgs { listen, webhook_url, app_key, app_secret, seed } = args;
    let config = SimulatorConfig { listen, app_key, app_secret, webhook_url: Some(webhook_url), seed };
    let simulator = start_simulator(config).await?;
    println!("NetEase, simulated: {}\nTell it what to do: {}", simulator.base_url(), simulator.control_url());
    stop_signal()?.cancelled().await;
    simulator.stop().await;
    Ok(true)
}

async fn start_simulator(config: SimulatorConfig) -> Result<Simulator, StartError> {
    let address = config.listen;
    Simulator::start(config).await.map_err(|e| {
        StartError::Store(format!("the simulator cannot listen on {address}: {e}; give it another address"))
    })
}

/// Cancelled by SIGTERM and by Ctrl-C.
fn stop_signal() -> Result<CancellationToken, StartError> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
        stopped.cancel();
    });
    Ok(stop)
}

/// A store's failure with what its driver said.
fn failed(error: &StoreError) -> StartError {
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    StartError::Store(format!("{error}{source}"))
}

/// The accid of the user that an argument names.
fn accid(argument: &str, user: &str) -> Result<Accid, StartError> {
    let user = UserId::parse(user).map_err(|rule| ConfigError(format!("{argument} {rule}")))?;
    Ok(user.accid())
}

/// A view in memory lives inside the running service: no other process can look at it.
fn refuse_memory(config: &Config) -> Result<(), ConfigError> {
    match config.unread.url.starts_with("memory:") {
        true => Err(ConfigError(
            "unread.url is memory:, and that view lives inside the running service, out of sight of this command: a \
             restart of the service loads it anew"
                .into(),
        )),
        false => Ok(()),
    }
}
