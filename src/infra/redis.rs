//! The unread view on Redis. Per reader, all keys under one hash tag, so that one script can touch them on a cluster:
//!
//! ```text
//! im:{reader}:n         hash  peer → count, only what is not zero; `!at` when loaded, `!token` of a load under way,
//!                             `!marks` and `!gone` the sizes that the next two keys must have
//! im:{reader}:m         hash  peer → mark
//! im:{reader}:g         zset  recalled ids, by the time of the recall
//! im:{reader}:u:{peer}  zset  unread ids, by the time of the message
//! ```
//!
//! An accid has no `!`, so a peer cannot be mistaken for one of those fields; `sum.lua` knows them by name. The counts name the size of every other
//! key: when Redis evicts one of them, the next script notices, and the reader is loaded again.
//!
//! Polls and webhooks share one connection; loads, rechecks, recounts and `explain` go by the bulk lane (`bulk.rs`).

mod address;
mod bulk;
mod cluster;
mod connection;
mod connector;
pub mod counters;
mod identity;
pub mod near;
mod probe;
mod sentinel;
mod session;
mod single;
mod sum;
mod timeouts;
mod tracking;
mod whole;

use std::collections::HashMap;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use redis::{RedisError, Script, ScriptInvocation, Value};
use tokio::sync::Semaphore;

pub use address::RedisAddress;
pub use connection::Connection;
pub use near::NearView;
pub use probe::WhenFull;

use crate::domain::ids::{Accid, Millis, ServerId};
use crate::domain::unread::{Change, Load, Merged, Reading, Snapshot, TOMBSTONE_MS, Total};
use crate::ports::StoreError;
use crate::ports::unread_view::{UnreadView, ViewedPair};

/// The store's name in errors.
const STORE: &str = "unread";
/// The reader and the peer of the probe: no accid.
const PROBE: &str = "!";
/// Ids that one script call adds or removes: about a millisecond of Redis.
const IDS_PER_CALL: usize = 1_000;

/// The unread view on a Redis server or cluster.
pub struct RedisView {
    connection: Connection,
    apply: Script,
    begin_load: Script,
    merge_pair: Script,
    end_load: Script,
    whole: Script,
    sum: Script,
    /// One sum at a time.
    sums: Semaphore,
}

/// What the log says of one pair: its mark, what to add, what to remove, what was taken back.
#[derive(Default)]
struct PairMerge {
    mark: Option<Millis>,
    add: Vec<(ServerId, Millis)>,
    remove: Vec<ServerId>,
    recalled: Vec<ServerId>,
}

impl RedisView {
    /// The view behind `connection`.
    pub fn new(connection: Connection) -> Self {
        Self {
            connection,
            apply: Script::new(include_str!("redis/apply.lua")),
            begin_load: Script::new(include_str!("redis/begin_load.lua")),
            merge_pair: Script::new(include_str!("redis/merge_pair.lua")),
            end_load: Script::new(include_str!("redis/end_load.lua")),
            whole: Script::new(include_str!("redis/whole.lua")),
            sum: Script::new(include_str!("redis/sum.lua")),
            sums: Semaphore::new(1),
        }
    }

    fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// The call that takes one event in.
    fn application(&self, change: &Change, now: Millis) -> ScriptInvocation<'_> {
        let keys = Keys::of(change.reader.as_str());
        let (id, at) = change.arrived.map_or((None, 0), |(id, at)| (Some(id.get()), at.0));
        let mut call = self.apply.prepare_invoke();
        call.key(&keys.counts).key(&keys.marks).key(&keys.gone).key(keys.unread(change.peer.as_str()));
        call.arg(change.peer.as_str()).arg(optional(change.mark.map(|m| m.0)));
        call.arg(optional(id)).arg(at).arg(optional(change.recalled.map(ServerId::get)));
        call.arg(now.0).arg(TOMBSTONE_MS);
        call
    }

    /// Every id that one pair held at some moment since the call began.
    async fn ids_of(&self, keys: &Keys, peer: &Accid) -> Result<Vec<(Accid, ServerId)>, StoreError> {
        let mut ids = Vec::new();
        loop {
            let page: Vec<i64> = redis::cmd("ZRANGE")
                .arg(keys.unread(peer.as_str()))
                .arg(ids.len())
                .arg(ids.len() + IDS_PER_CALL - 1)
                .query_async(&mut self.connection.bulk())
                .await
                .map_err(failure)?;
            let full = page.len() == IDS_PER_CALL;
            ids.extend(page.into_iter().filter_map(ServerId::new).map(|id| (peer.clone(), id)));
            if !full {
                return Ok(ids);
            }
        }
    }

    /// Merges one pair in pieces; `None` when the load is superseded.
    async fn merge_pair(
        &self,
        keys: &Keys,
        token: &str,
        peer: &Accid,
        pair: PairMerge,
        now: Millis,
    ) -> Result<Option<(usize, usize)>, StoreError> {
        let mut total = (0, 0);
        let longest = pair.add.len().max(pair.remove.len()).max(pair.recalled.len());
        let pieces = longest.div_ceil(IDS_PER_CALL).max(1);
        for piece in 0..pieces {
            let part = |n: usize| (piece * IDS_PER_CALL).min(n)..((piece + 1) * IDS_PER_CALL).min(n);
            let (add, remove) = (&pair.add[part(pair.add.len())], &pair.remove[part(pair.remove.len())]);
            let recalled = &pair.recalled[part(pair.recalled.len())];
            let mut call = self.merge_pair.prepare_invoke();
            call.key(&keys.counts).key(&keys.marks).key(&keys.gone).key(keys.unread(peer.as_str()));
            call.arg(token).arg(peer.as_str()).arg(optional(pair.mark.map(|m| m.0)));
            call.arg(now.0).arg(add.len()).arg(remove.len());
            for (id, at) in add {
                call.arg(id.get()).arg(at.0);
            }
            for id in remove.iter().chain(recalled) {
                call.arg(id.get());
            }
            let merged: Option<(usize, usize)> =
                call.invoke_async(&mut self.connection.bulk()).await.map_err(failure)?;
            let Some((added, removed)) = merged else { return Ok(None) };
            total = (total.0 + added, total.1 + removed);
        }
        Ok(Some(total))
    }
}

