//! What a call does: to accounts and their profiles here, to the rest in the modules beside this one.

use serde_json::{Value, json};

use super::params::{Answer, Params};
use super::{
    friend_calls, history_calls, message_calls, notice_calls, relation_calls, standing_calls, team_calls,
};
use crate::api::Api;
use crate::lock::lock;
use crate::state::Shared;
use crate::world::accounts::{Account, Profile};

/// Applies one call; an `Err` is an answer too, of a call that changed nothing.
pub fn apply(shared: &Shared, api: Api, params: &Params) -> Result<Answer, Answer> {
    match api {
        Api::UserCreate => create(shared, params),
        Api::UserUpdate => update_token(shared, params),
        Api::UserUpdateUinfo => update_uinfo(shared, params),
        Api::UserRefreshToken => refresh_token(shared, params),
        Api::UserGetUinfos => get_uinfos(shared, params),
        Api::UserBlock => standing_calls::block(shared, params),
        Api::UserUnblock => standing_calls::unblock(shared, params),
        Api::UserMute => standing_calls::mute(shared, params),
        Api::UserMuteModule => standing_calls::mute_module(shared, params),
        Api::UserSetDonnop => standing_calls::set_donnop(shared, params),
        Api::UserOnlineStatus => standing_calls::online_status(shared, params),
        Api::UserSetSpecialRelation => relation_calls::set(shared, params),
        Api::UserListBlackAndMuteList => relation_calls::list(shared, params),
        Api::FriendAdd => friend_calls::add(shared, params),
        Api::FriendUpdate => friend_calls::update(shared, params),
        Api::FriendDelete => friend_calls::delete(shared, params),
        Api::FriendGet => friend_calls::list(shared, params),
        Api::FriendGetByAccid => friend_calls::one(shared, params),
        Api::SendAttachMsg => notice_calls::send(shared, params),
        Api::SendBatchAttachMsg => notice_calls::send_batch(shared, params),
        Api::SendMsg => message_calls::send(shared, params),
        Api::SendBatchMsg => message_calls::send_batch(shared, params),
        Api::RecallMsg => message_calls::recall(shared, params),
        Api::MarkReadMsg => message_calls::mark_read(shared, params),
        Api::QuerySessionMsg => history_calls::session_messages(shared, params),
        Api::QueryTeamMsg => history_calls::team_messages(shared, params),
        Api::QuerySessionList => history_calls::session_list(shared, params),
        Api::QueryUserEvents => history_calls::user_events(shared, params),
        Api::TeamCreate => team_calls::create(shared, params),
        Api::TeamQuery => team_calls::query(shared, params),
        Api::TeamRemove => team_calls::remove(shared, params),
    }
}

fn create(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let accid = params.accid("accid")?;
    let token = params.optional("token", 128)?.map_or_else(|| shared.switchboard.hex_id(), str::to_owned);
    let mut profile = Profile::default();
    lay_over(&mut profile, params)?;

    let info = json!({ "token": token, "accid": accid, "name": profile.name });
    let account = Account { accid, token, profile, ..Account::default() };
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
    let mut world = lock(&shared.world);
    let account = world.accounts.get_mut(&accid).ok_or_else(|| Answer::unknown("accid"))?;
    let mut profile = account.profile.clone();
    lay_over(&mut profile, params)?;
    account.profile = profile;
    Ok(Answer::done())
}

/// Lays the given fields over a profile (user/create, user/updateUinfo).
fn lay_over(profile: &mut Profile, params: &Params) -> Result<(), Answer> {
    let texts = [
        ("name", 64, &mut profile.name),
        ("icon", 1_024, &mut profile.icon),
        ("sign", 256, &mut profile.sign),
        ("email", 64, &mut profile.email),
        ("birth", 16, &mut profile.birth),
        ("mobile", 32, &mut profile.mobile),
        ("ex", 1_024, &mut profile.ex),
    ];
    for (field, most, text) in texts {
        if let Some(given) = params.optional(field, most)? {
            given.clone_into(text);
        }
    }
    if let Some(gender) = params.number("gender", 0..=2)? {
        profile.gender = u8::try_from(gender).unwrap_or(0);
    }
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
    let with_mute = params.flag("muteStatus")? == Some(true);
    let code = shared.switchboard.read(|faults| faults.uinfos_of_unknown);
    let world = lock(&shared.world);
    let known = accids.iter().filter_map(|accid| world.accounts.get(accid));
    let uinfos: Vec<Value> = known.map(|account| uinfo(account, with_mute)).collect();
    if code != 200 && uinfos.len() < accids.len() {
        return Err(Answer::refused(code, "an accid is not registered"));
    }
    Ok(Answer::done_with("uinfos", json!(uinfos)))
}

fn uinfo(account: &Account, with_mute: bool) -> Value {
    let mut row = json!(account.profile);
    row["accid"] = json!(account.accid);
    row["valid"] = json!(!account.blocked);
    if with_mute {
        row["mute"] = json!(account.mute.everywhere);
        row["muteP2P"] = json!(account.mute.persons);
        row["muteTeam"] = json!(account.mute.teams);
        row["muteRoom"] = json!(account.mute.rooms);
        row["muteQChat"] = json!(account.mute.qchat);
    }
    row
}
