//! Time-outs of Redis: to connect, and to answer a command.

use std::time::Duration;

use redis::ErrorKind;
use redis::io::tcp::TcpSettings;

/// How long connecting may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// No command waits longer than this for its answer; most polls are one.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the kernel keeps unanswered bytes before it gives a dead peer up.
const USER_TIMEOUT: Duration = Duration::from_secs(2);

/// Nothing waits to fill a packet, and a peer that is gone is noticed.
pub(super) fn tcp_settings() -> TcpSettings {
    TcpSettings::default().set_nodelay(true).set_user_timeout(USER_TIMEOUT)
}

pub(super) fn timed_out() -> redis::RedisError {
    (ErrorKind::Io, "no answer in time").into()
}
