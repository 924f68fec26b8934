//! What a call of either server API does besides changing the world: the copies of it go out.

use serde_json::Value;

use crate::delivery::copies::{self, Extras, Receipt};
use crate::lock::lock;
use crate::state::Shared;
use crate::world::messages::{ConvType, Draft, Message};
use crate::world::notices::Notice;

/// There is no room for the copies; nothing was done.
#[derive(Debug)]
pub struct QueueFull;

/// A message that the application sends in somebody's name.
#[derive(Clone, Debug)]
pub struct Speech {
    /// The message; whether it is blocked is found out here.
    pub draft: Draft,
    /// The application's own field, copied as it is.
    pub ext: Option<String>,
    /// Whether it is copied to the webhook.
    pub routed: bool,
}

/// What a recall says.
#[derive(Clone, Debug, Default)]
pub struct Recall {
    /// Instead of NetEase's own words, at most 128 characters.
    pub text: Option<String>,
    /// The application's own field, at most 5000 characters.
    pub attach: Option<String>,
}

/// Keeps messages, all of the same time, and posts the copies of those that are routed. A message to somebody who has
/// the sender on the blacklist is copied, and not delivered.
pub fn speak(shared: &Shared, speeches: Vec<Speech>) -> Result<Vec<Message>, QueueFull> {
    make_room(shared, speeches.len())?;
    let (numbers, one_range) = style(shared);
    let (mut said, mut bodies) = (Vec::new(), Vec::new());
    let mut world = lock(&shared.world);
    let at = world.chat.take_timestamps(shared.clock.now_ms(), 1);
    for Speech { mut draft, ext, routed } in speeches {
        let blacklist =
            draft.conv_type == ConvType::Person && world.accounts.is_blacklisted(&draft.to, &draft.from);
        draft.blocked |= blacklist;
        let nick = world.accounts.get(&draft.from).map(|account| account.profile.name.clone());
        let message = world.chat.write(draft, at, one_range);
        if routed {
            let extras = Extras {
                from_nick: nick.filter(|nick| !nick.is_empty()),
                blacklist,
                extra: ext.map(|ext| ("ext".to_owned(), Value::String(ext))).into_iter().collect(),
                ..Extras::default()
            };
            bodies.push(copies::conversation(&message, &extras, numbers));
        }
        said.push(message);
    }
    drop(world);
    shared.delivery.submit(bodies);
    Ok(said)
}

/// Takes a message back, and posts the copy of that; no effect if there is none of this number.
pub fn recall(shared: &Shared, msgid_server: u64, recall: &Recall) -> Result<(), QueueFull> {
    make_room(shared, 1)?;
    let recalled = lock(&shared.world).chat.recall(msgid_server);
    let recalled = recalled.and_then(|message| Some((message.conv_type.recall_event()?, message)));
    if let Some((event, message)) = recalled {
        let (numbers, _) = style(shared);
        let said = (recall.text.as_deref(), recall.attach.as_deref());
        shared.delivery.submit(vec![copies::recall(&message, event, shared.clock.now_ms(), said, numbers)]);
    }
    Ok(())
}

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
