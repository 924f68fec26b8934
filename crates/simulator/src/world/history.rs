//! NIM's history: what of a pair or a team lies in a span of time, and with whom somebody wrote when.

use super::messages::{Chat, Keeping, Message};

/// Which messages of a chat to look for. Times are Unix times in milliseconds, both ends included.
#[derive(Clone, Debug)]
pub struct Span {
    /// The earliest.
    pub begin_ms: i64,
    /// The latest.
    pub end_ms: i64,
    /// How many at most.
    pub limit: usize,
    /// Newest first, or oldest first.
    pub newest_first: bool,
    /// Only these kinds, by number (`type` of msg/sendMsg); all if `None`.
    pub kinds: Option<Vec<u16>>,
    /// Go on behind this message, where the last page ended; no effect if it is not in the span.
    pub behind: Option<u64>,
    /// Whether messages that clients do not notice are wanted too (`includeNoSenseMsg`).
    pub no_sense: bool,
    /// Whether messages that were never delivered are part of the history. Nobody knows.
    pub withheld: bool,
}

impl Span {
    /// What of a chat is asked for, without recalled messages, in the order of their times, then of their ids.
    fn pick<'a>(&self, chat: impl Iterator<Item = &'a Message>) -> Vec<&'a Message> {
        let wanted = |message: &&Message| {
            is_shown(message, self)
                && (self.begin_ms..=self.end_ms).contains(&message.msg_timestamp)
                && self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind_number(&message.msg_type)))
        };
        let mut found: Vec<&Message> = chat.filter(wanted).collect();
        found.sort_by_key(|message| (message.msg_timestamp, message.msgid_server));
        if self.newest_first {
            found.reverse();
        }
        let anchor = self.behind.and_then(|id| found.iter().position(|message| message.msgid_server == id));
        found.into_iter().skip(anchor.map_or(0, |at| at + 1)).take(self.limit).collect()
    }
}

/// One row of a session list.
#[derive(Debug)]
pub struct Session<'a> {
    /// Accid of the other one.
    pub peer: &'a str,
    /// Time of the newest message of the two, recalled ones included.
    pub updated_at: i64,
    /// The newest message that the history shows.
    pub last: Option<&'a Message>,
}

impl Chat {
    /// Messages of the two, either way, as [`Span::pick`] has them.
    pub fn history(&self, one: &str, other: &str, span: &Span) -> Vec<&Message> {
        span.pick(self.of_pair(one, other))
    }

    /// Messages of a team, as [`Span::pick`] has them.
    pub fn team_history(&self, tid: &str, span: &Span) -> Vec<&Message> {
        span.pick(self.of_team(tid))
    }

    /// With whom an account exchanged person messages, last in `min_ms..=max_ms`: the newest `limit`, newest first,
    /// and whether there are more.
    pub fn sessions(
        &self,
        accid: &str,
        (min_ms, max_ms): (i64, i64),
        limit: usize,
        withheld: bool,
    ) -> (Vec<Session<'_>>, bool) {
        let session = |peer| {
            let known = || self.of_pair(accid, peer).filter(|message| withheld || !message.blocked);
            let updated_at = known().map(|message| message.msg_timestamp).max()?;
            let last = known()
                .filter(|message| !message.recalled && message.keeping == Keeping::History)
                .max_by_key(|message| (message.msg_timestamp, message.msgid_server));
            Some(Session { peer, updated_at, last })
        };
        let mut found: Vec<Session<'_>> = self
            .peers_of(accid)
            .filter_map(session)
            .filter(|session| (min_ms..=max_ms).contains(&session.updated_at))
            .collect();
        found.sort_by_key(|session| std::cmp::Reverse(session.updated_at));
        let more = found.len() > limit;
        found.truncate(limit);
        (found, more)
    }
}

fn is_shown(message: &Message, span: &Span) -> bool {
    let listed = match message.keeping {
        Keeping::History => true,
        Keeping::NoSense => span.no_sense,
        Keeping::Unlisted | Keeping::Nowhere => false,
    };
    listed && !message.recalled && (span.withheld || !message.blocked)
}

/// The number that the server API has for a copy's `msgType`; 100, "custom", for one that is not documented.
pub fn kind_number(msg_type: &str) -> u16 {
    match msg_type {
        "TEXT" => 0,
        "PICTURE" => 1,
        "AUDIO" => 2,
        "VIDEO" => 3,
        "LOCATION" => 4,
        "NOTIFICATION" => 5,
        "FILE" => 6,
        "TIPS" => 10,
        "ROBOT" => 11,
        "NRTC_NETCALL" => 12,
        _ => 100,
    }
}

/// The number that the server API has for a copy's `fromClientType`; 0 for one that is not documented.
pub fn client_number(client: &str) -> u16 {
    match client {
        "AOS" => 1,
        "IOS" => 2,
        "PC" => 4,
        "WINPHONE" => 8,
        "WEB" => 16,
        "REST" => 32,
        "MAC" => 64,
        "HARMONY" => 65,
        _ => 0,
    }
}
