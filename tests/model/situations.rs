//! What a scene has to reach, so that its promises are known to have been put to the test.

use otc_im::domain::message::Fact;
use otc_im::domain::unread::{Merged, Reading, Snapshot};

use super::scene::Scene;
use super::work::{Read, Step};
use super::world::{Sent, World};

type Situation = fn(&Scene, &World) -> bool;

pub const SUPERSEDED: &str = "a merge is about to be superseded";
pub const SUPERSEDED_EMPTY: &str = "a merge of nothing is about to be superseded, and there is something";
pub const ADDS: &str = "a merge is about to add";
pub const REMOVES: &str = "a recheck is about to remove";
pub const SHARED_TOKEN: &str = "two loads share a token";
pub const TORN: &str = "a receipt comes between the two reads of a load";
pub const EARLY_RECALL: &str = "a tombstone lies before its message";
pub const FILLED: &str = "a message has filled in its tombstone";
pub const LATE: &str = "a message comes late and is marked read";
pub const REPEATED: &str = "an acknowledged message that counts is sent once more";
pub const TWINS: &str = "two messages of one time count";
pub const HALF_DONE: &str = "a crash has left the view behind the log";
pub const IGNORANT: &str = "a reader with unread messages is not known";
pub const READ: &str = "a message is read and the zero is known";
pub const TOO_FEW: &str = "lost writes make a count too small";
pub const TOO_MANY: &str = "lost writes make a count too large";
pub const BOTH: &str = "two readers have unread messages from each other";

/// Each with its name.
pub const ALL: [(&str, Situation); 17] = [
    (SUPERSEDED, |_, w| w.loads.iter().any(|load| w.would_merge(load) == Some(Merged::Superseded))),
    (SUPERSEDED_EMPTY, |scene, w| {
        let nothing = Read::Everything(Snapshot::default());
        let superseded = |load| w.would_merge(load) == Some(Merged::Superseded);
        let unread = |peer| w.unread(scene, (0, peer), Sent::Acked, Sent::Begun) > 0;
        w.loads.iter().any(|load| load.read == nothing && superseded(load)) && scene.peers.iter().any(unread)
    }),
    (ADDS, |_, w| w.loads.iter().any(|l| matches!(w.would_merge(l), Some(Merged::Done { added: 1.., .. })))),
    (REMOVES, |scene, w| {
        let known = |reader| matches!(w.poll(scene, reader), Reading::Known { .. });
        let removes = |l| matches!(w.would_merge(l), Some(Merged::Done { removed: 1.., .. }));
        w.loads.iter().any(|load| known(load.reader) && removes(load))
    }),
    (SHARED_TOKEN, |_, w| w.loads.windows(2).any(|two| two[0].load.token == two[1].load.token)),
    (TORN, |scene, w| {
        w.loads.iter().any(|load| match &load.read {
            Read::Messages(unread) => unread.iter().any(|(peer, _, at)| {
                w.log.mark(&scene.readers[load.reader], peer).is_some_and(|mark| *at <= mark)
            }),
            _ => false,
        })
    }),
    (EARLY_RECALL, |_, w| w.log.rows.values().any(|row| row.recalled && !row.stored)),
    (FILLED, |scene, w| {
        let recalled = |step: &Step| matches!(step, Step::View(change) if change.recalled.is_some());
        w.handlers.iter().any(|h| matches!(scene.facts[h.copy], Fact::Message(_)) && recalled(&h.next))
    }),
    (LATE, |_, w| w.handlers.iter().any(|handler| matches!(handler.next, Step::SetState { .. }))),
    (REPEATED, |scene, w| {
        let again = |at: usize| w.sent[at] == Sent::Acked && matches!(scene.facts[at], Fact::Message(_));
        w.handlers.iter().any(|h| h.next == Step::Ack && again(h.copy)) && counts(scene, w, 1)
    }),
    (TWINS, |scene, w| counts(scene, w, 2)),
    (HALF_DONE, |scene, w| {
        w.handlers.is_empty()
            && w.sent.contains(&Sent::Begun)
            && w.told(scene).any(|(reader, peer, count)| {
                count != w.unread(scene, (reader, peer), Sent::Begun, Sent::Begun)
            })
    }),
    (IGNORANT, |scene, w| {
        (0..scene.readers.len()).any(|reader| {
            let unread = |peer| w.unread(scene, (reader, peer), Sent::Acked, Sent::Begun);
            w.poll(scene, reader) == Reading::Unknown && scene.peers.iter().any(|peer| unread(peer) > 0)
        })
    }),
    (READ, |scene, w| {
        let acked = |pair| w.messages(scene, pair, Sent::Acked).next().is_some();
        w.told(scene).any(|(reader, peer, count)| count == 0 && acked((reader, peer)))
    }),
    (TOO_FEW, |scene, w| {
        w.told(scene).any(|(r, peer, count)| count < w.unread(scene, (r, peer), Sent::Acked, Sent::Begun))
    }),
    (TOO_MANY, |scene, w| {
        w.told(scene).any(|(r, peer, count)| count > w.unread(scene, (r, peer), Sent::Begun, Sent::Acked))
    }),
    (BOTH, |scene, w| {
        (0..scene.readers.len()).all(|of| w.told(scene).any(|(r, _, count)| r == of && count > 0))
    }),
];

fn counts(scene: &Scene, world: &World, least: u64) -> bool {
    world.told(scene).any(|(_, _, count)| count >= least)
}
