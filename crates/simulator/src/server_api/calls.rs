//! What a call does: to accounts and friends here, to the rest in the modules beside this one.

use serde_json::{Value, json};

use super::params::{Answer, Params};
use super::{history_calls, message_calls, notice_calls, team_calls};
use crate::api::Api;
use crate::lock::lock;
use crate::state::Shared;
use crate::world::accounts::{Account, MOST_FRIENDS, NotFriends};

/// Applies one call; an `Err` is an answer too, of a call that changed nothing.
pub fn apply(shared: &Shared, api: Api, params: &Params) -> Result<Answer, Answer> {
    match api {
        Api::UserCreate => create(shared, params),
        Api::UserUpdate => update_token(shared, params),
        Api::UserUpdateUinfo => update_uinfo(shared, params),
        Api::UserRefreshToken => refresh_token(shared, params),
        Api::UserGetUinfos => get_uinfos(shared, params),
        Api::FriendAdd => add_friend(shared, params),
        Api::FriendGet => get_friends(shared, params),
        Api::SendAttachMsg => notice_calls::send(shared, params),
        Api::SendBatchAttachMsg => notice_calls::send_batch(shared, params),
        Api::MarkReadMsg => message_calls::mark_read(shared, params),
        Api::QuerySessionMsg => history_calls::session_messages(shared, params),
        Api::QuerySessionList => history_calls::session_list(shared, params),
        Api::QueryUserEvents => history_calls::user_events(shared, params),
        Api::TeamCreate => team_calls::create(shared, params),
        Api::TeamQuery => team_calls::query(shared, params),
    }
}

fn create(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let accid = params.accid("accid")?;
    let name = params.optional("name", 64)?.unwrap_or_default().to_owned();
    let icon = params.optional("icon", 1_024)?.unwrap_or_default().to_owned();
    let token = params.optional("token", 128)?.map_or_else(|| shared.switchboard.hex_id(), str::to_owned);
    check_profile(params)?;

    let info = json!({ "token": token, "accid": accid, "name": name });
    let account = Account { accid, token, name, icon, friends: std::collections::BTreeSet::new() };
    if !lock(&shared.world).accounts.register(account) {
        return Err(Answer::refused(414, "already register"));
    }
    Ok(Answer::done_with("info", info))
}

fn update_token(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let accid = params.accid("accid")?;
    let token = params.text("token", 128)?;
    let mut world = lock(&shared.world);
    let account = world.accounts.get_mut(&accid).ok_or_else(|| Answer::unknown("accid"))?;
    token.clone_into(&mut account.token);
    Ok(Answer::done())
}

fn update_uinfo(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let accid = params.accid("accid")?;
    let name = params.optional("name", 64)?;
    let icon = params.optional("icon", 1_024)?;
    check_profile(params)?;

    let mut world = lock(&shared.world);
    let account = world.accounts.get_mut(&accid).ok_or_else(|| Answer::unknown("accid"))?;
    if let Some(name) = name {
        name.clone_into(&mut account.name);
    }
    if let Some(icon) = icon {
        icon.clone_into(&mut account.icon);
    }
    Ok(Answer::done())
}

/// Limits of the profile fields that are checked but not kept (user/create, user/updateUinfo).
fn check_profile(params: &Params) -> Result<(), Answer> {
    for (field, most) in [("sign", 256), ("email", 64), ("birth", 16), ("mobile", 32), ("ex", 1_024)] {
        params.optional(field, most)?;
    }
    params.choice("gender", &["0", "1", "2"])?;
    Ok(())
}

fn refresh_token(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let accid = params.accid("accid")?;
    let token = shared.switchboard.hex_id();
    let mut world = lock(&shared.world);
    let account = world.accounts.get_mut(&accid).ok_or_else(|| Answer::unknown("accid"))?;
    account.token.clone_from(&token);
    Ok(Answer::done_with("info", json!({ "token": token, "accid": accid })))
}

/// Accids that are not registered are left out of the answer, or all are refused for one: nobody knows.
fn get_uinfos(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let accids = params.accids("accids", 200)?;
    let code = shared.switchboard.read(|faults| faults.uinfos_of_unknown);
    let world = lock(&shared.world);
    let known = accids.iter().filter_map(|accid| world.accounts.get(accid));
    let uinfos: Vec<Value> = known.map(uinfo).collect();
    if code != 200 && uinfos.len() < accids.len() {
        return Err(Answer::refused(code, "an accid is not registered"));
    }
    Ok(Answer::done_with("uinfos", json!(uinfos)))
}

fn uinfo(account: &Account) -> Value {
    json!({ "accid": account.accid, "name": account.name, "icon": account.icon })
}

/// Type 1 adds at once and 3 agrees; 2 asks and 4 declines, which makes nobody friends (friend/add).
fn add_friend(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let accid = params.accid("accid")?;
    let friend = params.accid("faccid")?;
    params.text("type", 1)?;
    let kind = params.choice("type", &["1", "2", "3", "4"])?;
    params.optional("msg", 256)?;
    params.optional("serverex", 256)?;

    let friend_of_unknown = shared.switchboard.read(|faults| faults.friend_of_unknown);
    let mut world = lock(&shared.world);
    if kind == Some("2") || kind == Some("4") {
        return Ok(Answer::done());
    }
    match world.accounts.befriend(&accid, &friend) {
        Ok(()) => Ok(Answer::done()),
        Err(NotFriends::UnknownAccid) => Err(Answer::unknown("accid")),
        Err(NotFriends::UnknownFriend) if friend_of_unknown == 200 => Ok(Answer::done()),
        Err(NotFriends::UnknownFriend) => Err(Answer::refused(friend_of_unknown, "faccid is not registered")),
        Err(NotFriends::TooMany) => Err(Answer::refused(419, &format!("more than {MOST_FRIENDS} friends"))),
    }
}

fn get_friends(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let accid = params.accid("accid")?;
    let world = lock(&shared.world);
    let account = world.accounts.get(&accid).ok_or_else(|| Answer::unknown("accid"))?;
    let friends: Vec<Value> =
        account.friends.iter().map(|friend| json!({ "faccid": friend, "bidirection": true })).collect();
    Ok(Answer::done_with("size", json!(friends.len())).and("friends", json!(friends)))
}
