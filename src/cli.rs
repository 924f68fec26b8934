//! The command line. Exit codes: 0 done, 1 failed, 2 a mistake in the command or the configuration.

mod accounts;
mod check;
mod dead_letters;
#[cfg(feature = "simulator")]
mod dev;
mod explain;
mod output;
mod reconcile;
mod recount;
#[cfg(feature = "simulator")]
mod simulator;
#[cfg(feature = "simulator")]
mod token;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use output::{complain, say};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::{self, App, DataLock, StartError};
use crate::config::{Config, ConfigError};
use crate::domain::ids::{Accid, UserId};
use crate::ports::StoreError;
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
    #[cfg(feature = "simulator")]
    /// Run everything in this process, NetEase simulator included, and print how to try it
    Dev(dev::Dev),
    /// Run the service
    Serve(ConfigFile),
    /// Bring the schemas of the stores up to date
    Migrate(ConfigFile),
    /// Check the configuration, and do one real step on each store, the issuer's key set and NetEase
    Check(check::Check),
    /// Compare the unread view with the message log and put the view right
    Recount(recount::Recount),
    /// Fill the message log from NetEase's history: what was written while copies were lost
    Reconcile(reconcile::Reconcile),
    /// Why is this number what it is? Log and view, message by message
    Explain(explain::Explain),
    /// Tokens and accounts at NetEase
    Accounts(accounts::Accounts),
    /// Message copies that could not be understood
    DeadLetters(dead_letters::DeadLetters),
    #[cfg(feature = "simulator")]
    /// Run the NetEase simulator alone
    Simulator(simulator::SimulatorArgs),
    #[cfg(feature = "simulator")]
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
    /// Reads the configuration.
    fn read(&self) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref())
    }

    /// Reads the configuration and begins to log as it says.
    fn load(&self) -> Result<Config, ConfigError> {
        let config = self.read()?;
        config.validate_stores()?;
        telemetry::start(&config.log)?;
        Ok(config)
    }
}

/// Runs what the command line asks for.
pub async fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        #[cfg(feature = "simulator")]
        Command::Dev(dev) => dev.run().await,
        Command::Serve(file) => serve(file).await,
        Command::Migrate(file) => migrate(file).await,
        Command::Check(check) => check.run().await,
        Command::Recount(recount) => recount.run().await,
        Command::Reconcile(reconcile) => reconcile.run().await,
        Command::Explain(explain) => explain.run().await,
        Command::Accounts(accounts) => accounts.run().await,
        Command::DeadLetters(letters) => letters.run().await,
        #[cfg(feature = "simulator")]
        Command::Simulator(args) => args.run().await,
        #[cfg(feature = "simulator")]
        Command::Token(token) => token.run(),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever read the output has seen enough.
        Err(StartError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(error) => {
            // Behind the lines that led to it, for the last line is the one that is read.
            drop(telemetry::Flush);
            complain(format_args!("otc-im: {error}"));
            ExitCode::from(if matches!(error, StartError::Config(_)) { 2 } else { 1 })
        }
    }
}

async fn serve(file: ConfigFile) -> Result<bool, StartError> {
    let config = file.load()?;
    config.validate()?;
    let _lock = DataLock::take(&config)?;
    let app = App::build(&config).await?;
    // Before anybody is told: whoever sends a signal then is heard.
    let stop = stop_signal()?;
    let listener = app::listen(&config).await?;
    tracing::info!(address = %listener.local_addr()?, "serving");
    app.serve(listener, stop).await
}

async fn migrate(file: ConfigFile) -> Result<bool, StartError> {
    app::migrate(&file.load()?).await?;
    say("the schemas are up to date")?;
    Ok(true)
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
impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        let cause = error.cause().map(|cause| format!(": {cause}")).unwrap_or_default();
        Self::Store(format!("{error}{cause}"))
    }
}

/// The user that an argument names.
fn user(config: &Config, argument: &str, written: &str) -> Result<UserId, StartError> {
    let user = UserId::parse(written, config.accounts.case);
    Ok(user.map_err(|rule| ConfigError(format!("{argument} {rule}")))?)
}

/// The accid that an argument names.
fn accid(argument: &str, written: &str) -> Result<Accid, StartError> {
    Ok(Accid::from_nim(written).map_err(|rule| ConfigError(format!("{argument} {rule}")))?)
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
