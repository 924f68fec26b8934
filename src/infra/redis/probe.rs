//! Probes whether Redis lets this user do what the view does, on both lanes.

use redis::{RedisResult, Script, ScriptInvocation};

use super::{Keys, PROBE, RedisView};

impl RedisView {
    /// Does what polls, copies and loads do, on keys of no reader: finds a right that the user lacks, a server that
    /// takes no writes, and a lane that does not answer.
    pub(super) async fn probe(&self) -> RedisResult<()> {
        let keys = &Keys::of(PROBE);
        let poll_lane = async |script: &Script, own: &[&str]| {
            invocation(script, keys, own).invoke_async::<()>(&mut self.connection()).await
        };
        let bulk_lane = async |script: &Script, own: &[&str]| {
            invocation(script, keys, own).invoke_async::<()>(&mut self.connection.bulk()).await
        };
        let (mut poll, mut list) = (redis::cmd("HMGET"), redis::cmd("ZRANGE"));
        poll.arg(&keys.counts).arg("!at");
        list.arg(keys.unread(PROBE)).arg(0).arg(0);
        let done = tokio::try_join!(
            bulk_lane(&self.begin_load, &["!"]),
            bulk_lane(&self.merge_pair, &["!", PROBE, "0", "0", "0", "0", "0"]),
            poll_lane(&self.apply, &[PROBE, "0", "1", "1", "1", "0", "0"]),
            bulk_lane(&self.end_load, &["!", "0", "0"]),
            poll_lane(&self.whole, &["8"]),
            async { poll.query_async::<()>(&mut self.connection()).await },
            async { list.query_async::<()>(&mut self.connection.bulk()).await },
        );
        done.map(|_| ())
    }
}

fn invocation<'a>(script: &'a Script, keys: &Keys, own: &[&str]) -> ScriptInvocation<'a> {
    let mut call = script.prepare_invoke();
    call.key(&keys.counts).key(&keys.marks).key(&keys.gone).key(keys.unread(PROBE)).arg(own);
    call
}
