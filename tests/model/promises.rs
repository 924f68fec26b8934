//! What holds in every state of every scene.

use otc_im::domain::ids::Accid;
use otc_im::domain::message::{Fact, Message};

use super::scene::Scene;
use super::world::{Sent, World};

type Promise = fn(&Scene, &World) -> bool;

/// Each with its name.
pub const ALL: [(&str, Promise); 6] = [
    ("at rest every count is the definition's", at_rest_every_count_is_the_definitions),
    ("no count is above the number of messages", no_count_is_above_the_number_of_messages),
    ("no count leaves out what is surely unread", no_count_leaves_out_what_is_surely_unread),
    ("no count includes what is surely not unread", no_count_includes_what_is_surely_not_unread),
    ("what is acknowledged is in the log", what_is_acknowledged_is_in_the_log),
    ("at rest `state` is what the mark says", at_rest_state_is_what_the_mark_says),
];

/// Nothing under way and nothing half done: a known count is what the acknowledged copies come to, whatever their
/// order was and whatever was lost. Only a reader whose newest writes were lost waits for a recheck.
fn at_rest_every_count_is_the_definitions(scene: &Scene, world: &World) -> bool {
    let definition = |pair| world.unread(scene, pair, Sent::Acked, Sent::Acked);
    !world.at_rest() || told(scene, world).all(|(reader, peer, count)| count == definition((reader, peer)))
}

/// A count is a number of messages: also of a view that has lost its newest writes.
fn no_count_is_above_the_number_of_messages(scene: &Scene, world: &World) -> bool {
    let mut told = world.told(scene);
    told.all(|(reader, peer, count)| count <= world.messages(scene, (reader, peer), Sent::Not).count() as u64)
}

/// A message that was acknowledged counts until a receipt or a recall that takes it off has at least begun. So no
/// zero ever stands for "not known", at any moment.
fn no_count_leaves_out_what_is_surely_unread(scene: &Scene, world: &World) -> bool {
    told(scene, world)
        .all(|(reader, peer, count)| count >= world.unread(scene, (reader, peer), Sent::Acked, Sent::Begun))
}

/// A message counts once its delivery has begun, and no more when a receipt or a recall that takes it off was
/// acknowledged.
fn no_count_includes_what_is_surely_not_unread(scene: &Scene, world: &World) -> bool {
    told(scene, world)
        .all(|(reader, peer, count)| count <= world.unread(scene, (reader, peer), Sent::Begun, Sent::Acked))
}

fn what_is_acknowledged_is_in_the_log(scene: &Scene, world: &World) -> bool {
    let row = |id| world.log.rows.get(&id).copied().unwrap_or_default();
    let acked = scene.facts.iter().zip(&world.sent).filter(|(_, sent)| **sent == Sent::Acked);
    acked.map(|(fact, _)| fact).all(|fact| match fact {
        Fact::Message(message) => row(message.key.server_id).stored,
        Fact::Receipt(receipt) => {
            world.log.mark(&receipt.reader, &receipt.peer).is_some_and(|mark| mark >= receipt.up_to)
        }
        Fact::Recall(recall) => row(recall.key.server_id).recalled,
        Fact::Edit(_) => true,
    })
}

/// Of what still counts; what was recalled keeps the state that it had.
fn at_rest_state_is_what_the_mark_says(scene: &Scene, world: &World) -> bool {
    let read = |message: &Message| {
        world.log.mark(&message.to, &message.from).is_some_and(|mark| message.timestamp <= mark)
    };
    let busy = !world.handlers.is_empty() || world.sent.contains(&Sent::Begun);
    let mut counted = world.log.rows.iter().filter(|(_, row)| row.counted());
    busy || counted.all(|(id, row)| row.read == read(scene.message(*id)))
}

/// The counts that are told of readers who are not waiting for a recheck.
fn told<'a>(scene: &'a Scene, world: &'a World) -> impl Iterator<Item = (usize, &'a Accid, u64)> {
    world.told(scene).filter(|(reader, ..)| !world.drifted[*reader])
}
