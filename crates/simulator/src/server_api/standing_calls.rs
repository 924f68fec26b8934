//! The server API's calls on what an account may do, and whether it is there: user/block to user/userOnlineStatus.

use serde_json::{Map, Value, json};

use super::params::{Answer, Params};
use crate::lock::lock;
use crate::state::Shared;
use crate::world::accounts::Account;
use crate::world::history::client_number;

/// Blocks an account: it may not log in, nor act by the server API. Its clients stay online without `needkick`.
pub fn block(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let accid = params.accid("accid")?;
    let kick = params.flag("needkick")? == Some(true);
    params.flag("needUnbindPushToken")?;
    params.optional("kickNotifyExt", 256)?;
    change(shared, &accid, |account| account.blocked = true)?;
    if kick {
        lock(&shared.world).presence.log_out(&accid, None, shared.clock.now_ms());
    }
    Ok(Answer::done())
}

/// Lets a blocked account in again.
pub fn unblock(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    change(shared, &params.accid("accid")?, |account| account.blocked = false)
}

/// Whether an account may speak at all.
pub fn mute(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let accid = params.accid("accid")?;
    let muted = params.flag("mute")?.ok_or_else(|| Answer::bad("mute", "is missing"))?;
    change(shared, &accid, |account| account.mute.everywhere = muted)
}

/// Where an account may speak; what is not given stays as it was.
pub fn mute_module(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let accid = params.accid("accid")?;
    let (persons, teams) = (params.flag("muteP2P")?, params.flag("muteTeam")?);
    let (rooms, qchat) = (params.flag("muteRoom")?, params.flag("muteQChat")?);
    let mut world = lock(&shared.world);
    let account = world.accounts.get_mut(&accid).ok_or_else(|| Answer::unknown("accid"))?;
    let mute = &mut account.mute;
    mute.persons = persons.unwrap_or(mute.persons);
    mute.teams = teams.unwrap_or(mute.teams);
    mute.rooms = rooms.unwrap_or(mute.rooms);
    mute.qchat = qchat.unwrap_or(mute.qchat);
    let data = json!({
        "muteP2P": mute.persons, "muteTeam": mute.teams, "muteRoom": mute.rooms, "muteQChat": mute.qchat,
    });
    Ok(Answer::done_with("data", data))
}

/// Whether a phone stays silent while a computer is online. 414 for an account that never logged in, as NetEase's own
/// tests of its SDK expect.
pub fn set_donnop(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let accid = params.accid("accid")?;
    let open = params.flag("donnopOpen")?.ok_or_else(|| Answer::bad("donnopOpen", "is missing"))?;
    if !lock(&shared.world).presence.was_seen(&accid) {
        return Err(Answer::bad("accid", "has no client"));
    }
    change(shared, &accid, |account| account.donnop = open)
}

/// Who of these is online, with which clients and since when. Accids that are not registered are listed as invalid.
pub fn online_status(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let accids = params.accids("accids", 100)?;
    let world = lock(&shared.world);
    let invalid: Vec<&String> = accids.iter().filter(|accid| world.accounts.get(accid).is_none()).collect();
    let mut status = Map::new();
    for accid in &accids {
        let clients = world.presence.online(accid);
        let clients: Vec<Value> = clients
            .map(|(client, since)| json!({ "clientType": client_number(client), "loginTime": since }))
            .collect();
        if !clients.is_empty() {
            status.insert(accid.clone(), json!(clients));
        }
    }
    Ok(Answer::done_with("data", json!({ "invalidAccids": invalid, "status": status })))
}

fn change(shared: &Shared, accid: &str, change: impl FnOnce(&mut Account)) -> Result<Answer, Answer> {
    let mut world = lock(&shared.world);
    change(world.accounts.get_mut(accid).ok_or_else(|| Answer::unknown("accid"))?);
    Ok(Answer::done())
}
