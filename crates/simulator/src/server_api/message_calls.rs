//! The server API's calls on messages: msg/sendMsg, sendBatchMsg, recall and markReadMsg.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::actor::actor;
use super::params::{Answer, Params};
use crate::acts::{self, QueueFull, Recall, Speech};
use crate::faults::ListForm;
use crate::lock::lock;
use crate::state::Shared;
use crate::world::World;
use crate::world::messages::{ConvType, Draft, Keeping, Said};

/// What kinds of message may be sent (`type`), and what copies call them.
const KINDS: [(i64, &str); 8] = [
    (0, "TEXT"),
    (1, "PICTURE"),
    (2, "AUDIO"),
    (3, "VIDEO"),
    (4, "LOCATION"),
    (6, "FILE"),
    (10, "TIPS"),
    (100, "CUSTOM"),
];
/// How long a message can be recalled without `ignoreTime`: NetEase's default.
const RECALLABLE_MS: i64 = 2 * 60 * 1_000;

/// A message in the name of `from`, to a person or a team. The answer has its number and time.
pub fn send(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let from = params.accid("from")?;
    let to_team = params.number("ope", 0..=1)?.ok_or_else(|| Answer::bad("ope", "is missing"))? == 1;
    let to = if to_team { params.text("to", 32)?.to_owned() } else { params.accid("to")? };
    let only_friends = params.flag("checkFriend")? == Some(true);
    let mut speech = read_speech(shared, params, &from)?;
    speech.draft.conv_type = if to_team { ConvType::Team } else { ConvType::Person };
    speech.draft.to.clone_from(&to);

    let team_of_unknown = shared.switchboard.read(|faults| faults.team_of_unknown);
    let world = lock(&shared.world);
    let sender = actor(&world, "from", &from)?;
    if to_team {
        check_team(&world, team_of_unknown, &from, &to)?;
    } else {
        world.accounts.get(&to).ok_or_else(|| Answer::unknown("to"))?;
    }
    let mute = sender.mute;
    if mute.everywhere || (if to_team { mute.teams } else { mute.persons }) {
        return Err(Answer::refused(403, "from is muted"));
    }
    if only_friends && !to_team && !sender.friends.contains_key(&to) {
        return Err(Answer::refused(403, "to is no friend of from"));
    }
    drop(world);
    let said = acts::speak(shared, vec![speech]).map_err(|QueueFull| Answer::queue_full())?;
    let message = said.first().ok_or_else(|| Answer::refused(500, "nothing was sent"))?;
    if message.blocked {
        return Err(Answer::refused(7101, "to has from on the blacklist"));
    }
    let data = json!({ "msgid": message.msgid_server, "timetag": message.msg_timestamp, "antispam": false });
    Ok(Answer::done_with("data", data))
}

/// Whether the sender may write to this team: it has to be there, with the sender in it.
fn check_team(world: &World, code_of_unknown: u16, from: &str, to: &str) -> Result<(), Answer> {
    match world.teams.get(to) {
        Some(team) if team.members.contains(from) => Ok(()),
        Some(_) => Err(Answer::refused(804, "from is not in the team")),
        None if code_of_unknown == 200 => Ok(()),
        None => Err(Answer::refused(code_of_unknown, "no such team")),
    }
}

/// One message to at most 500 persons; all have the same time. Whoever has the sender on the blacklist does not get it.
pub fn send_batch(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let from = params.accid("fromAccid")?;
    let all = params.accids("toAccids", 500)?;
    let with_ids = params.flag("returnMsgid")? == Some(true);
    let speech = read_speech(shared, params, &from)?;

    let world = lock(&shared.world);
    let mute = actor(&world, "fromAccid", &from)?.mute;
    if mute.everywhere || mute.persons {
        return Err(Answer::refused(403, "fromAccid is muted"));
    }
    let (known, unregistered): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|accid| world.accounts.get(accid).is_some());
    drop(world);
    let to_each = known.into_iter().map(|to| {
        let msgid_client = shared.switchboard.hex_id();
        Speech { draft: Draft { msgid_client, to, ..speech.draft.clone() }, ..speech.clone() }
    });
    let said = acts::speak(shared, to_each.collect()).map_err(|QueueFull| Answer::queue_full())?;
    let form = shared.switchboard.read(|faults| faults.unregister_as);
    let unregistered = match form {
        ListForm::Array => json!(unregistered),
        ListForm::String => json!(json!(unregistered).to_string()),
    };
    let timetag = said.first().map_or_else(|| shared.clock.now_ms(), |message| message.msg_timestamp);
    let answer = Answer::done_with("unregister", unregistered).and("timetag", json!(timetag));
    if !with_ids {
        return Ok(answer);
    }
    let ids: Map<String, Value> =
        said.into_iter().map(|message| (message.to, json!(message.msgid_server))).collect();
    Ok(answer.and("msgids", Value::Object(ids)))
}

