//! What a call of either server API does besides changing the world: the copies of it go out.

use crate::delivery::copies::{self, Receipt};
use crate::lock::lock;
use crate::state::Shared;
use crate::world::notices::Notice;

/// There is no room for the copies; nothing was done.
#[derive(Debug)]
pub struct QueueFull;

/// Keeps notices, and posts the copies of those that are routed.
pub fn notify(shared: &Shared, notices: Vec<Notice>) -> Result<(), QueueFull> {
    make_room(shared, notices.len())?;
    let now_ms = shared.clock.now_ms();
    let (numbers, one_range) = style(shared);
    let mut bodies = Vec::new();
    let mut world = lock(&shared.world);
    for notice in notices {
        let message = world.take_notice(notice.clone(), now_ms, one_range);
        if notice.is_routed() {
            bodies.push(copies::notice(&message, &notice, numbers));
        }
    }
    drop(world);
    shared.delivery.submit(bodies);
    Ok(())
}

/// Notes that `reader` has read what `peer` sent up to and including `timestamp` (Unix time in milliseconds).
/// `msgid_client` goes into the receipt that is posted, unless `markReadCopies` is off.
pub fn mark_read(
    shared: &Shared,
    (reader, peer): (&str, &str),
    timestamp: i64,
    msgid_client: &str,
) -> Result<(), QueueFull> {
    let copied = shared.switchboard.read(|faults| faults.mark_read_copies);
    make_room(shared, usize::from(copied))?;
    lock(&shared.world).chat.mark_read(reader, peer, Some(timestamp), shared.clock.now_ms());
    if copied {
        let receipt = Receipt {
            reader: reader.to_owned(),
            peer: peer.to_owned(),
            timestamp,
            msgid_client: msgid_client.to_owned(),
        };
        let (form, numbers) =
            shared.switchboard.read(|faults| (faults.objects_as, faults.numbers_as_numbers));
        shared.delivery.submit(vec![copies::receipts(&[receipt], form, numbers)]);
    }
    Ok(())
}

fn make_room(shared: &Shared, copies: usize) -> Result<(), QueueFull> {
    if shared.delivery.has_room_for(copies) { Ok(()) } else { Err(QueueFull) }
}

/// Whether copies have numbers for numbers, and whether all kinds of messages share one range of ids.
fn style(shared: &Shared) -> (bool, bool) {
    shared.switchboard.read(|faults| (faults.numbers_as_numbers, faults.same_ids_across_kinds))
}
