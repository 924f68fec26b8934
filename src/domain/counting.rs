//! What the site leaves out of its counts, and whether an answer is a reading.

use std::collections::HashSet;

use super::ids::Accid;
use super::message::{Ignored, Message, Receipt};

/// The site's own rules (`unread.ignore_types`, `unread.ignore_senders`, `unread.reply_reads`).
///
/// What they say of a message is decided once, when its first copy is recorded, and stored with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CountingRules {
    /// Messages of these msgTypes do not count. Exactly as NetEase writes them.
    pub ignored_types: HashSet<String>,
    /// Nor do those of these senders.
    pub ignored_senders: HashSet<Accid>,
    /// Who writes to somebody has read what that one wrote before.
    pub reply_reads: bool,
}

impl CountingRules {
    /// The message with what the rules say of it.
    #[must_use]
    pub fn decided(&self, message: Message) -> Message {
        let ignored = if self.ignored_senders.contains(&message.from) {
            Some(Ignored::Sender)
        } else if self.ignored_types.contains(&message.msg_type) {
            Some(Ignored::Type)
        } else {
            None
        };
        Message { ignored: ignored.filter(|_| message.counts()), ..message }
    }

    /// What the sender of a decided message has read by writing it: all that its recipient wrote before, by NetEase's
    /// clock. Only a message that counts says so: one that was withheld or is ignored is nobody's answer.
    pub fn read_by_reply(&self, message: &Message) -> Option<Receipt> {
        let is_answer = self.reply_reads && message.counts() && message.timestamp.0 > 0;
        is_answer.then(|| Receipt {
            reader: message.from.clone(),
            peer: message.to.clone(),
            up_to: message.timestamp.plus(-1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{Millis, ServerId};
    use crate::domain::message::{ConvType, Details, MessageKey};

    fn message(from: &str, msg_type: &str) -> Message {
        Message {
            key: MessageKey { conv_type: ConvType::Person, server_id: ServerId::FIRST },
            to: Accid::of_user("reader"),
            from: Accid::of_user(from),
            timestamp: Millis(10),
            msg_type: msg_type.into(),
            withheld: false,
            ignored: None,
            details: Details::default(),
        }
    }

    fn rules(reply_reads: bool) -> CountingRules {
        CountingRules {
            ignored_types: HashSet::from(["TIPS".into()]),
            ignored_senders: HashSet::from([Accid::of_user("bot")]),
            reply_reads,
        }
    }

    #[test]
    fn types_and_senders_of_the_sites_choice_do_not_count() {
        for (from, msg_type, ignored) in [
            ("peer", "TEXT", None),
            ("peer", "tips", None),
            ("peer", "TIPS", Some(Ignored::Type)),
            ("bot", "TEXT", Some(Ignored::Sender)),
            ("bot", "TIPS", Some(Ignored::Sender)),
        ] {
            let decided = rules(true).decided(message(from, msg_type));
            assert_eq!(
                (decided.ignored, decided.counts()),
                (ignored, ignored.is_none()),
                "{from} {msg_type}"
            );
            assert_eq!(CountingRules::default().decided(message(from, msg_type)), message(from, msg_type));
        }
        let withheld = rules(true).decided(Message { withheld: true, ..message("bot", "TIPS") });
        assert_eq!(withheld.ignored, None, "it never counted");
    }

    #[test]
    fn an_answer_reads_what_was_written_strictly_before_it() {
        let receipt = |message: Message| rules(true).read_by_reply(&rules(true).decided(message));
        let read =
            Receipt { reader: Accid::of_user("peer"), peer: Accid::of_user("reader"), up_to: Millis(9) };
        assert_eq!(receipt(message("peer", "TEXT")), Some(read));
        assert_eq!(rules(false).read_by_reply(&message("peer", "TEXT")), None);
        let team = MessageKey { conv_type: ConvType::Team, server_id: ServerId::FIRST };
        for none in [
            message("bot", "TEXT"),
            message("peer", "TIPS"),
            message("reader", "TEXT"),
            Message { withheld: true, ..message("peer", "TEXT") },
            Message { timestamp: Millis(0), ..message("peer", "TEXT") },
            Message { key: team, ..message("peer", "TEXT") },
        ] {
            assert_eq!(receipt(none.clone()), None, "{none:?}");
        }
    }
}