#[async_trait]
impl UnreadView for RedisView {
    async fn read(&self, reader: &Accid, peers: &[Accid]) -> Result<Reading, StoreError> {
        let mut command = redis::cmd("HMGET");
        command.arg(counts_key(reader.as_str())).arg("!at");
        for peer in peers {
            command.arg(peer.as_str());
        }
        // Not `query_async`: its conversions go through all fields twice before one is looked at.
        let reply = self.connection.send(&command).await.map_err(failure)?;
        let (loaded_at, counts) = match &reply {
            Value::Array(fields) => fields.split_first(),
            Value::ServerError(refusal) => return Err(failure(refusal.clone().into())),
            _ => None,
        }
        .ok_or_else(|| corrupt("HMGET is not answered with a list"))?;
        let Some(loaded_at) = number(loaded_at)? else { return Ok(Reading::Unknown) };
        let counts = counts.iter().map(|count| Ok(number(count)?.unwrap_or(0).unsigned_abs()));
        Ok(Reading::Known { counts: counts.collect::<Result<_, _>>()?, loaded_at: Millis(loaded_at) })
    }

    async fn total(&self, reader: &Accid) -> Result<Reading<Total>, StoreError> {
        self.total_of(reader).await
    }

    async fn apply(&self, change: &Change, now: Millis) -> Result<(), StoreError> {
        self.application(change, now).invoke_async(&mut self.connection()).await.map_err(failure)
    }

    async fn begin_load(&self, reader: &Accid, fresh_token: &str) -> Result<Load, StoreError> {
        let keys = Keys::of(reader.as_str());
        let mut call = self.begin_load.prepare_invoke();
        call.key(&keys.counts).key(&keys.marks).key(&keys.gone).arg(fresh_token);
        let (token, fields): (String, Vec<String>) =
            call.invoke_async(&mut self.connection.bulk()).await.map_err(failure)?;
        let peers: Vec<Accid> = fields.iter().filter_map(|field| Accid::from_nim(field).ok()).collect();
        let keys = &keys;
        let held: Vec<Vec<_>> = stream::iter(peers)
            .map(|peer| async move { self.ids_of(keys, &peer).await })
            .buffer_unordered(bulk::CONNECTIONS)
            .try_collect()
            .await?;
        Ok(Load { token, held: held.into_iter().flatten().collect() })
    }

    async fn merge(
        &self,
        reader: &Accid,
        load: &Load,
        snapshot: &Snapshot,
        now: Millis,
    ) -> Result<Merged, StoreError> {
        let keys = &Keys::of(reader.as_str());
        let merges: Vec<Option<(usize, usize)>> = stream::iter(by_pair(load, snapshot))
            .map(|(peer, pair)| async move { self.merge_pair(keys, &load.token, &peer, pair, now).await })
            .buffer_unordered(bulk::CONNECTIONS)
            .try_collect()
            .await?;
        let Some(merges) = merges.into_iter().collect::<Option<Vec<_>>>() else {
            return Ok(Merged::Superseded);
        };
        let mut call = self.end_load.prepare_invoke();
        call.key(&keys.counts).key(&keys.marks).key(&keys.gone);
        call.arg(&load.token).arg(now.0).arg(now.plus(-TOMBSTONE_MS).0);
        let vouched: bool = call.invoke_async(&mut self.connection.bulk()).await.map_err(failure)?;
        let (added, removed) = merges.iter().fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
        Ok(if vouched { Merged::Done { added, removed } } else { Merged::Superseded })
    }

