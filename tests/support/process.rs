//! The real binary as a process: started, read, told to stop, and killed when its test ends.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::client::Client;
use super::stores::{Settings, variable};

/// How long a process may take to say what is waited for, or to end.
const PATIENCE: Duration = Duration::from_secs(15);

/// A running process. Its environment holds the settings, as `OTC_IM__SECTION__KEY`, and nothing else.
pub struct Process {
    /// Calls it, once [`super::service::Site::spawn`] knows its address.
    pub client: Client,
    child: Child,
    out: UnboundedReceiver<String>,
    log: UnboundedReceiver<String>,
    heard: Vec<String>,
}

impl Process {
    /// Starts it in `folder`.
    pub fn spawn(args: &[&str], settings: &Settings, folder: &Path) -> Self {
        Self::spawn_with_log(args, settings, folder, Stdio::piped())
    }

    /// The same, with its log elsewhere: nothing of it is read here unless it is piped.
    pub fn spawn_with_log(args: &[&str], settings: &Settings, folder: &Path, log: Stdio) -> Self {
        let mut child = command(args, settings, folder)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        let (to_out, out) = unbounded_channel();
        let (to_log, log) = unbounded_channel();
        pass_on(child.stdout.take().expect("piped"), to_out);
        if let Some(stderr) = child.stderr.take() {
            pass_on(stderr, to_log);
        }
        Self { client: Client::new(String::new()), child, out, log, heard: Vec::new() }
    }

    /// The next log line that contains `part`.
    pub async fn log_line(&mut self, part: &str) -> String {
        next_line(&mut self.log, &mut self.heard, part).await
    }

    /// The next line of standard output that contains `part`; those before it are kept in `heard`.
    pub async fn out_line(&mut self, part: &str) -> String {
        next_line(&mut self.out, &mut self.heard, part).await
    }

    /// Every line that was passed over so far.
    pub fn heard(&self) -> &[String] {
        &self.heard
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged since it was last listened to.
    pub fn logged(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.log.try_recv().ok()).collect()
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there");
        assert!(killed.success(), "the process was gone already");
    }

    /// Bounds the numbers of files that it may open from now on; `None` takes the bound away.
    pub fn limit_files(&self, most: Option<u32>) {
        let pid = self.id();
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("the process runs");
        let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("a known limit");
        let hard = files.split_whitespace().nth(4).expect("a hard limit").to_owned();
        let bound = most.map_or(hard, |most| most.to_string());
        let limit = ["--pid".to_owned(), pid.to_string(), format!("--nofile={bound}:")];
        let set = Command::new("prlimit").args(limit).status();
        assert!(set.is_ok_and(|status| status.success()), "prlimit sets the bound");
    }

    /// Waits for its end: the exit code, and everything it logged since it was last listened to.
    pub async fn ended(mut self) -> (Option<i32>, String) {
        let mut rest = Vec::new();
        let read = async {
            while let Some(line) = self.log.recv().await {
                rest.push(line);
            }
        };
        let closed = tokio::time::timeout(PATIENCE, read).await;
        assert!(closed.is_ok(), "the process did not end in time: {rest:?}");
        let status = self.child.wait().expect("a child of ours");
        (status.code(), rest.join("\n"))
    }
}

impl Process {
    /// Waits for its end, whatever it may have logged.
    pub async fn exit_code(mut self) -> Option<i32> {
        let ended = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("a child of ours") {
                    return status.code();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.expect("the process ends in time")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the binary to its end, which is no panic: exit code, standard output, standard error.
pub fn run(args: &[&str], settings: &Settings, folder: &Path) -> (Option<i32>, String, String) {
    let output = command(args, settings, folder).output().expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let (out, log) = (text(output.stdout), text(output.stderr));
    assert!(!log.contains("panicked"), "{log}");
    (output.status.code(), out, log)
}

/// The binary, to be run in `folder` with these settings.
pub fn command(args: &[&str], settings: &Settings, folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_otc-im"));
    command.args(args).current_dir(folder).env_clear().stdin(Stdio::null());
    for (key, value) in settings {
        command.env(variable(key), value);
    }
    command
}

/// A pipe that nobody reads would stop the process, so a thread reads it.
fn pass_on(pipe: impl Read + Send + 'static, lines: UnboundedSender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
}

async fn next_line(lines: &mut UnboundedReceiver<String>, heard: &mut Vec<String>, part: &str) -> String {
    let found = tokio::time::timeout(PATIENCE, async {
        while let Some(line) = lines.recv().await {
            if line.contains(part) {
                return Some(line);
            }
            heard.push(line);
        }
        None
    });
    match found.await {
        Ok(Some(line)) => line,
        _ => panic!("the process never said {part}, but: {heard:#?}"),
    }
}
