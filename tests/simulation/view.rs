//! The unread view by the domain's own rules, in a server that may lose it, lose one reader, or go back in time as a
//! failover to a replica does that had not yet received the last writes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use otc_im::domain::ids::{Accid, Millis};
use otc_im::domain::message::{ConvType, MessageKey};
use otc_im::domain::unread::{Change, Load, Merged, ReaderView, Reading, Snapshot, Total};
use otc_im::ports::StoreError;
use otc_im::ports::unread_view::{UnreadView, ViewedPair};

use super::ledger::Seq;
use super::port::{Port, Step, Store};
use super::world::{About, Happening, World};

/// How often, in a thousand steps, the replica catches up with the server.
const REPLICATED: u64 = 100;

/// The server, and the replica that lags behind it.
#[derive(Default)]
pub struct Server {
    readers: BTreeMap<Accid, ReaderView>,
    replica: BTreeMap<Accid, ReaderView>,
}

impl Server {
    pub fn lose_all(&mut self, world: &World) {
        self.readers.clear();
        self.replica.clear();
        world.count(Happening::LostAll);
    }

    pub fn lose(&mut self, reader: &Accid, world: &World) {
        self.readers.remove(reader);
        self.replica.remove(reader);
        world.count(Happening::LostReader);
    }

    pub fn go_back(&mut self, world: &World) {
        self.readers = self.replica.clone();
        world.ledger().view_misled();
        world.count(Happening::WentBack);
    }

    fn of(&mut self, reader: &Accid) -> &mut ReaderView {
        self.readers.entry(reader.clone()).or_default()
    }
}

/// The view as one instance sees it.
pub struct SimView {
    pub port: Port,
    pub server: Arc<Mutex<Server>>,
    /// When this instance's load of a reader began: there is one at a time.
    pub began: Mutex<BTreeMap<Accid, Seq>>,
}

impl SimView {
    async fn step<T: Send + 'static>(
        &self,
        what: &'static str,
        reader: &Accid,
        message: Option<MessageKey>,
        act: impl FnOnce(&mut Server) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let about = message.map_or_else(|| About::Reader(reader.clone()), About::Key);
        let world = &self.port.world;
        if world.strikes(world.weather.lost_reader) {
            world.note("server", "loses reader", About::Reader(reader.clone()), "");
            self.server.lock().unwrap_or_else(PoisonError::into_inner).lose(reader, world);
        }
        let (world, replicate) =
            (Arc::clone(world), world.weather.goes_back > 0 && world.strikes(REPLICATED));
        let act = move |server: &mut Server| {
            let done = act(server);
            if replicate {
                world.note("replica", "catches up", About::Nothing, "");
                server.replica = server.readers.clone();
            }
            done
        };
        self.port.step(Step { store: Store::View, what, about }, &self.server, act).await
    }
}

#[async_trait]
impl UnreadView for SimView {
    async fn read(&self, reader: &Accid, peers: &[Accid]) -> Result<Reading, StoreError> {
        let (of, peers) = (reader.clone(), peers.to_vec());
        let read = move |server: &mut Server| {
            server.readers.get(&of).map_or(Reading::Unknown, |view| view.read(&peers))
        };
        self.step("read", reader, None, read).await
    }

    async fn total(&self, reader: &Accid) -> Result<Reading<Total>, StoreError> {
        let of = reader.clone();
        let total =
            move |server: &mut Server| server.readers.get(&of).map_or(Reading::Unknown, ReaderView::total);
        self.step("total", reader, None, total).await
    }

    async fn apply(&self, change: &Change, now: Millis) -> Result<(), StoreError> {
        let of_person = |(server_id, _)| MessageKey { conv_type: ConvType::Person, server_id };
        let what = match change {
            Change { arrived: Some(_), .. } => "apply message",
            Change { recalled: Some(_), .. } => "apply recall",
            _ => "apply receipt",
        };
        let (applied, message) = (change.clone(), change.arrived.map(of_person));
        let apply = move |server: &mut Server| server.of(&applied.reader).apply(&applied, now);
        self.step(what, &change.reader, message, apply).await
    }

    async fn begin_load(&self, reader: &Accid, fresh_token: &str) -> Result<Load, StoreError> {
        let (of, token, world) = (reader.clone(), fresh_token.to_owned(), Arc::clone(&self.port.world));
        let begin = move |server: &mut Server| {
            let began = world.ledger().tick();
            (server.of(&of).begin_load(&token), began)
        };
        let (load, began) = self.step("begin load", reader, None, begin).await?;
        self.began.lock().unwrap_or_else(PoisonError::into_inner).insert(reader.clone(), began);
        Ok(load)
    }

    async fn merge(
        &self,
        reader: &Accid,
        load: &Load,
        snapshot: &Snapshot,
        now: Millis,
    ) -> Result<Merged, StoreError> {
        let began = self.began.lock().unwrap_or_else(PoisonError::into_inner).get(reader).copied();
        let began = began.expect("a load began before it merges");
        let (of, load, snapshot) = (reader.clone(), load.clone(), snapshot.clone());
        let world = Arc::clone(&self.port.world);
        let merge = move |server: &mut Server| {
            let merged = server.of(&of).merge(&load, &snapshot, now);
            match merged {
                Merged::Done { .. } => world.ledger().loaded(&of, began),
                Merged::Superseded => world.count(Happening::Superseded),
            }
            world.note("server", "merged", About::Reader(of), format!("{merged:?}"));
            merged
        };
        self.step("merge", reader, None, merge).await
    }

    async fn explain(&self, reader: &Accid, peer: &Accid) -> Result<ViewedPair, StoreError> {
        let (of, peer) = (reader.clone(), peer.clone());
        let held = move |server: &mut Server| server.of(&of).of_peer(&peer);
        let (unread, mark) = self.step("explain", reader, None, held).await?;
        Ok(ViewedPair { unread, mark })
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.step("ping", &Accid::of_user("nobody"), None, |_| ()).await
    }
}
