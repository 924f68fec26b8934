//! What was said, read and recalled: the facts a naive unread count can be taken from.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Bytes of words that are kept, counted for each message; past it the oldest messages lose theirs.
const MOST_BYTES_OF_WORDS: usize = 64 * 1024 * 1024;

/// The kind of conversation a copy belongs to (`eventType` 1, `convType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConvType {
    /// Person to person: what unread counts are made of.
    Person,
    /// A team's chat.
    Team,
    /// A super team's chat.
    SuperTeam,
    /// A notice to a person.
    CustomPerson,
    /// A notice to a team.
    CustomTeam,
}

impl ConvType {
    /// Whether `to` is an account rather than a team.
    pub fn is_to_account(self) -> bool {
        matches!(self, Self::Person | Self::CustomPerson)
    }

    /// The `eventType` of a recall, for kinds that can be recalled.
    pub fn recall_event(self) -> Option<u64> {
        match self {
            Self::Person => Some(7),
            Self::Team => Some(8),
            Self::SuperTeam => Some(25),
            Self::CustomPerson | Self::CustomTeam => None,
        }
    }
}

/// What a message says. Messages that were sent together share it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The text; may be empty.
    pub body: String,
    /// What a message other than a text carries, JSON as a rule.
    pub attach: Option<String>,
    /// The kind of the sending client: AOS, IOS, PC, WEB, REST, MAC, HARMONY or WINPHONE.
    pub client: String,
}

impl Said {
    fn bytes(&self) -> usize {
        self.body.len() + self.attach.as_ref().map_or(0, String::len)
    }
}

/// Where a message can be seen again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keeping {
    /// In the history.
    #[default]
    History,
    /// In a history that asks for what clients do not notice (`includeNoSenseMsg`).
    NoSense,
    /// Not in the history (option `history` off).
    Unlisted,
    /// Nowhere: its number is 0 (option `persistent` off).
    Nowhere,
}

/// A message before NIM has numbered it.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The sending client's id.
    pub msgid_client: String,
    /// Accid of the sender.
    pub from: String,
    /// Accid or team id.
    pub to: String,
    /// Kind of conversation.
    pub conv_type: ConvType,
    /// TEXT, PICTURE, …
    pub msg_type: String,
    /// Caught by review or by the receiver's blacklist.
    pub blocked: bool,
    /// Where it can be seen again.
    pub keeping: Keeping,
    /// What it says.
    pub said: Arc<Said>,
}

/// One message or notice, as NIM knows it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// NIM's own id: 18 digits, increasing within its kind.
    #[serde(serialize_with = "as_text")]
    pub msgid_server: u64,
    /// The sending client's id.
    pub msgid_client: String,
    /// Unix time in milliseconds.
    pub msg_timestamp: i64,
    /// Accid of the sender.
    pub from: String,
    /// Accid or team id.
    pub to: String,
    /// Kind of conversation.
    pub conv_type: ConvType,
    /// TEXT, PICTURE, … as given.
    pub msg_type: String,
    /// Caught by review or by the receiver's blacklist: copied, but never delivered.
    pub blocked: bool,
    /// Taken back by its sender.
    pub recalled: bool,
    /// Where it can be seen again. Listings leave it out.
    #[serde(skip)]
    pub keeping: Keeping,
    /// What it says. Listings leave it out.
    #[serde(skip)]
    pub said: Arc<Said>,
}

