//! A server program that a test started for itself: killed when the test says so, and when the test ends.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use otc_im::infra::clock::System;
use otc_im::ports::clock::Ids;

use super::chance::Chance;
use super::setting;

/// A process with its command line, so that it can be started again as it was.
pub struct Daemon {
    program: PathBuf,
    args: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Daemon {
    /// Starts `program`; what it says goes to a file in `folder`.
    pub fn start(program: &str, args: Vec<String>, folder: &Path) -> Self {
        let mut daemon = Self {
            program: where_is(program),
            args,
            log: folder.join(format!("{program}.log")),
            child: None,
        };
        daemon.restart();
        daemon
    }

    /// Starts it again, after [`Self::kill`].
    pub fn restart(&mut self) {
        let log = File::options().create(true).append(true).open(&self.log).expect("a log can be written");
        let child = Command::new(&self.program)
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap_or_else(|e| panic!("{} does not start: {e}", self.program.display())));
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Whether it was started and not killed since.
    pub fn runs(&self) -> bool {
        self.child.is_some()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `scripts/servers programs DIR` links every server program into one folder.
pub fn where_is(program: &str) -> PathBuf {
    let folder = setting("TEST_PROGRAMS");
    let folder = folder.expect("TEST_PROGRAMS is not set: run scripts/test faults");
    Path::new(&folder).join(program)
}

/// A port that is free now, outside the range from which the system hands out ports to clients.
pub fn free_port() -> u16 {
    let seed = System.fresh().bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(byte));
    let mut chance = Chance::new(seed);
    loop {
        let port = 20_000 + u16::try_from(chance.below(12_000)).expect("below 12,000");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
