//! A site under test: its stores, a NetEase, and services in this process or as the real binary.

use std::process::Stdio;
use std::time::Duration;

use otc_im::app::{self, App};
use otc_im::config::Config;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::client::{Client, KEY};
use super::fresh_name;
use super::netease::NetEase;
use super::process::Process;
use super::stores::{Settings, Stores, variable};
use super::webhook::SECRET;

/// Everything that services of one test share.
pub struct Site {
    /// Empty at first.
    pub stores: Stores,
    /// Its copies go to the service that was started last.
    pub netease: NetEase,
    settings: Settings,
    mark: String,
}

impl Site {
    /// Stores with their schemas, and a new NetEase.
    pub async fn new(stores: Stores) -> Self {
        let site = Self::unmigrated(stores).await;
        app::migrate(&site.config()).await.expect("the schemas can be made");
        site
    }

    /// Stores without their schemas, and a new NetEase.
    pub async fn unmigrated(stores: Stores) -> Self {
        let netease = NetEase::start().await;
        let settings = vec![
            ("http.listen", "127.0.0.1:0".to_owned()),
            ("netease.base_url", netease.base_url()),
            ("netease.app_key", "simulated_app_key".to_owned()),
            ("netease.app_secret", SECRET.to_owned()),
            ("auth.hs256_secret", KEY.to_owned()),
            ("log.format", "json".to_owned()),
        ];
        Self { stores, netease, settings, mark: fresh_name().replace("otc_", "") }
    }

    /// The same site with one more setting.
    pub fn set(self, key: &'static str, value: &str) -> Self {
        let mut site = self.unset(key);
        site.settings.push((key, value.to_owned()));
        site
    }

    /// The same site without this setting.
    pub fn unset(mut self, key: &str) -> Self {
        self.settings.retain(|(known, _)| *known != key);
        self
    }

    /// A user of this site whom no other test knows, in a form that is its own accid.
    pub fn user(&self, name: &str) -> String {
        format!("{name}.{}", self.mark)
    }

    /// Everything that is set.
    pub fn settings(&self) -> Settings {
        [&*self.stores.settings, &*self.settings].concat()
    }

    fn config(&self) -> Config {
        let variable = |(key, value): (&str, String)| (variable(key).into(), value.into());
        Config::of_variables(self.settings().into_iter().map(variable)).expect("a configuration")
    }

    /// A service in this process; NetEase sends it copies.
    pub async fn start(&self) -> Service {
        let config = self.config();
        let app = App::build(&config).await.unwrap_or_else(|e| panic!("{e}"));
        let listener = app::listen(&config).await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let stop = CancellationToken::new();
        tokio::spawn(app.serve(listener, stop.clone()));
        self.netease.send_copies_to(&base);
        Service { client: Client::new(base), _stop: stop.drop_guard() }
    }

    /// The real binary, serving; NetEase sends it copies.
    pub async fn spawn(&self) -> Process {
        let mut process = Process::spawn(&["serve"], &self.settings(), self.stores.folder.path());
        let line = process.log_line("\"serving\"").await;
        let line: Value = serde_json::from_str(&line).expect("a line of JSON");
        let base = format!("http://{}", line["address"].as_str().expect("an address"));
        self.netease.send_copies_to(&base);
        process.client = Client::new(base);
        process
    }

    /// The real binary, serving, with its log elsewhere; NetEase sends it copies.
    pub async fn spawn_with_log(&self, log: Stdio) -> Process {
        // The log would say the port. One that was free a moment ago is free.
        let port =
            TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("an address");
        let settings = [self.settings(), vec![("http.listen", port.to_string())]].concat();
        let mut process = Process::spawn_with_log(&["serve"], &settings, self.stores.folder.path(), log);
        let base = format!("http://{port}");
        self.netease.send_copies_to(&base);
        process.client = Client::new(base);
        eventually("the service listens", async || TcpStream::connect(port).await.is_ok()).await;
        process
    }
}

/// A service in this process. Dropping it stops it.
pub struct Service {
    /// Nobody in particular calls it.
    pub client: Client,
    _stop: DropGuard,
}

/// Looks until `condition` holds: for what reacts in its own time. Everything else drains.
pub async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let look = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(15), look).await;
    assert!(seen.is_ok(), "after 15 s it was still not so that {what}");
}