// Ids exceed 2^53, so a listing writes them as strings, whatever the copies do.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out a reference")]
fn as_text<S: serde::Serializer>(id: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// Everything that was said and read, in the order of sending.
pub struct Chat {
    messages: Vec<Message>,
    /// Messages of each chat as places in `messages`: of a pair, or of a team, which has no other half.
    places: HashMap<(String, String), Vec<usize>>,
    /// With whom each account has exchanged person messages.
    peers: HashMap<String, BTreeSet<String>>,
    bytes_of_words: usize,
    /// Messages before this place have lost their words.
    wordless: usize,
    read_up_to: HashMap<(String, String), i64>,
    last_timestamp: i64,
    ids: Ids,
}

impl Chat {
    /// An empty history. Ids start from the start time, so a later simulator never repeats an earlier one's.
    pub fn new(started_at_ms: i64) -> Self {
        Self {
            messages: Vec::new(),
            places: HashMap::new(),
            peers: HashMap::new(),
            bytes_of_words: 0,
            wordless: 0,
            read_up_to: HashMap::new(),
            last_timestamp: 0,
            ids: Ids::starting(started_at_ms),
        }
    }

    /// Reserves `count` message times in a row, each one larger than any before; returns the first.
    ///
    /// A large batch is dated back, to end at `now_ms` where it can: messages from the future would look wrong.
    pub fn take_timestamps(&mut self, now_ms: i64, count: usize) -> i64 {
        let count = i64::try_from(count).unwrap_or(i64::MAX).max(1);
        let first = (self.last_timestamp + 1).max(now_ms - count + 1);
        self.last_timestamp = first + count - 1;
        first
    }

    /// A message or notice of a person or team by its number.
    pub fn find(&self, conv_type: ConvType, msgid_server: u64) -> Option<&Message> {
        let is_it =
            |message: &&Message| message.msgid_server == msgid_server && message.conv_type == conv_type;
        self.messages.iter().rev().find(is_it)
    }

    /// Numbers a message, dates it `at` (Unix time in milliseconds) and keeps it.
    ///
    /// Persons, teams and notices run separate sequences, as in NetEase's samples, unless `one_range`.
    pub fn write(&mut self, draft: Draft, at: i64, one_range: bool) -> Message {
        let kept = draft.keeping != Keeping::Nowhere;
        let message = Message {
            msgid_server: if kept { self.ids.take(draft.conv_type, one_range) } else { 0 },
            msgid_client: draft.msgid_client,
            msg_timestamp: at,
            from: draft.from,
            to: draft.to,
            conv_type: draft.conv_type,
            msg_type: draft.msg_type,
            blocked: draft.blocked,
            recalled: false,
            keeping: draft.keeping,
            said: draft.said,
        };
        if kept {
            self.keep(message.clone());
        }
        message
    }

    fn keep(&mut self, message: Message) {
        let chat = match message.conv_type {
            ConvType::Person => Some(pair_of(&message.from, &message.to)),
            ConvType::Team => Some(team_of(&message.to)),
            _ => None,
        };
        if message.conv_type == ConvType::Person {
            for (one, other) in [(&message.from, &message.to), (&message.to, &message.from)] {
                self.peers.entry(one.clone()).or_default().insert(other.clone());
            }
        }
        if let Some(chat) = chat {
            self.places.entry(chat).or_default().push(self.messages.len());
        }
        self.bytes_of_words += message.said.bytes();
        self.messages.push(message);
        while self.bytes_of_words > MOST_BYTES_OF_WORDS {
            let Some(oldest) = self.messages.get_mut(self.wordless) else { break };
            let said = std::mem::take(&mut oldest.said);
            self.bytes_of_words -= said.bytes();
            self.wordless += 1;
        }
    }

    /// Notes that `reader` has read everything `peer` sent up to and including `timestamp`, and returns that time.
    /// Without one it is that of the newest message, or `now_ms` if there is none. Marks never go down.
    pub fn mark_read(&mut self, reader: &str, peer: &str, timestamp: Option<i64>, now_ms: i64) -> i64 {
        let timestamp = timestamp.or_else(|| self.newest(reader, peer)).unwrap_or(now_ms);
        let mark = self.read_up_to.entry((reader.to_owned(), peer.to_owned())).or_insert(timestamp);
        *mark = (*mark).max(timestamp);
        // A batch dated back must not slip under a receipt that was given before it.
        if timestamp <= now_ms {
            self.last_timestamp = self.last_timestamp.max(timestamp);
        }
        timestamp
    }

    /// Marks a message recalled and returns it; `None` for an id that never was, or was a notice's.
    pub fn recall(&mut self, msgid_server: u64) -> Option<Message> {
        let recallable = |message: &&mut Message| {
            message.msgid_server == msgid_server && message.conv_type.recall_event().is_some()
        };
        let message = self.messages.iter_mut().rev().find(recallable)?;
        message.recalled = true;
        Some(message.clone())
    }

    /// The message of this id, if its kind can be recalled.
    pub fn recallable(&self, msgid_server: u64) -> Option<&Message> {
        let of_id = |message: &&Message| message.msgid_server == msgid_server;
        self.messages.iter().rev().filter(of_id).find(|message| message.conv_type.recall_event().is_some())
    }

    /// Person messages from `peer` to `reader`, oldest first.
    pub fn between<'a>(&'a self, reader: &'a str, peer: &'a str) -> impl Iterator<Item = &'a Message> {
        self.of_pair(reader, peer).filter(move |message| message.from == peer && message.to == reader)
    }

    /// Person messages of the two, either way, in the order of sending.
    pub fn of_pair(&self, one: &str, other: &str) -> impl Iterator<Item = &Message> + use<'_> {
        self.of_chat(&pair_of(one, other))
    }

    /// Messages of a team, in the order of sending.
    pub fn of_team(&self, tid: &str) -> impl Iterator<Item = &Message> + use<'_> {
        self.of_chat(&team_of(tid))
    }

    fn of_chat(&self, chat: &(String, String)) -> impl Iterator<Item = &Message> + use<'_> {
        let places = self.places.get(chat).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|&place| self.messages.get(place))
    }

    /// With whom this account has exchanged person messages.
    pub fn peers_of(&self, accid: &str) -> impl Iterator<Item = &str> + use<'_> {
        self.peers.get(accid).into_iter().flatten().map(String::as_str)
    }

    /// Time of the newest person message from `peer` to `reader`.
    pub fn newest(&self, reader: &str, peer: &str) -> Option<i64> {
        self.between(reader, peer).map(|message| message.msg_timestamp).max()
    }

    /// How far `reader` has read what `peer` sent, if ever.
    pub fn read_mark(&self, reader: &str, peer: &str) -> Option<i64> {
        self.read_up_to.get(&(reader.to_owned(), peer.to_owned())).copied()
    }

    /// The count by its definition, straight from the facts: later than the last receipt, not recalled, not
    /// blocked, not to oneself. Deliberately without any counter that could drift.
    pub fn unread(&self, reader: &str, peer: &str) -> usize {
        if reader == peer {
            return 0;
        }
        let mark = self.read_mark(reader, peer).unwrap_or(i64::MIN);
        let unread =
            |message: &&Message| message.msg_timestamp > mark && !message.recalled && !message.blocked;
        self.between(reader, peer).filter(unread).count()
    }

    /// How many messages and notices are on record.
    pub fn len(&self) -> usize {
        self.messages.len()
    }
}

