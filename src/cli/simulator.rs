//! `otc-im simulator`: a NetEase to try things out on, and the way `dev` starts one.

use std::net::SocketAddr;

use clap::Args;
use otc_im_simulator::{Simulator, SimulatorConfig};

use super::output::say;
use super::stop_signal;
use crate::app::StartError;

/// `otc-im simulator`
#[derive(Debug, Args)]
pub struct SimulatorArgs {
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

impl SimulatorArgs {
    /// Runs until it is told to stop.
    pub async fn run(self) -> Result<bool, StartError> {
        let Self { listen, webhook_url, app_key, app_secret, seed } = self;
        let config = SimulatorConfig { listen, app_key, app_secret, webhook_url: Some(webhook_url), seed };
        let simulator = start_simulator(config).await?;
        let stop = stop_signal()?;
        // Who cannot be told may try it all the same.
        let _ = say(format_args!(
            "NetEase, simulated: {}\nTell it what to do: {}",
            simulator.base_url(),
            simulator.control_url()
        ));
        stop.cancelled().await;
        simulator.stop().await;
        Ok(true)
    }
}

/// Starts a simulator, or says why it cannot listen.
pub async fn start_simulator(config: SimulatorConfig) -> Result<Simulator, StartError> {
    let address = config.listen;
    Simulator::start(config).await.map_err(|e| {
        StartError::Store(format!("the simulator cannot listen on {address}: {e}; give it another address"))
    })
}
