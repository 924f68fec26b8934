//! Log lines: set up once, here. Whoever logs waits for nothing: a thread of its own writes the lines, and what standard
//! error does not take is lost and counted.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal, Write, stderr};
use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::config::{ConfigError, Log, LogFormat};
use crate::log_gate::LogGate;

/// Lines that wait for standard error. More are lost.
const WAITING_LINES: usize = 8_192;
/// How long the end of the process waits for them.
const FLUSH_WITHIN: Duration = Duration::from_millis(1_500);

/// Lines that standard error refused: a full disk, a pipe that nobody reads any more.
static REFUSED: AtomicU64 = AtomicU64::new(0);
static WRITER: OnceLock<Writer> = OnceLock::new();

struct Writer {
    /// Lines that found no room to wait.
    no_room: ErrorCounter,
    thread: Mutex<Option<WorkerGuard>>,
}

/// Writes log lines to standard error from now on. Call it once.
pub fn start(log: &Log) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&log.filter).map_err(|e| {
        ConfigError(format!("log.filter is not understood: {e}; write for example info,otc_im=debug"))
    })?;
    let (writer, thread) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .lossy(true)
        .thread_name("log")
        .finish(StandardError);
    WRITER.get_or_init(|| Writer { no_room: writer.error_counter(), thread: Mutex::new(Some(thread)) });
    // An error of the log itself would go to standard error, and a panic would follow where that is broken.
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).log_internal_errors(false);
    match log.format {
        LogFormat::Pretty => lines.with_ansi(stderr().is_terminal()).with_target(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Shows under `/metrics` how many lines were lost.
pub fn register_metrics(registry: &mut Registry) {
    registry.register_collector(Box::new(LostLogLines));
}

#[derive(Debug)]
struct LostLogLines;

impl Collector for LostLogLines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let lost = ConstCounter::new(lost_lines());
        let help = "Log lines that standard error did not take";
        lost.encode(encoder.encode_descriptor("log_lines_lost", help, None, lost.metric_type())?)
    }
}

/// Lines that were lost since the process began.
fn lost_lines() -> u64 {
    let no_room = WRITER.get().map_or(0, |writer| writer.no_room.dropped_lines());
    REFUSED.load(Ordering::Relaxed).saturating_add(no_room as u64)
}

/// Waits at its end, for a bounded time, until the lines are written that still wait.
#[derive(Debug)]
pub struct Flush;

impl Drop for Flush {
    fn drop(&mut self) {
        let thread = WRITER
            .get()
            .and_then(|writer| writer.thread.lock().unwrap_or_else(PoisonError::into_inner).take());
        let Some(thread) = thread else { return };
        let (done, flushed) = mpsc::channel::<()>();
        // Elsewhere, because dropping the guard may itself print, and wait for whoever has stopped to read.
        std::thread::spawn(move || {
            drop(thread);
            drop(done);
        });
        // Either way there is nothing more to wait for.
        let _ = flushed.recv_timeout(FLUSH_WITHIN);
    }
}

/// The hook of the standard library writes to standard error itself, and waits for it.
fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    static PANICS: LogGate = LogGate::new();
    if let Some(count) = PANICS.pass() {
        let at = panic.location().map(ToString::to_string);
        let panic = panic.payload_as_str().unwrap_or("not text");
        tracing::error!(count, panic, at, "something panicked");
    }
}

/// Standard error as the writing thread sees it: each write is a line, and none of them fails.
struct StandardError;

impl Write for StandardError {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if stderr().write_all(&one_line(line)).is_err() {
            REFUSED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The line without line breaks within: whatever a field holds, it cannot pass for a line of its own.
fn one_line(line: &[u8]) -> Cow<'_, [u8]> {
    let breaks = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let (text, end) = line.split_at(line.len() - usize::from(line.ends_with(b"\n")));
    match text.iter().any(breaks) {
        false => Cow::Borrowed(line),
        true => text.iter().map(|byte| if breaks(byte) { b' ' } else { *byte }).chain(end.to_vec()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(&*one_line(b"INFO serving\n"), b"INFO serving\n");
        assert_eq!(&*one_line(b"WARN desc=a\nINFO forged\r\n"), b"WARN desc=a INFO forged \n");
        assert_eq!(&*one_line(b""), b"");
    }
}
