//! The facts that NetEase's copies tell: messages, read receipts and recalls.

use std::fmt;

use super::ids::{Accid, Millis, ServerId};

/// What kind of conversation a copy belongs to (NIM message copy, `convType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConvType {
    /// One person to another.
    Person,
    /// A team; `to` is the team id.
    Team,
    /// A super team; `to` is the team id.
    SuperTeam,
    /// A system notice to a person.
    CustomPerson,
    /// A system notice to a team.
    CustomTeam,
}

impl ConvType {
    const ALL: [(Self, &str); 5] = [
        (Self::Person, "PERSON"),
        (Self::Team, "TEAM"),
        (Self::SuperTeam, "SUPER_TEAM"),
        (Self::CustomPerson, "CUSTOM_PERSON"),
        (Self::CustomTeam, "CUSTOM_TEAM"),
    ];

    /// The type that NetEase writes like this, if there is one.
    pub fn from_nim(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, n)| *n == name).map(|(t, _)| t)
    }

    /// NetEase's name.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Whether it is a team's, and so counts for nobody.
    pub fn is_of_a_team(self) -> bool {
        matches!(self, Self::Team | Self::SuperTeam | Self::CustomTeam)
    }
}

/// What makes a message the same message: msgidServer within its kind of conversation.
///
/// NetEase does not promise that the sequences of persons, teams and notices are apart, and in its samples they
/// overlap, so the number alone would let a notice hide a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageKey {
    /// The kind of conversation.
    pub conv_type: ConvType,
    /// NetEase's number.
    pub server_id: ServerId,
}

/// `PERSON:123`, the form under which logs and stores know a message.
impl fmt::Display for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.conv_type.as_str(), self.server_id)
    }
}

/// Why a message does not count that would count otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// Its msgType.
    Type,
    /// Its sender.
    Sender,
}

impl Ignored {
    const ALL: [(Self, &str); 2] = [(Self::Type, "type"), (Self::Sender, "sender")];

    /// The word that stores know it by.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// What a store says by this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == word).map(|(why, _)| why)
    }
}

/// A message copy (NIM message copy, eventType 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its identity.
    pub key: MessageKey,
    /// The recipient: an accid, or a team id, which is of the same alphabet.
    pub to: Accid,
    /// The sender.
    pub from: Accid,
    /// When NetEase took it in; read receipts refer to this time.
    pub timestamp: Millis,
    /// TEXT, PICTURE, … — unknown ones are kept as they are.
    pub msg_type: String,
    /// Review blocked it or the recipient has blacklisted the sender: copied to us, but never delivered.
    pub withheld: bool,
    /// Why the site's own rules do not count it, if they do not: decided when its first copy was recorded.
    pub ignored: Option<Ignored>,
    /// What NetEase may leave out.
    pub details: Details,
}

/// Where a message was learnt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Origin {
    /// From its copy.
    #[default]
    Copy,
    /// From NetEase's history, which lacks some of a copy's details; so the copy, should it still come, fills them in.
    History,
}

/// The fields of a copy that no rule looks at, kept under the names that NetEase gives them: a string as the text that it
/// holds, any other value as its JSON text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Whether they are those of a copy.
    pub origin: Origin,
    /// `fromClientType`: AOS, IOS, PC, WEB, REST, …
    pub from_client_type: Option<String>,
    /// `fromDeviceId`
    pub from_device_id: Option<String>,
    /// `fromNick`, at most a nickname; never logged
    pub from_nick: Option<String>,
    /// `body`, the text; never logged
    pub body: Option<String>,
    /// `attach`, JSON text
    pub attach: Option<String>,
    /// `msgidClient`: the sender's own id; not unique among senders
    pub msgid_client: Option<String>,
    /// `resendFlag`: the sending client sent again; no mark of a repeated copy
    pub resend_flag: Option<String>,
    /// `ext`: the sender's own extension, mostly JSON text; not read back from a log
    pub ext: Option<String>,
    /// All others, in their order, whatever NetEase may add; not read back from a log.
    pub extra: Vec<Extra>,
}

