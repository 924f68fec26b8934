//! The instances of one service: the real binary, each on an address that it keeps when it is started again.

use std::path::Path;

use super::daemon::free_port;
use crate::support::client::Client;
use crate::support::process::{Process, run};
use crate::support::stores::{Folder, Settings};
use crate::support::webhook::SECRET;

/// Instances over the same stores.
pub struct Fleet {
    instances: Vec<Instance>,
    settings: Settings,
    folder: Folder,
}

struct Instance {
    address: String,
    /// Accounts in a file: one process at a time serves from it, and what is tried here asks for none of them.
    own: Settings,
    process: Option<Process>,
}

impl Fleet {
    /// So many instances over these stores, whose schemas are made first; accounts are in a file of each unless said
    /// otherwise.
    pub async fn start(count: usize, stores: Settings) -> Self {
        let folder = Folder::new();
        let mut settings: Settings = vec![
            ("unread.recheck_after", "2s".to_owned()),
            ("netease.base_url", "http://127.0.0.1:9/nimserver".to_owned()),
            ("netease.app_key", "simulated_app_key".to_owned()),
            ("netease.app_secret", SECRET.to_owned()),
            ("auth.mode", "none".to_owned()),
            ("log.format", "json".to_owned()),
        ];
        for (key, value) in stores {
            settings.retain(|(known, _)| *known != key);
            settings.push((key, value));
        }
        let in_files = settings.iter().all(|(key, _)| *key != "accounts.url");
        let instance = |number: usize| {
            let file = folder.path().join(format!("accounts-{number}.db"));
            let own = in_files.then(|| ("accounts.url", format!("sqlite:{}", file.display())));
            let own: Settings = own.into_iter().collect();
            let (code, _, complaint) = run(&["migrate"], &[&*settings, &own].concat(), folder.path());
            assert_eq!(code, Some(0), "{complaint}");
            Instance { address: format!("127.0.0.1:{}", free_port()), own, process: None }
        };
        let instances = (0..count).map(instance).collect();
        let mut fleet = Self { instances, settings, folder };
        for instance in 0..count {
            fleet.launch(instance).await;
        }
        fleet
    }

    /// What an instance is told, and so any command beside it.
    pub fn settings(&self, instance: usize) -> Settings {
        [&*self.settings, &*self.instances[instance].own].concat()
    }

    /// Where its commands run.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How many instances there are.
    pub fn len(&self) -> usize {
        self.instances.len()
    }

    /// Where each of them is.
    pub fn bases(&self) -> Vec<String> {
        self.instances.iter().map(|instance| format!("http://{}", instance.address)).collect()
    }

    /// Starts an instance that does not run, and waits until it serves.
    pub async fn launch(&mut self, instance: usize) {
        let Instance { address, own, process } = &mut self.instances[instance];
        let settings = [&*self.settings, own, &[("http.listen", address.clone())]].concat();
        let mut started = Process::spawn(&["serve"], &settings, self.folder.path());
        started.log_line("\"serving\"").await;
        started.client = Client::new(format!("http://{address}"));
        *process = Some(started);
    }

    /// SIGKILL.
    pub fn kill(&mut self, instance: usize) {
        self.instances[instance].process = None;
    }

    /// SIGTERM, and waits for the end: it must come by itself, and with everything done.
    pub async fn terminate(&mut self, instance: usize) {
        let Some(process) = self.instances[instance].process.take() else { return };
        process.terminate();
        let (code, log) = process.ended().await;
        let last: Vec<_> = log.lines().rev().take(5).collect();
        assert_eq!(code, Some(0), "the service did not end well: {last:#?}");
    }

    /// What calls one instance.
    pub fn client(&self, instance: usize) -> &Client {
        &self.process(instance).client
    }

    /// Bounds the file descriptors of a running instance, or takes the bound back. Those that it has stay.
    pub fn limit_files(&self, instance: usize, most: Option<u32>) {
        self.process(instance).limit_files(most);
    }

    /// The process id of a running instance.
    pub fn pid(&self, instance: usize) -> u32 {
        self.process(instance).id()
    }

    fn process(&self, instance: usize) -> &Process {
        self.instances[instance].process.as_ref().expect("the instance runs")
    }

    /// The last complaints of every instance, for a test that has failed.
    pub fn complaints(&mut self) -> Vec<String> {
        let processes = self.instances.iter_mut().filter_map(|instance| instance.process.as_mut());
        let bad =
            |line: &String| line.contains("\"ERROR\"") || line.contains("\"WARN\"") || line.contains("panic");
        let last = |process: &mut Process| {
            let lines: Vec<_> = process.logged().into_iter().filter(bad).collect();
            lines[lines.len().saturating_sub(10)..].to_vec()
        };
        processes.flat_map(last).collect()
    }
}
