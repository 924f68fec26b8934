//! Probes whether Redis lets this user do what the view does, on both lanes.

use redis::{RedisResult, Script, ScriptInvocation, Value};

use super::connection::Connection;
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
            poll_lane(&self.sum, &[]),
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

/// What a Redis does once it is full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhenFull {
    /// It evicts what is used least, or something else of all keys; holds the policy.
    Evicts(String),
    /// It refuses writes, because this policy finds nothing of ours to evict.
    Refuses(String),
    /// It has no bound of its own.
    Unbounded,
    /// It does not say.
    NotTold,
}

impl Connection {
    /// What Redis does once it is full; of a cluster, what the first node that answers does. `CONFIG` would say it, too,
    /// but managed servers refuse that.
    pub async fn when_full(&self) -> WhenFull {
        let answer = self.send(redis::cmd("INFO").arg("memory")).await;
        let Some(info) = answer.ok().as_ref().and_then(first_text) else { return WhenFull::NotTold };
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        match (field("maxmemory"), field("maxmemory_policy")) {
            (Some("0"), _) => WhenFull::Unbounded,
            (_, Some(policy)) if policy.starts_with("allkeys-") => WhenFull::Evicts(policy.to_owned()),
            (_, Some(policy)) => WhenFull::Refuses(policy.to_owned()),
            _ => WhenFull::NotTold,
        }
    }
}

/// The first text in an answer; a cluster answers with one for each node.
fn first_text(answer: &Value) -> Option<String> {
    match answer {
        Value::BulkString(text) => String::from_utf8(text.clone()).ok(),
        Value::VerbatimString { text, .. } => Some(text.clone()),
        Value::Map(nodes) => nodes.iter().find_map(|(_, answer)| first_text(answer)),
        _ => None,
    }
}
