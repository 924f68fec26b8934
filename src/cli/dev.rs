//! `otc-im dev`: service, stores and NetEase simulator in one process, and how to try them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use futures_util::FutureExt;
use otc_im_simulator::SimulatorConfig;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::output::say;
use super::simulator::start_simulator;
use super::token::{self, Signer};
use super::{ConfigFile, stop_signal};
use crate::app::{self, App, DataLock, StartError};
use crate::commands::reconcile::{Mode, PairsRead, Reconciler, Window};
use crate::config::{AuthMode, Config, ConfigError, LOOPBACK};
use crate::demo::{self, Demo};
use crate::domain::ids::Accid;
use crate::infra::clock::System;
use crate::infra::http_client;
use crate::ports::clock::Clock;

/// The demo page waits no longer for the simulator, which may be told to take a minute.
const SIMULATOR_TIMEOUT: Duration = Duration::from_mins(1);
/// What a path must not hold bare within a URL.
const IN_A_URL: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#');

/// Whose page the demo is.
const USER: &str = "alice";
/// How far back the demo looks for lost messages: a day.
const LATELY_MS: i64 = 24 * 3_600_000;

/// `otc-im dev`
#[derive(Debug, Args)]
pub struct Dev {
    #[command(flatten)]
    file: ConfigFile,
    /// Where the data and the key for tokens are kept
    #[arg(long, value_name = "DIR", default_value = "data")]
    data_dir: PathBuf,
    /// Where the simulator listens, on loopback; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    simulator_listen: SocketAddr,
}

impl Dev {
    /// Runs until it is told to stop.
    pub async fn run(self) -> Result<bool, StartError> {
        let mut config = self.file.load()?;
        if config.accounts.url != Config::default().accounts.url {
            // The simulator begins without accounts, so those of the file are taken back at every start.
            let why = "otc-im dev keeps its accounts in a file of its own: leave accounts.url out, or use otc-im serve";
            return Err(ConfigError(why.into()).into());
        }
        let own_keys = token::own_keys(&config.auth);
        if own_keys.is_none() {
            config.auth.hs256_secret = Some(token::dev_key(&self.data_dir)?);
        }
        keep_data_in(&self.data_dir, &mut config);

        if !config.http.listen.ip().is_loopback() {
            let why = "otc-im dev listens on loopback only, since its secrets are known to all: set http.listen to \
                       an address such as 127.0.0.1:8080, or use otc-im serve";
            return Err(ConfigError(why.into()).into());
        }
        if config.http.cors_origins.is_empty() {
            config.http.cors_origins = vec![LOOPBACK.to_owned()];
        }
        let _lock = DataLock::take(&config)?;
        let listener = app::listen(&config).await?;
        let service = format!("http://{}", listener.local_addr()?);
        let simulator = start_simulator(SimulatorConfig {
            listen: self.simulator_listen,
            webhook_url: Some(format!("{service}/receiveMsg.action")),
            ..SimulatorConfig::default()
        })
        .await?;
        let simulated = SimulatorConfig::default();
        config.netease.base_url = simulator.base_url();
        config.netease.backup_base_url = None;
        config.netease.proxy = None;
        config.netease.app_key = simulated.app_key;
        config.netease.app_secret = simulated.app_secret.into();

        app::migrate(&config).await?;
        app::forget_netease(&config).await?;
        let app = App::build(&config).await?;
        let signer = match (config.auth.mode, config.auth.hs256_secret.clone()) {
            (AuthMode::Jwt, Some(key)) => Some(Signer { key, auth: config.auth.clone() }),
            _ => None,
        };
        let token = signer.as_ref().map(|signer| signer.token(USER, "notify", 24)).transpose()?;
        let reconciler = app.reconciler();
        let demo = demo::router(Demo {
            simulator: simulator.control_url(),
            http: http_client::client(SIMULATOR_TIMEOUT, SIMULATOR_TIMEOUT, &http_client::Egress::default())
                .map_err(|e| StartError::Store(format!("the demo's client cannot be made: {e}")))?,
            user: USER,
            reconcile: Box::new(move || reconcile(reconciler.clone()).boxed()),
            token: Box::new(move || signer.as_ref()?.token(USER, "notify", 24).ok()),
        });
        let app = app.with(demo);
        let stop = stop_signal()?;
        // Who cannot be told may try it all the same.
        let tokens = about_tokens(own_keys, token.as_deref(), &self.data_dir);
        let _ = say(how_to_try(&service, &simulator.control_url(), &tokens, &self.data_dir));
        let drained = app.serve(listener, stop).await;
        simulator.stop().await;
        drained
    }
}