/// What both ways of sending have in common; the addressee is filled in by the caller.
fn read_speech(shared: &Shared, params: &Params, from: &str) -> Result<Speech, Answer> {
    let kind = params.number("type", 0..=100)?.ok_or_else(|| Answer::bad("type", "is missing"))?;
    let known = KINDS.into_iter().find(|(number, _)| *number == kind);
    let (_, msg_type) = known.ok_or_else(|| Answer::bad("type", "is no kind of message"))?;
    let body = params.json("body", 5_000)?.filter(Value::is_object);
    let body = body.ok_or_else(|| Answer::bad("body", "must be a JSON object"))?;
    let text = body.get("msg").and_then(Value::as_str).unwrap_or_default().to_owned();
    // Texts and tips are their words; all else is its JSON.
    let (text, attach) = if matches!(kind, 0 | 10) {
        if kind == 0 && !body.get("msg").is_some_and(Value::is_string) {
            return Err(Answer::bad("body", "of a text must have `msg`"));
        }
        (text, None)
    } else {
        (String::new(), params.json_text("body", 5_000)?.map(str::to_owned))
    };
    let option = params.json("option", 4_096)?.unwrap_or_default();
    let off = |name: &str| option.get(name).is_some_and(|value| value == false || value == "false");
    check_rest(params)?;
    let no_sense = ["msgSenderNoSense", "msgReceiverNoSense"].map(|field| params.number(field, 0..=1));
    let no_sense = no_sense.into_iter().collect::<Result<Vec<_>, _>>()?.contains(&Some(1));
    let keeping = match () {
        () if off("persistent") => Keeping::Nowhere,
        () if off("history") => Keeping::Unlisted,
        () if no_sense => Keeping::NoSense,
        () => Keeping::History,
    };
    Ok(Speech {
        draft: Draft {
            msgid_client: shared.switchboard.hex_id(),
            from: from.to_owned(),
            to: String::new(),
            conv_type: ConvType::Person,
            msg_type: msg_type.to_owned(),
            blocked: false,
            keeping,
            said: Arc::new(Said { body: text, attach, client: "REST".to_owned() }),
        },
        ext: params.optional("ext", 1_024)?.map(str::to_owned),
        routed: !off("route"),
    })
}

/// Fields that are checked, and change nothing here: pushes and reviews.
fn check_rest(params: &Params) -> Result<(), Answer> {
    for (field, most) in [("msgDesc", 500), ("pushcontent", 500), ("forcepushcontent", 500), ("env", 32)] {
        params.optional(field, most)?;
    }
    for (field, most) in [("payload", 2_048), ("antispamCustom", 5_000), ("yidunAntiCheating", 1_024)] {
        params.json_text(field, most)?;
    }
    params.json_text("yidunAntiSpamExt", 1_024)?;
    for field in ["antispam", "forcepushall", "async"] {
        params.flag(field)?;
    }
    params.number("markRead", 0..=1)?;
    Ok(())
}

/// The sender takes a message back. One that is not there is answered 200; a wrong time, or a message that was never
/// delivered, 414; one older than two minutes 508, unless `ignoreTime` is 1.
pub fn recall(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let id = params
        .number("deleteMsgid", 0..=i64::MAX)?
        .ok_or_else(|| Answer::bad("deleteMsgid", "is missing"))?;
    let timetag = params.time("timetag")?;
    let kind = params.number("type", 7..=8)?.ok_or_else(|| Answer::bad("type", "is missing"))?;
    let (from, to) = (params.accid("from")?, params.text("to", 32)?.to_lowercase());
    let ignores_time = params.choice("ignoreTime", &["1"])?.is_some();
    let recall = Recall {
        text: params.optional("msg", 128)?.map(str::to_owned),
        attach: params.optional("attach", 5_000)?.map(str::to_owned),
    };
    params.json_text("payload", 2_048)?;

    let conv_type = if kind == 7 { ConvType::Person } else { ConvType::Team };
    let id = u64::try_from(id).unwrap_or(0);
    let world = lock(&shared.world);
    actor(&world, "from", &from)?;
    let found = world.chat.find(conv_type, id).filter(|message| message.from == from && message.to == to);
    let Some(message) = found.filter(|message| !message.recalled) else { return Ok(Answer::done()) };
    if message.msg_timestamp != timetag {
        return Err(Answer::bad("timetag", "is not the message's time"));
    }
    if message.blocked {
        return Err(Answer::bad("deleteMsgid", "was never delivered"));
    }
    if !ignores_time && message.msg_timestamp < shared.clock.now_ms() - RECALLABLE_MS {
        return Err(Answer::refused(508, "the message is too old"));
    }
    drop(world);
    acts::recall(shared, id, &recall).map_err(|QueueFull| Answer::queue_full())?;
    Ok(Answer::done())
}

/// `from` has read the message of `to` with this client id, and all before it. If there is none, all that there is.
pub fn mark_read(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let (reader, peer) = (params.accid("from")?, params.accid("to")?);
    let msgid_client = params.text("msgidClient", 128)?;
    let world = lock(&shared.world);
    actor(&world, "from", &reader)?;
    world.accounts.get(&peer).ok_or_else(|| Answer::unknown("to"))?;
    let read = world.chat.between(&reader, &peer).find(|message| message.msgid_client == msgid_client);
    let timestamp = read.map_or_else(|| shared.clock.now_ms(), |message| message.msg_timestamp);
    drop(world);
    acts::mark_read(shared, (&reader, &peer), timestamp, msgid_client)
        .map_err(|QueueFull| Answer::queue_full())?;
    Ok(Answer::done_with("data", json!({ "timestamp": timestamp })))
}
