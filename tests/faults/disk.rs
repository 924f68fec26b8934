//! What an instance needs of its machine runs out: space on the disk, and file descriptors.

use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::driver::lock;
use super::fleet::Fleet;
use super::mongo::Mongo;
use super::redis_server::Redis;
use super::trial::Trial;
use super::truth::Log;
use super::within;
use crate::support::stores::Folder;

/// A disk of a few megabytes, gone with its test.
struct TinyDisk(Folder);

impl TinyDisk {
    fn mount() -> Self {
        let disk = Self(Folder::new());
        let mut mount = as_root("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16m,mode=1777", "otc-im-faults"]).arg(disk.path());
        let mounted = mount.status().is_ok_and(|status| status.success());
        assert!(mounted, "a small disk needs root, or sudo without a password");
        disk
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes until nothing fits any more.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = File::create(&path).expect("a file can be made");
        for size in [64 * 1024, 4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = as_root("umount").arg("-l").arg(self.path()).status();
    }
}

/// A command that only root may run.
fn as_root(program: &str) -> Command {
    let owner = std::fs::metadata("/proc/self").map(|own| own.uid());
    if owner.is_ok_and(|uid| uid == 0) {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by scripts/test faults"]
async fn a_full_disk_under_sqlite_acknowledges_nothing_that_is_not_kept() {
    let disk = TinyDisk::mount();
    let url = format!("sqlite:{}", disk.path().join("otc-im.db").display());
    let stores = vec![("messages.url", url.clone()), ("accounts.url", url.clone())];
    let mut trial = Trial::start("SQLite's disk is full", Fleet::start(1, stores).await).await;
    for _ in 0..Trial::rounds(3) {
        trial.go_on(500, 900).await;
        let filler = disk.fill();
        let redelivered = || lock(&trial.load.figures).redelivered;
        let before = redelivered();
        within(Duration::from_secs(10), "copies are refused", async || redelivered() > before + 20).await;
        trial.go_on(300, 700).await;
        std::fs::remove_file(filler).expect("the filler goes");
        trial.recovered().await;
    }
    trial.finish(Log::Sqlite(url)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by scripts/test faults"]
async fn a_service_out_of_file_descriptors_recovers_once_it_has_some() {
    let (mongo, redis) = (Mongo::start(1).await, Redis::start().await);
    let stores = vec![("messages.url", mongo.url()), ("unread.url", redis.url())];
    let mut trial = Trial::start("no file descriptors", Fleet::start(2, stores).await).await;
    trial.load.deaf.store(true, Ordering::Relaxed); // nobody can answer a connection that cannot be accepted
    for _ in 0..Trial::rounds(3) {
        trial.go_on(300, 700).await;
        let instance = trial.chance.index(2);
        let refused = || lock(&trial.load.figures).polls_refused;
        let before = refused();
        // All numbers below this are taken, so nothing new can be opened or accepted.
        trial.fleet.limit_files(instance, Some(4));
        let address = trial.fleet.bases()[instance].replace("http://", "");
        let crowd: Vec<_> = (0..40).filter_map(|_| TcpStream::connect(&address).ok()).collect();
        // It would connect again, and cannot.
        let _: u32 = redis.ask("CLIENT KILL TYPE normal SKIPME yes").await;
        within(Duration::from_secs(10), "polls are refused", async || refused() > before + 20).await;
        trial.go_on(500, 1_000).await;
        drop(crowd);
        trial.fleet.limit_files(instance, None);
        trial.recovered().await;
    }
    trial.finish(Log::Mongo(mongo.database().await)).await;
}
