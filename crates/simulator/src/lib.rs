//! A stateful fake of NetEase IM: its server API, its message copies, and a control API to make it misbehave.
//!
//! The simulator shares no code with the service it tests. Where it goes wrong, it does so on its own account,
//! and a mistake in the service's signing or parsing cannot hide behind the same mistake in here.
//!
//! Each room names only those above it in this list:
//!
//! - `clock`, `connection`, `lock`, `signing`: tools.
//! - `world`: what NIM knows, accounts, teams, messages, notices and who is online; `gate`: quotas and the log of calls.
//! - `api`, `v10_names`: the calls of either server API by name; `faults`: every misbehaviour, with its bounds;
//!   `switchboard`: the settings in force, with seeded dice.
//! - `delivery`: copies (`copies`), their order and retries (`queue`), one signed post (`webhook`).
//! - `state`: all of these, as the routes share them. `acts`: what changes the world and is copied.
//! - `reception`: what becomes of a call before it is applied, faults, signature, quota, for both server APIs.
//! - `server_api`: `POST /nimserver/{api}.action`. `v10_api`: `/nimserver/im/v2…` and `/im/v2…`. `control`:
//!   `/simulator/…`; `GET /simulator` lists what can be asked.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, post};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::clock::Clock;
use self::connection::{CuttableListener, Line};
use self::delivery::Delivery;
use self::gate::Gate;
use self::state::Shared;
use self::switchboard::Switchboard;
use self::world::World;

mod acts;
mod api;
mod clock;
mod connection;
mod control;
mod delivery;
mod faults;
mod gate;
mod lock;
mod reception;
mod server_api;
mod signing;
mod state;
mod switchboard;
mod v10_api;
mod v10_names;
mod world;

/// The largest request body; `sendBatchAttachMsg` with 5000 accids, percent-encoded, fits well.
const LARGEST_BODY: usize = 4 * 1024 * 1024;
/// How long a stop waits for requests being answered.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// How to run a simulator.
#[derive(Clone)]
pub struct SimulatorConfig {
    /// Must be a loopback address; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The one application it serves.
    pub app_key: String,
    /// Signs copies and judges calls.
    pub app_secret: String,
    /// Where copies go; without it they are lost, and counted as dropped.
    pub webhook_url: Option<String>,
    /// Of all chance: the same seed, the same faults.
    pub seed: u64,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            app_key: "simulated_app_key".to_owned(),
            app_secret: "simulated_app_secret".to_owned(),
            webhook_url: None,
            seed: 0,
        }
    }
}

/// A running simulator. Dropping it stops it too, without waiting.
pub struct Simulator {
    address: SocketAddr,
    delivery: Delivery,
    server: JoinHandle<io::Result<()>>,
    stop_on_drop: DropGuard,
}

impl Simulator {
    /// Binds and serves. Fails on an address that is not loopback: it holds tokens and checks nobody.
    pub async fn start(config: SimulatorConfig) -> io::Result<Self> {
        if !config.listen.ip().is_loopback() {
            let why = "the simulator listens on loopback addresses only";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let stopping = CancellationToken::new();
        let shared = Arc::new(assemble(config, &stopping)?);
        let delivery = shared.delivery.clone();

        let app = routes(shared).into_make_service_with_connect_info::<Line>();
        let server = axum::serve(CuttableListener::new(listener), app)
            .with_graceful_shutdown(stopping.clone().cancelled_owned());
        let server = tokio::spawn(async move { server.await });
        Ok(Self { address, delivery, server, stop_on_drop: stopping.drop_guard() })
    }

    /// The server API's base, `http://127.0.0.1:PORT/nimserver`.
    pub fn base_url(&self) -> String {
        format!("http://{}/nimserver", self.address)
    }

    /// The control API's base, `http://127.0.0.1:PORT/simulator`.
    pub fn control_url(&self) -> String {
        format!("http://{}/simulator", self.address)
    }

    /// Copies go to this address from now on.
    pub fn set_webhook_url(&self, url: String) {
        self.delivery.set_url(url);
    }

    /// Takes no more requests, cancels deliveries, and waits (at most 5 s) for answers under way.
    pub async fn stop(self) {
        let Self { delivery, mut server, stop_on_drop, .. } = self;
        drop(stop_on_drop);
        delivery.stopped().await;
        if tokio::time::timeout(STOP_PATIENCE, &mut server).await.is_err() {
            server.abort();
        }
    }

    /// Serves until the server fails; for a process that does nothing else.
    pub async fn wait(self) {
        // The guard lives as long as `self`, so nothing stops before the server does.
        let Self { server, stop_on_drop, .. } = self;
        let _ = server.await;
        drop(stop_on_drop);
    }
}

fn assemble(config: SimulatorConfig, stopping: &CancellationToken) -> io::Result<Shared> {
    let clock = Arc::new(Clock::start());
    let switchboard = Arc::new(Switchboard::new(config.seed));
    let world = Mutex::new(World::new(clock.started_at_ms()));
    let delivery = Delivery::start(
        (config.app_key.clone(), config.app_secret.clone()),
        config.webhook_url,
        Arc::clone(&clock),
        Arc::clone(&switchboard),
        stopping.clone(),
    )?;
    Ok(Shared {
        app_key: config.app_key,
        app_secret: config.app_secret,
        clock,
        switchboard,
        world,
        gate: Mutex::new(Gate::default()),
        delivery,
        stopping: stopping.clone(),
    })
}

fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/nimserver/{*action}", post(server_api::call))
        // NetEase's newer hosts serve it at the root, its SDKs ask for it below the classic base.
        .route("/nimserver/im/{*path}", any(v10_api::call))
        .route("/im/{*path}", any(v10_api::call))
        .merge(control::routes())
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(shared)
}

#[cfg(test)]
mod tests;