impl Details {
    /// What two copies of one message are held against each other by.
    fn compared(&self) -> [&Option<String>; 7] {
        let Self {
            origin: _,
            from_client_type,
            from_device_id,
            from_nick,
            body,
            attach,
            msgid_client,
            resend_flag,
            ext: _,
            extra: _,
        } = self;
        [from_client_type, from_device_id, from_nick, body, attach, msgid_client, resend_flag]
    }
}

/// A field of a copy that this service has no name for, or one that was there twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra {
    /// NetEase's name: any text.
    pub name: String,
    /// What it holds, as text.
    pub value: String,
}

/// One unread message of a reader, from one peer: all that the unread view has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadMessage {
    /// Who has not read it.
    pub reader: Accid,
    /// Who sent it.
    pub peer: Accid,
    /// Which one it is, among messages from person to person.
    pub id: ServerId,
    /// Its `msgTimestamp`.
    pub at: Millis,
}

impl Message {
    /// Whether anybody's unread count waits for this message to be read: it went from one person to another,
    /// was delivered, is not a note to oneself, and is not ignored by the site's rules. The log keeps the answer of the
    /// day when it stored the message.
    pub fn counts(&self) -> bool {
        self.is_between_two() && !self.withheld && self.ignored.is_none()
    }

    /// Whether it went from one person to another.
    pub fn is_between_two(&self) -> bool {
        self.key.conv_type == ConvType::Person && self.to != self.from
    }

    /// Whether `copy` is the copy of this message, which so far was known from NetEase's history alone.
    pub fn is_completed_by(&self, copy: &Self) -> bool {
        let origins = (self.details.origin, copy.details.origin);
        origins == (Origin::History, Origin::Copy) && self.is_repeated_by(copy)
    }

    /// Whether `copy` says the same of this message as its first copy did. `ext` and the fields without a name of ours
    /// are left out: no rule asks for them, and the log of an earlier version has not kept them. Where one of the two is
    /// known from NetEase's history alone, only that is compared which history has for certain. What the site's rules say is
    /// left out as well: NetEase does not say it.
    pub fn is_repeated_by(&self, copy: &Self) -> bool {
        let Self { key, to, from, timestamp, msg_type, withheld, ignored: _, details } = self;
        let whole = [details.origin, copy.details.origin] == [Origin::Copy; 2];
        (key, to, from, timestamp) == (&copy.key, &copy.to, &copy.from, &copy.timestamp)
            && (!whole
                || (msg_type, withheld) == (&copy.msg_type, &copy.withheld)
                    && details.compared() == copy.details.compared())
    }

    /// What the unread view learns of this message, if it counts.
    pub fn unread(&self) -> Option<UnreadMessage> {
        self.counts().then(|| UnreadMessage {
            reader: self.to.clone(),
            peer: self.from.clone(),
            id: self.key.server_id,
            at: self.timestamp,
        })
    }
}

/// Which message it is, in the terms of NetEase's calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRef {
    /// When NetEase took it in.
    pub at: Millis,
    /// Its `msgidServer`.
    pub id: ServerId,
    /// Its `msgidClient`, if its copy had one.
    pub client_id: Option<String>,
}

/// `reader` has read everything that `peer` sent up to and including `up_to` (NIM message copy, eventTypes 30 and 85).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Who has read.
    pub reader: Accid,
    /// Whose messages.
    pub peer: Accid,
    /// The newest msgTimestamp that is read.
    pub up_to: Millis,
}

impl Receipt {
    /// The same receipt with its time no later than `latest`, and whether that changed it.
    ///
    /// A receipt from the far future would silence a chat for as long as it lies ahead.
    #[must_use]
    pub fn clamped(self, latest: Millis) -> (Self, bool) {
        let late = self.up_to > latest;
        (Self { up_to: self.up_to.min(latest), ..self }, late)
    }
}