/// Everything that the demo's user and others have written lately.
async fn reconcile(reconciler: Reconciler) -> Result<usize, String> {
    let now = System.now();
    let lately = Window { from: now.plus(-LATELY_MS), to: now };
    let user = Accid::of_user(USER);
    let found = reconciler.user(&user, lately, Mode::Store, &mut PairsRead::default()).await;
    found.map(|found| found.added).map_err(|error| error.to_string())
}

/// Stores that were not configured are kept in `data_dir`.
fn keep_data_in(data_dir: &Path, config: &mut Config) {
    let default = Config::default();
    let file = data_dir.join("otc-im.db");
    let url = format!("sqlite:{}", utf8_percent_encode(&file.to_string_lossy(), IN_A_URL));
    config.accounts.url.clone_from(&url);
    if config.messages.url == default.messages.url {
        config.messages.url = url;
    }
}

/// Where tokens come from, and the line for the shell that sets alice's.
fn about_tokens(
    own_keys: Option<(&'static str, &'static str)>,
    token: Option<&str>,
    data_dir: &Path,
) -> String {
    let line = format!("  TOKEN={}", token.unwrap_or("none"));
    match own_keys {
        None => {
            let data = data_dir.display();
            format!("The token is alice's; `otc-im token NAME --data-dir {data}` prints others.\n\n{line}")
        }
        Some((key, what)) => format!("This service has {key}: {what}.\n\n{line}"),
    }
}

fn how_to_try(service: &str, simulator: &str, tokens: &str, data_dir: &Path) -> String {
    let data = data_dir.display();
    format!(
        r#"
otc-im is running. Its data is in {data}; Ctrl-C stops it.

  demo        {service}/demo/   (an order page with live badges: open it in a browser)
  service     {service}        (all calls: {service}/docs)
  simulator   {simulator}    (NetEase, and its users)

Paste these into another terminal. {tokens}

  # alice opens a chat with bob: both get accounts at NetEase and become friends
  curl -s {service}/v1/accounts/bind -H "Authorization: Bearer $TOKEN" -d '{{"buyer":"alice","buyerName":"Alice","seller":"bob"}}'; echo

  # bob sends alice three messages; NetEase posts a signed copy of each to the service
  curl -s {simulator}/send -H 'Content-Type: application/json' -d '{{"from":"bob","to":"alice","body":"hello","count":3}}'; echo

  # the order page asks: 3 unread from bob
  curl -s {service}/v1/unread -H "Authorization: Bearer $TOKEN" -d '{{"self":"alice","users":["bob","carol"]}}'; echo

  # alice reads them; NetEase posts the read receipt
  curl -s {simulator}/read -H 'Content-Type: application/json' -d '{{"reader":"alice","peer":"bob"}}'; echo

  # the order page asks again: 0
  curl -s '{service}/v1/unread?self=alice&users=bob,carol' -H "Authorization: Bearer $TOKEN"; echo

  # a system notice to alice, and what her phone got
  curl -s {service}/v1/notifications -H "Authorization: Bearer $TOKEN" -d '{{"to":"alice","attach":{{"type":"shipped","order":42}},"pushContent":"Your goods have shipped"}}'; echo
  curl -s '{simulator}/notices?to=alice'; echo
"#
    )
}
