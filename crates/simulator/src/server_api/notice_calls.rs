//! The server API's calls that send a notice: msg/sendAttachMsg and msg/sendBatchAttachMsg.

use serde_json::json;

use super::actor::actor;
use super::params::{Answer, Params};
use crate::acts::{self, QueueFull};
use crate::faults::ListForm;
use crate::lock::lock;
use crate::state::Shared;
use crate::world::notices::Notice;

fn read_notice(params: &Params, from: String, to: String, msgtype: u8) -> Result<Notice, Answer> {
    Ok(Notice {
        from,
        to,
        msgtype,
        attach: params.text("attach", 4_096)?.to_owned(),
        pushcontent: params.optional("pushcontent", 500)?.map(str::to_owned),
        payload: params.json_text("payload", 2_048)?.map(str::to_owned),
        sound: params.optional("sound", 30)?.map(str::to_owned),
        save: if params.choice("save", &["1", "2"])? == Some("1") { 1 } else { 2 },
        option: params.json("option", 4_096)?,
        at: 0,
    })
}

/// One notice, to a person or a team. The answer carries no id, and a repeated call notifies again.
pub fn send(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let from = params.accid("from")?;
    params.text("msgtype", 1)?;
    let to_team = params.choice("msgtype", &["0", "1"])? == Some("1");
    let to = if to_team { params.text("to", 64)?.to_owned() } else { params.accid("to")? };
    let notice = read_notice(params, from, to, u8::from(to_team))?;

    let team_of_unknown = shared.switchboard.read(|faults| faults.team_of_unknown);
    let world = lock(&shared.world);
    actor(&world, "from", &notice.from)?;
    if to_team && team_of_unknown != 200 {
        world.teams.get(&notice.to).ok_or_else(|| Answer::refused(team_of_unknown, "no such team"))?;
    } else if !to_team {
        world.accounts.get(&notice.to).ok_or_else(|| Answer::unknown("to"))?;
    }
    drop(world);
    deliver(shared, vec![notice])
}

/// One notice to many persons; the answer lists those that are not registered.
pub fn send_batch(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let from = params.accid("fromAccid")?;
    let all = params.accids("toAccids", 5_000)?;
    let notice = read_notice(params, from, String::new(), 0)?;

    let world = lock(&shared.world);
    actor(&world, "fromAccid", &notice.from)?;
    let (known, unregistered): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|accid| world.accounts.get(accid).is_some());
    drop(world);

    let notices = known.into_iter().map(|to| Notice { to, ..notice.clone() }).collect();
    let form = shared.switchboard.read(|faults| faults.unregister_as);
    let unregistered = match form {
        ListForm::Array => json!(unregistered),
        ListForm::String => json!(json!(unregistered).to_string()),
    };
    Ok(deliver(shared, notices)?.and("unregister", unregistered))
}

/// Keeps the notices and posts their copies.
fn deliver(shared: &Shared, notices: Vec<Notice>) -> Result<Answer, Answer> {
    acts::notify(shared, notices).map_err(|QueueFull| Answer::queue_full())?;
    Ok(Answer::done())
}