    fn trusted_since(&self) -> Millis {
        self.connection.trusted_since()
    }

    async fn explain(&self, reader: &Accid, peer: &Accid) -> Result<ViewedPair, StoreError> {
        let keys = Keys::of(reader.as_str());
        let (mut list, mut mark) = (redis::cmd("ZRANGE"), redis::cmd("HGET"));
        list.arg(keys.unread(peer.as_str())).arg(0).arg(-1).arg("WITHSCORES");
        mark.arg(&keys.marks).arg(peer.as_str());
        let mut lane = self.connection.bulk();
        let unread: Vec<(i64, f64)> = list.query_async(&mut lane).await.map_err(failure)?;
        let mark: Option<i64> = mark.query_async(&mut lane).await.map_err(failure)?;
        #[expect(clippy::cast_possible_truncation, reason = "times are whole and far below 2^53")]
        let entry = |(id, at): (i64, f64)| Some((ServerId::new(id)?, Millis(at as i64)));
        Ok(ViewedPair { unread: unread.into_iter().filter_map(entry).collect(), mark: mark.map(Millis) })
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.probe().await.map_err(failure)
    }
}

/// A field of a hash: what redis-rs does for each of hundreds in a poll, without its detours.
fn number(field: &Value) -> Result<Option<i64>, StoreError> {
    let text = match field {
        Value::Nil => return Ok(None),
        Value::BulkString(text) => std::str::from_utf8(text).ok(),
        _ => None,
    };
    text.and_then(|text| text.parse().ok()).map(Some).ok_or_else(|| corrupt("a count is no number"))
}

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt { store: STORE, what: what.to_owned() }
}

/// Sorts a snapshot, and what the view held beyond it, by peer.
fn by_pair(load: &Load, snapshot: &Snapshot) -> HashMap<Accid, PairMerge> {
    let mut pairs: HashMap<Accid, PairMerge> = HashMap::new();
    for (peer, mark) in &snapshot.marks {
        pairs.entry(peer.clone()).or_default().mark = Some(*mark);
    }
    for (peer, id) in &snapshot.recalled {
        pairs.entry(peer.clone()).or_default().recalled.push(*id);
    }
    for (peer, id, at) in &snapshot.unread {
        pairs.entry(peer.clone()).or_default().add.push((*id, *at));
    }
    for (peer, id) in load.no_longer_counted(snapshot) {
        pairs.entry(peer.clone()).or_default().remove.push(*id);
    }
    pairs
}

/// The names of one reader's keys.
struct Keys {
    counts: String,
    marks: String,
    gone: String,
    reader: String,
}

impl Keys {
    fn of(reader: &str) -> Self {
        let key = |kind| key(reader, kind);
        Self { counts: counts_key(reader), marks: key('m'), gone: key('g'), reader: key('u') }
    }

    fn unread(&self, peer: &str) -> String {
        format!("{}:{peer}", self.reader)
    }
}

fn counts_key(reader: &str) -> String {
    key(reader, 'n')
}

fn key(reader: &str, kind: char) -> String {
    let mut key = String::with_capacity("im:{}:".len() + reader.len() + 1);
    key.extend(["im:{", reader, "}:"]);
    key.push(kind);
    key
}

/// Scripts take an empty argument for "nothing".
fn optional(value: Option<i64>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}

/// Which error of the port it is: out of reach, refused, or something in Redis that this service never wrote.
fn failure(error: RedisError) -> StoreError {
    // Within a script, a right that is missing is told in words alone.
    let lacks_right = error.detail().is_some_and(|said| said.contains("can't run this command"));
    match error.code() {
        Some("NOPERM" | "NOAUTH" | "WRONGPASS") => StoreError::refused(STORE, error),
        _ if lacks_right => StoreError::refused(STORE, error),
        Some("WRONGTYPE") => corrupt(&error.to_string()),
        _ => StoreError::unavailable(STORE, error),
    }
}

#[cfg(test)]
mod tests {
    /// Proxies of managed servers read the text of a script, and refuse one whose keys do not stand there as `KEYS[n]`.
    #[test]
    fn scripts_name_each_key_as_a_key() {
        let scripts = [
            include_str!("redis/apply.lua"),
            include_str!("redis/begin_load.lua"),
            include_str!("redis/merge_pair.lua"),
            include_str!("redis/end_load.lua"),
            include_str!("redis/whole.lua"),
            include_str!("redis/sum.lua"),
        ];
        for script in scripts {
            let calls: Vec<&str> = script.split("redis.call(").skip(1).collect();
            assert!(!calls.is_empty());
            for call in calls {
                let key = call.split(", ").nth(1).unwrap_or_default();
                assert!(key.starts_with("KEYS["), "redis.call({}", call.lines().next().unwrap_or_default());
            }
        }
    }
}
