//! What the site leaves out of its counts, and what an answer reads: in log and view.

use std::collections::HashSet;
use std::sync::Arc;

use otc_im::commands::receive_copy::CopyReceiver;
use otc_im::commands::record_facts::record_fact;
use otc_im::domain::counting::CountingRules;
use otc_im::domain::ids::{Accid, Millis};
use otc_im::domain::message::{Ignored, Message};
use otc_im::domain::unread::Snapshot;
use otc_im::ports::message_log::InsertOutcome::{First, Repeated};
use otc_im::queries::explain::{Standing, standing};

use super::facts::{NOW, Pair, count, id, load, person};
use super::watched::SetClock;
use crate::support::backends::{self, Log, Stack};
use crate::support::webhook::message;

mod on_logs {
    use super::*;

    on_each! {
        [
            what_the_site_ignores_is_kept_and_does_not_count,
            what_was_decided_stays_whatever_a_later_copy_is_taken_for,
        ]
        each sqlite: backends::sqlite_log().await;
        each mongo: backends::mongo_log().await;
    }

    async fn what_the_site_ignores_is_kept_and_does_not_count(log: &Log) {
        let pair = Pair::fresh();
        for (number, why) in [(1, Ignored::Type), (2, Ignored::Sender)] {
            let ignored = Message { ignored: Some(why), ..pair.message(number, 10) };
            for copy in [First, Repeated] {
                let recorded = log.record_one(ignored.clone().into()).await.unwrap();
                assert_eq!((recorded.copy, recorded.change), (copy, None));
            }
            assert_eq!(log.kept(person(number), "ignored").await, [why.as_str()]);
            let standing = standing(&*log.upkeep, &pair.reader, &pair.peer, id(number)).await.unwrap();
            assert_eq!(standing, Standing::Ignored(why));
        }
        assert_eq!(log.snapshot(&pair.reader).await.unwrap(), Snapshot::default());
    }

    async fn what_was_decided_stays_whatever_a_later_copy_is_taken_for(log: &Log) {
        let pair = Pair::fresh();
        let ignored = |number| Message { ignored: Some(Ignored::Type), ..pair.message(number, 10) };
        log.record_one(ignored(1).into()).await.unwrap();
        let counted = log.record_one(pair.message(1, 10).into()).await.unwrap();
        assert_eq!((counted.copy, counted.change), (Repeated, None));
        log.record_one(pair.message(2, 10).into()).await.unwrap();
        let late = log.record_one(ignored(2).into()).await.unwrap();
        assert_eq!((late.copy, late.change), (Repeated, Some(pair.arrived(2, 10))));
        assert_eq!(log.snapshot(&pair.reader).await.unwrap(), pair.snapshot([(2, 10)], None));
    }
}

mod on_stacks {
    use super::*;

    on_each! {
        [
            types_and_senders_that_are_ignored_count_nowhere,
            an_answer_reads_what_was_written_before_it_in_whatever_order_they_come,
            an_answer_whose_reading_was_lost_is_mended_by_its_redelivery,
            an_answer_that_is_none_reads_nothing,
            a_message_is_explained,
        ]
        each embedded: backends::embedded().await;
        each production: backends::production().await;
    }

    fn receiver(stack: &Stack, rules: CountingRules) -> CopyReceiver {
        CopyReceiver {
            log: stack.log.messages.clone(),
            view: stack.view.port.clone(),
            dead_letters: stack.log.letters.clone(),
            clock: Arc::new(SetClock::default()),
            active: Arc::default(),
            rules,
            receipt_allowance_ms: 1_000,
        }
    }

    fn answers_read() -> CountingRules {
        CountingRules { reply_reads: true, ..CountingRules::default() }
    }

    async fn receive(receiver: &CopyReceiver, copy: &serde_json::Value) {
        receiver.receive(copy.to_string().as_bytes(), NOW).await.unwrap();
    }

    /// A message from one to another, number and time as given.
    fn copy(from: &Accid, to: &Accid, number: u64, at: i64) -> serde_json::Value {
        message(from.as_str(), to.as_str(), number, at)
    }

    /// A pair of which the view knows both.
    async fn known(stack: &Stack) -> Pair {
        let pair = Pair::fresh();
        for reader in [&pair.reader, &pair.peer] {
            load(&*stack.view, reader, &Snapshot::default()).await;
        }
        pair
    }

    async fn is_counted(stack: &Stack, pair: &Pair, counted: u64) {
        assert_eq!(count(&*stack.view, pair).await, Some(counted), "the view");
        let snapshot = stack.log.snapshot(&pair.reader).await.unwrap();
        assert_eq!(snapshot.counts(std::slice::from_ref(&pair.peer)), [counted], "the log");
    }

