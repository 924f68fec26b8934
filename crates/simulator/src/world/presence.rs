//! Log-ins and log-outs of IM clients.

use std::collections::{BTreeMap, HashMap, VecDeque};

/// Events that are kept per account; the oldest go first.
const MOST_EVENTS: usize = 1_000;

/// A log-in or log-out.
#[derive(Clone, Debug)]
pub struct Event {
    /// Unix time in milliseconds.
    pub at: i64,
    /// In (event 2), or out (event 3).
    pub login: bool,
    /// AOS, IOS, PC, WEB, MAC, …
    pub client: String,
}

/// Who came and went, and who is there.
#[derive(Default)]
pub struct Presence {
    events: HashMap<String, VecDeque<Event>>,
    /// By accid, then by kind of client: since when.
    online: HashMap<String, BTreeMap<String, i64>>,
}

impl Presence {
    /// Notes a log-in with this kind of client.
    pub fn log_in(&mut self, accid: &str, client: &str, now_ms: i64) {
        self.online.entry(accid.to_owned()).or_default().insert(client.to_owned(), now_ms);
        self.note(accid, Event { at: now_ms, login: true, client: client.to_owned() });
    }

    /// Notes that this kind of client logged out, or all of them; returns how many were online.
    pub fn log_out(&mut self, accid: &str, client: Option<&str>, now_ms: i64) -> usize {
        let online = self.online.entry(accid.to_owned()).or_default();
        let leaves = |kind: &str| client.is_none_or(|client| client == kind);
        let leaving: Vec<String> = online.keys().filter(|kind| leaves(kind)).cloned().collect();
        online.retain(|kind, _| !leaves(kind));
        for client in &leaving {
            self.note(accid, Event { at: now_ms, login: false, client: client.clone() });
        }
        leaving.len()
    }

    /// The kinds of client this account is online with, and since when, Unix time in milliseconds.
    pub fn online(&self, accid: &str) -> impl Iterator<Item = (&str, i64)> {
        self.online.get(accid).into_iter().flatten().map(|(client, &since)| (client.as_str(), since))
    }

    /// Whether this account ever logged in.
    pub fn was_seen(&self, accid: &str) -> bool {
        self.events.contains_key(accid)
    }

    /// This account's events in `begin_ms..=end_ms`, oldest first.
    pub fn events(&self, accid: &str, begin_ms: i64, end_ms: i64) -> impl DoubleEndedIterator<Item = &Event> {
        let within = move |event: &&Event| (begin_ms..=end_ms).contains(&event.at);
        self.events.get(accid).into_iter().flatten().filter(within)
    }

    fn note(&mut self, accid: &str, event: Event) {
        let events = self.events.entry(accid.to_owned()).or_default();
        events.push_back(event);
        if events.len() > MOST_EVENTS {
            events.pop_front();
        }
    }
}
