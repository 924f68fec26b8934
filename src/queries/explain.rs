//! Why is this number what it is? Log and view, message by message.

use std::collections::BTreeMap;

use crate::domain::ids::{Accid, Millis, ServerId};
use crate::domain::message::{ConvType, Ignored, Message, MessageKey};
use crate::domain::unread::Reading;
use crate::ports::StoreError;
use crate::ports::log_upkeep::{LogUpkeep, StoredMessage};
use crate::ports::message_log::MessageLog;
use crate::ports::unread_view::UnreadView;

/// Everything that makes one count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What a poll would be answered; `None` when the view does not know the reader.
    pub answered: Option<u64>,
    /// When the reader was loaded last.
    pub loaded_at: Option<Millis>,
    /// The mark in the log.
    pub log_mark: Option<Millis>,
    /// The mark in the view.
    pub view_mark: Option<Millis>,
    /// Every message that either of the two counts, by time.
    pub messages: Vec<ExplainedMessage>,
}

/// One message that log or view counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExplainedMessage {
    /// Its msgTimestamp.
    pub at: Millis,
    /// Its msgidServer.
    pub id: ServerId,
    /// Whether the log counts it.
    pub in_log: bool,
    /// Whether the view counts it.
    pub in_view: bool,
    /// Whether the log knows nothing of it, not even that it is read or recalled.
    pub unknown: bool,
}

impl Explanation {
    /// Messages that the log counts and the view lacks.
    pub fn missing(&self) -> usize {
        self.messages.iter().filter(|entry| entry.in_log && !entry.in_view).count()
    }

    /// Messages that the view counts and the log knows nothing of.
    pub fn unknown(&self) -> usize {
        self.messages.iter().filter(|entry| entry.unknown).count()
    }

    /// Messages that the view counts and the log does not.
    pub fn surplus(&self) -> usize {
        self.messages.iter().filter(|entry| entry.in_view && !entry.in_log).count()
    }
}

/// Asks log and view about one pair. The two are read one after the other, so what arrives meanwhile may show as a
/// difference: ask again before concluding anything from one message.
pub async fn explain(
    log: &dyn MessageLog,
    upkeep: &dyn LogUpkeep,
    view: &dyn UnreadView,
    reader: &Accid,
    peer: &Accid,
) -> Result<Explanation, StoreError> {
    let held = view.explain(reader, peer).await?;
    let reading = view.read(reader, std::slice::from_ref(peer)).await?;
    let truth = upkeep.pair(reader, peer).await?;
    let mut messages: BTreeMap<(Millis, ServerId), (bool, bool)> = BTreeMap::new();
    for (id, at) in truth.unread {
        messages.entry((at, id)).or_default().0 = true;
    }
    for (id, at) in held.unread {
        messages.entry((at, id)).or_default().1 = true;
    }
    let (answered, loaded_at) = match reading {
        Reading::Known { counts, loaded_at } => (counts.first().copied(), Some(loaded_at)),
        Reading::Unknown => (None, None),
    };
    let surplus = messages.iter().filter(|(_, (in_log, _))| !in_log).map(|((_, id), _)| *id);
    let unknown = log.unknown(reader, &surplus.collect::<Vec<_>>()).await?;
    let entry = |((at, id), (in_log, in_view))| ExplainedMessage {
        at,
        id,
        in_log,
        in_view,
        unknown: unknown.contains(&id),
    };
    Ok(Explanation {
        answered,
        loaded_at,
        log_mark: truth.mark,
        view_mark: held.mark,
        messages: messages.into_iter().map(entry).collect(),
    })
}

/// What the log says of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has not come.
    Unknown,
    /// It went from somebody else, or to somebody else.
    AnotherPair,
    /// It counts until it is read.
    Unread,
    /// It counted until it was read.
    Read,
    /// Its sender took it back; the message itself may not have come.
    Recalled,
    /// It was blocked by review or a blacklist, or withdrawn by a review after it was delivered.
    Withheld,
    /// It is a note to oneself.
    ToOneself,
    /// The site's rules did not count it when it came.
    Ignored(Ignored),
}

/// Asks the log why a message from `peer` to `reader` counts or does not.
pub async fn standing(
    upkeep: &dyn LogUpkeep,
    reader: &Accid,
    peer: &Accid,
    server_id: ServerId,
) -> Result<Standing, StoreError> {
    let key = MessageKey { conv_type: ConvType::Person, server_id };
    let Some(StoredMessage { message, recalled, read, .. }) = upkeep.message(key).await? else {
        return Ok(Standing::Unknown);
    };
    Ok(match message {
        Some(message) if message.to != *reader || message.from != *peer => Standing::AnotherPair,
        Some(message) if message.withheld => Standing::Withheld,
        _ if recalled => Standing::Recalled,
        None => Standing::Unknown,
        Some(message) if message.to == message.from => Standing::ToOneself,
        Some(Message { ignored: Some(why), .. }) => Standing::Ignored(why),
        Some(_) if read => Standing::Read,
        Some(_) => Standing::Unread,
    })
}