    async fn types_and_senders_that_are_ignored_count_nowhere(stack: &Stack) {
        let (pair, bot) = (known(stack).await, Pair::fresh());
        let bot = Pair { reader: pair.reader.clone(), peer: bot.peer };
        let rules = CountingRules {
            ignored_types: HashSet::from(["TIPS".into(), "NOTIFICATION".into()]),
            ignored_senders: HashSet::from([bot.peer.clone()]),
            reply_reads: false,
        };
        let receiver = receiver(stack, rules);
        for (number, msg_type) in (1..).zip(["TIPS", "NOTIFICATION", "TEXT", "Tips"]) {
            let mut tip = copy(&pair.peer, &pair.reader, number, 10);
            tip["msgType"] = msg_type.into();
            receive(&receiver, &tip).await;
            receive(&receiver, &copy(&bot.peer, &bot.reader, 10 + number, 10)).await;
        }
        is_counted(stack, &pair, 2).await;
        is_counted(stack, &bot, 0).await;
    }

    async fn an_answer_reads_what_was_written_before_it_in_whatever_order_they_come(stack: &Stack) {
        let receiver = receiver(stack, answers_read());
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2], [0, 3, 1, 2]] {
            let pair = known(stack).await;
            let (reader, peer) = (&pair.reader, &pair.peer);
            let base: u64 = (10_000 * order[0] + 1_000 * order[1] + 100 * order[2] + 10 * order[3]) as u64;
            let copies = [
                copy(peer, reader, base + 1, 19),
                copy(reader, peer, base + 2, 20),
                copy(peer, reader, base + 3, 20),
                copy(peer, reader, base + 4, 21),
            ];
            for at in order.into_iter().chain(order) {
                receive(&receiver, &copies[at]).await;
            }
            is_counted(stack, &pair, 2).await;
            // The messages of 20 and 21 have read the answer's side up to 20.
            is_counted(stack, &pair.turned(), 0).await;
            assert_eq!(
                stack.log.reach(reader, peer, Millis::END).await.unwrap().mark.map(|mark| mark.0),
                Some(19)
            );
        }
    }

    async fn an_answer_whose_reading_was_lost_is_mended_by_its_redelivery(stack: &Stack) {
        let (pair, receiver) = (known(stack).await, receiver(stack, answers_read()));
        receive(&receiver, &copy(&pair.peer, &pair.reader, 501, 10)).await;
        // The process died with the message in the log alone.
        let answer = pair.turned().message(502, 20);
        record_fact(&*stack.log, &*stack.view, &SetClock::default(), answer.into()).await.unwrap();
        is_counted(stack, &pair, 1).await;
        receive(&receiver, &copy(&pair.reader, &pair.peer, 502, 20)).await;
        is_counted(stack, &pair, 0).await;
    }

    async fn an_answer_that_is_none_reads_nothing(stack: &Stack) {
        let pair = known(stack).await;
        let silent = CountingRules {
            ignored_types: HashSet::from(["TIPS".into()]),
            ignored_senders: HashSet::from([pair.reader.clone()]),
            reply_reads: true,
        };
        receive(&receiver(stack, answers_read()), &copy(&pair.peer, &pair.reader, 601, 10)).await;
        let with = |number, field: &str, value: &str| {
            let mut answer = copy(&pair.reader, &pair.peer, number, 20);
            answer[field] = value.into();
            answer
        };
        let of_a_bot = receiver(stack, silent.clone());
        receive(&of_a_bot, &with(602, "body", "automatic")).await;
        let rules = CountingRules { ignored_senders: HashSet::new(), ..silent };
        receive(&receiver(stack, rules), &with(603, "msgType", "TIPS")).await;
        receive(&receiver(stack, answers_read()), &with(604, "antispam", "true")).await;
        receive(&receiver(stack, answers_read()), &with(605, "convType", "TEAM")).await;
        receive(&receiver(stack, CountingRules::default()), &with(606, "body", "not set")).await;
        is_counted(stack, &pair, 1).await;
    }

    async fn a_message_is_explained(stack: &Stack) {
        let pair = Pair::fresh();
        let facts = [
            pair.message(701, 10),
            pair.message(702, 20),
            Message { withheld: true, ..pair.message(703, 20) },
            pair.message(704, 20),
            pair.with_another().message(705, 20),
        ];
        for message in facts {
            stack.log.record_one(message.into()).await.unwrap();
        }
        for recall in [pair.recall(704), pair.recall(706)] {
            stack.log.record_one(recall.into()).await.unwrap();
        }
        stack.log.record_one(pair.receipt(10).into()).await.unwrap();
        for (number, expected) in [
            (701, Standing::Read),
            (702, Standing::Unread),
            (703, Standing::Withheld),
            (704, Standing::Recalled),
            (705, Standing::AnotherPair),
            (706, Standing::Recalled),
            (707, Standing::Unknown),
        ] {
            let found = standing(&*stack.log.upkeep, &pair.reader, &pair.peer, id(number)).await.unwrap();
            assert_eq!(found, expected, "{number}");
        }
    }
}