/// Who took a message back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenBack {
    /// Its sender (NIM message copy, eventTypes 7, 8 and 25).
    BySender,
    /// A review after it was delivered (eventType 20): NetEase has deleted it.
    ByReview,
}

/// A message was taken back. It may be learnt before the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall {
    /// Which message.
    pub key: MessageKey,
    /// Its sender.
    pub from: Accid,
    /// Its recipient, or team.
    pub to: Accid,
    /// By whom.
    pub taken_back: TakenBack,
}

/// A message was edited (NIM message copy, eventTypes 89, 90 and 91). It may be learnt before the message.
///
/// What it does not name stays. Of two edits the newer one holds, field by field; of two at one time the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Which message.
    pub key: MessageKey,
    /// Its sender.
    pub from: Accid,
    /// Its recipient, or team.
    pub to: Accid,
    /// `modifyTime`
    pub at: Millis,
    /// `text`, which takes the place of `body`; never logged
    pub body: Option<String>,
    /// `attachment`, which takes the place of `attach`
    pub attach: Option<String>,
    /// `extension`, which takes the place of `ext`
    pub ext: Option<String>,
}

/// What a copy tells of a conversation. Facts may be learnt in any order and any number of times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A message was sent.
    Message(Box<Message>),
    /// Messages were read.
    Receipt(Receipt),
    /// A message was taken back.
    Recall(Recall),
    /// A message was edited.
    Edit(Box<Edit>),
}

impl From<Edit> for Fact {
    fn from(edit: Edit) -> Self {
        Self::Edit(Box::new(edit))
    }
}

impl From<Message> for Fact {
    fn from(message: Message) -> Self {
        Self::Message(Box::new(message))
    }
}

impl From<Receipt> for Fact {
    fn from(receipt: Receipt) -> Self {
        Self::Receipt(receipt)
    }
}

impl From<Recall> for Fact {
    fn from(recall: Recall) -> Self {
        Self::Recall(recall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(conv_type: ConvType, from: &str, to: &str) -> Message {
        Message {
            key: MessageKey { conv_type, server_id: ServerId::new(7).unwrap() },
            to: Accid::of_user(to),
            from: Accid::of_user(from),
            timestamp: Millis(1),
            msg_type: "TEXT".into(),
            withheld: false,
            ignored: None,
            details: Details::default(),
        }
    }

    #[test]
    fn only_delivered_messages_between_two_persons_count() {
        assert!(message(ConvType::Person, "a", "b").counts());
        assert!(!message(ConvType::Person, "a", "a").counts(), "a note to oneself");
        assert!(!Message { withheld: true, ..message(ConvType::Person, "a", "b") }.counts());
        for (conv_type, _) in ConvType::ALL.into_iter().filter(|(t, _)| *t != ConvType::Person) {
            assert!(!message(conv_type, "a", "b").counts(), "{conv_type:?}");
        }
    }

    #[test]
    fn a_reason_to_ignore_a_message_is_known_by_its_word() {
        for (why, word) in Ignored::ALL {
            assert_eq!((why.as_str(), Ignored::from_word(word)), (word, Some(why)));
        }
        assert_eq!(Ignored::from_word("TYPE"), None);
    }

    #[test]
    fn a_conv_type_is_named_as_netease_names_it() {
        for (conv_type, name) in ConvType::ALL {
            assert_eq!(conv_type.as_str(), name);
            assert_eq!(ConvType::from_nim(name), Some(conv_type));
        }
        assert_eq!(ConvType::from_nim("person"), None);
    }

    #[test]
    fn a_receipt_from_the_future_is_pulled_back_and_said_so() {
        let receipt =
            |t| Receipt { reader: Accid::of_user("r"), peer: Accid::of_user("p"), up_to: Millis(t) };
        assert_eq!(receipt(1_060).clamped(Millis(1_060)), (receipt(1_060), false));
        assert_eq!(receipt(1_061).clamped(Millis(1_060)), (receipt(1_060), true));
    }
}
