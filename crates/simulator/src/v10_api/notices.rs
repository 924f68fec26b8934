//! Notices: `/im/v2/custom_notification`.

use serde_json::{Value, json};

use super::answer::{Answer, UNKNOWN_TEAM};
use super::fields::Fields;
use crate::acts::{self, QueueFull};
use crate::lock::lock;
use crate::state::Shared;
use crate::world::notices::Notice;

/// Recipients of one batch.
const MOST_RECIPIENTS: usize = 500;

/// The notice that a body describes, in the terms of the world.
fn read(fields: &Fields, to: String, msgtype: u8) -> Result<Notice, Answer> {
    let (kept, push) = (fields.object("notification_config")?, fields.object("push_config")?);
    push.flag("push_enabled", true)?;
    let option = json!({
        "badge": kept.flag("unread_enabled", true)?,
        "needPushNick": push.flag("push_nick_enabled", true)?,
        "route": fields.object("route_config")?.flag("route_enabled", true)?,
    });
    Ok(Notice {
        from: fields.account("sender_id")?,
        to,
        msgtype,
        attach: fields.text("content", 4_096)?.to_owned(),
        pushcontent: push.optional("push_content", 500)?.map(str::to_owned),
        payload: push.json_text("push_payload", 2_048)?.map(str::to_owned),
        sound: fields.optional("sound", 30)?.map(str::to_owned),
        save: if kept.flag("offline_enabled", true)? { 2 } else { 1 },
        option: Some(option),
        at: 0,
    })
}

/// `POST /im/v2/custom_notification`: to a person (1) or a team (2). The answer carries no id, and a repeated call
/// notifies again.
pub fn send(shared: &Shared, fields: &Fields) -> Result<Answer, Answer> {
    let to_team = fields.choice("type", &[1, 2])? == 2;
    let to = match to_team {
        true => fields.text("receiver_id", 64)?.to_owned(),
        false => fields.account("receiver_id")?,
    };
    let notice = read(fields, to, u8::from(to_team))?;
    let team_of_unknown = shared.switchboard.read(|faults| faults.team_of_unknown);
    let world = lock(&shared.world);
    world.accounts.get(&notice.from).ok_or_else(|| Answer::unknown("sender_id"))?;
    if to_team && team_of_unknown != 200 {
        world.teams.get(&notice.to).ok_or_else(|| Answer::refused(UNKNOWN_TEAM, "team not exist"))?;
    } else if !to_team {
        world.accounts.get(&notice.to).ok_or_else(|| Answer::unknown("receiver_id"))?;
    }
    drop(world);
    deliver(shared, vec![notice])?;
    Ok(Answer::done(json!({})))
}

/// `POST /im/v2/custom_notification/batch`: to persons; the answer lists those that are not registered.
pub fn send_batch(shared: &Shared, fields: &Fields) -> Result<Answer, Answer> {
    let all = fields.accounts("receiver_ids", MOST_RECIPIENTS)?;
    let notice = read(fields, String::new(), 0)?;
    let world = lock(&shared.world);
    world.accounts.get(&notice.from).ok_or_else(|| Answer::unknown("sender_id"))?;
    let (known, unknown): (Vec<_>, Vec<_>) = all.into_iter().partition(|id| world.accounts.get(id).is_some());
    drop(world);
    let reached: Vec<Value> = known.iter().map(|id| json!(id)).collect();
    deliver(shared, known.into_iter().map(|to| Notice { to, ..notice.clone() }).collect())?;
    Ok(Answer::of_many(&reached, unknown))
}

fn deliver(shared: &Shared, notices: Vec<Notice>) -> Result<(), Answer> {
    acts::notify(shared, notices).map_err(|QueueFull| Answer::queue_full())
}