fn pair_of(one: &str, other: &str) -> (String, String) {
    let (first, second) = if one <= other { (one, other) } else { (other, one) };
    (first.to_owned(), second.to_owned())
}

/// Both halves of a pair have a letter at least, so no pair is taken for a team.
fn team_of(tid: &str) -> (String, String) {
    (tid.to_owned(), String::new())
}

/// The three id sequences.
struct Ids {
    base: u64,
    persons: u64,
    teams: u64,
    notices: u64,
}

impl Ids {
    fn starting(started_at_ms: i64) -> Self {
        // 13 digits of milliseconds and 5 zeros: 18 digits, and 100,000 ids for every millisecond of running.
        let base = u64::try_from(started_at_ms).unwrap_or(0).saturating_mul(100_000);
        Self { base, persons: 0, teams: 0, notices: 0 }
    }

    fn take(&mut self, kind: ConvType, one_range: bool) -> u64 {
        const APART: u64 = 200_000_000_000_000_000;
        let (range, taken) = match kind {
            ConvType::Person => (0, &mut self.persons),
            ConvType::Team | ConvType::SuperTeam => (APART, &mut self.teams),
            ConvType::CustomPerson | ConvType::CustomTeam => (2 * APART, &mut self.notices),
        };
        *taken += 1;
        let offset = if one_range { 0 } else { range };
        self.base + offset + *taken
    }
}
