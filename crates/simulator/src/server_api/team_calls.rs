//! The server API's teams, as far as notices and messages need them: team/create, query and remove.

use serde_json::{Value, json};

use super::params::{Answer, Params};
use crate::lock::lock;
use crate::state::Shared;
use crate::world::teams::{Team, TeamInfo};

/// Founds a team of the owner and the members, who are in it at once whatever `magree` says.
pub fn create(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let owner = params.accid("owner")?;
    let members = params.accids("members", 200)?;
    let text = |name, most| Ok(params.optional(name, most)?.unwrap_or_default().to_owned());
    let info = TeamInfo {
        name: params.text("tname", 64)?.to_owned(),
        announcement: text("announcement", 1_024)?,
        intro: text("intro", 512)?,
        custom: text("custom", 1_024)?,
        icon: text("icon", 1_024)?,
        join_mode: params.number("joinmode", 0..=2)?.and_then(|mode| u8::try_from(mode).ok()).unwrap_or(0),
        most_members: most_members(params)?,
    };
    params.optional("msg", 150)?;
    for field in ["magree", "beinvitemode", "invitemode", "uptinfomode", "upcustommode"] {
        params.choice(field, &["0", "1"])?;
    }

    let mut world = lock(&shared.world);
    world.accounts.get(&owner).ok_or_else(|| Answer::unknown("owner"))?;
    if members.iter().any(|member| world.accounts.get(member).is_none()) {
        return Err(Answer::unknown("members"));
    }
    let more = members.iter().filter(|&member| *member != owner).count();
    if more >= info.most_members {
        return Err(Answer::refused(801, "the team has more members than teamMemberLimit"));
    }
    let team = world.teams.found(&owner, members, info, shared.clock.now_ms());
    let nobody = json!({ "accid": [], "msg": "" });
    Ok(Answer::done_with("tid", json!(team.tid.to_string())).and("faccid", nobody))
}

/// `teamMemberLimit`, 200 unless it says less.
fn most_members(params: &Params) -> Result<usize, Answer> {
    let most = params.number("teamMemberLimit", 2..=200)?;
    Ok(most.and_then(|most| usize::try_from(most).ok()).unwrap_or(200))
}

/// What is known of teams, with their members if `ope` is 1. Teams that are not there are left out.
pub fn query(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let tids = params.json("tids", 4_096)?.ok_or_else(|| Answer::bad("tids", "is missing"))?;
    let tids: Vec<String> = match tids {
        Value::Array(tids) if (1..=30).contains(&tids.len()) => {
            tids.iter().map(|tid| tid.as_str().map_or_else(|| tid.to_string(), str::to_owned)).collect()
        }
        _ => return Err(Answer::bad("tids", "must be a JSON array of 1 to 30 team ids")),
    };
    let with_members = params.choice("ope", &["0", "1"])? == Some("1");
    let world = lock(&shared.world);
    let known = tids.iter().filter_map(|tid| world.teams.get(tid));
    let teams: Vec<Value> = known.map(|team| row(team, with_members)).collect();
    Ok(Answer::done_with("tinfos", json!(teams)))
}

/// The owner dissolves a team.
pub fn remove(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let (tid, owner) = (params.text("tid", 20)?, params.accid("owner")?);
    params.optional("attach", 1_024)?;
    let team_of_unknown = shared.switchboard.read(|faults| faults.team_of_unknown);
    let mut world = lock(&shared.world);
    match world.teams.get(tid) {
        Some(team) if team.owner == owner => {
            let tid = team.tid;
            world.teams.dissolve(tid);
            Ok(Answer::done())
        }
        Some(_) => Err(Answer::refused(802, "owner is not the owner of the team")),
        None if team_of_unknown == 200 => Ok(Answer::done()),
        None => Err(Answer::refused(team_of_unknown, "no such team")),
    }
}

fn row(team: &Team, with_members: bool) -> Value {
    let mut row = json!({
        "tid": team.tid,
        "tname": team.info.name,
        "owner": team.owner,
        "size": team.members.len(),
        "maxusers": team.info.most_members,
        "announcement": team.info.announcement,
        "intro": team.info.intro,
        "custom": team.info.custom,
        "icon": team.info.icon,
        "joinmode": team.info.join_mode,
        "mute": false,
        "createtime": team.created_at,
        "updatetime": team.created_at,
    });
    if with_members {
        row["admins"] = json!([]);
        row["members"] =
            json!(team.members.iter().filter(|&member| *member != team.owner).collect::<Vec<_>>());
    }
    row
}
