//! Accounts and profiles: `/im/v2/accounts`, `/im/v2/users`.

use serde_json::{Value, json};

use super::answer::{ACCOUNT_EXISTS, Answer};
use super::fields::{Fields, Query};
use crate::lock::lock;
use crate::state::Shared;
use crate::world::accounts::{Account, Profile};

/// Accounts that one call reads at most. Nobody knows NetEase's bound.
const MOST_READ: usize = 100;

/// `POST /im/v2/accounts`
pub fn create(shared: &Shared, fields: &Fields) -> Result<Answer, Answer> {
    let accid = fields.account("account_id")?;
    let token = fields.optional("token", 128)?.map_or_else(|| shared.switchboard.hex_id(), str::to_owned);
    let mut profile = Profile::default();
    lay_over(&mut profile, &fields.object("user_information")?)?;
    let account = Account { accid, token, profile, ..Account::default() };
    let data = with_token(&account);
    match lock(&shared.world).accounts.register(account) {
        true => Ok(Answer::done(data)),
        false => Err(Answer::refused(ACCOUNT_EXISTS, "account already exist")),
    }
}

/// Lays what is given over a profile.
fn lay_over(profile: &mut Profile, given: &Fields) -> Result<(), Answer> {
    let Profile { name, icon, sign, email, birth, mobile, ex, .. } = profile;
    for (kept, field, most) in [
        (name, "name", 64),
        (icon, "avatar", 1_024),
        (sign, "sign", 256),
        (email, "email", 64),
        (birth, "birthday", 16),
        (mobile, "mobile", 32),
        (ex, "extension", 1_024),
    ] {
        if let Some(value) = given.optional(field, most)? {
            value.clone_into(kept);
        }
    }
    Ok(())
}

fn user(account: &Account) -> Value {
    let mut user = information(&account.profile);
    user["account_id"] = json!(account.accid);
    user
}

fn information(profile: &Profile) -> Value {
    json!({
        "name": profile.name,
        "avatar": profile.icon,
        "sign": profile.sign,
        "email": profile.email,
        "birthday": profile.birth,
        "mobile": profile.mobile,
        "gender": profile.gender,
        "extension": profile.ex,
    })
}

fn with_token(account: &Account) -> Value {
    json!({
        "account_id": account.accid,
        "token": account.token,
        "configuration": {
            "enabled": !account.blocked,
            "p2p_chat_banned": account.mute.persons,
            "team_chat_banned": account.mute.teams,
            "chatroom_chat_banned": account.mute.rooms,
            "qchat_chat_banned": account.mute.qchat,
        },
        "user_information": information(&account.profile),
    })
}

/// `GET /im/v2/accounts?account_ids=a,b`
pub fn get(shared: &Shared, query: &Query) -> Result<Answer, Answer> {
    read(shared, query, with_token)
}

/// `GET /im/v2/users?account_ids=a,b`
pub fn get_users(shared: &Shared, query: &Query) -> Result<Answer, Answer> {
    read(shared, query, user)
}

fn read(shared: &Shared, query: &Query, shown: impl Fn(&Account) -> Value) -> Result<Answer, Answer> {
    let asked = query.accounts("account_ids", MOST_READ)?;
    let world = lock(&shared.world);
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for id in asked {
        match world.accounts.get(&id) {
            Some(account) => known.push(shown(account)),
            None => unknown.push(id),
        }
    }
    Ok(Answer::of_many(&known, unknown))
}

/// `PATCH /im/v2/accounts/{account_id}`
pub fn update(shared: &Shared, id: &str, fields: &Fields) -> Result<Answer, Answer> {
    let (token, profile) = (fields.optional("token", 128)?, fields.object("user_information")?);
    change(shared, id, |account| {
        if let Some(token) = token {
            token.clone_into(&mut account.token);
        }
        lay_over(&mut account.profile, &profile)
    })
}

/// `PATCH /im/v2/accounts/{account_id}/actions/refresh_token`
pub fn refresh_token(shared: &Shared, id: &str) -> Result<Answer, Answer> {
    change(shared, id, |account| {
        account.token = shared.switchboard.hex_id();
        Ok(())
    })
}

/// `PATCH /im/v2/users/{account_id}`
pub fn update_user(shared: &Shared, id: &str, fields: &Fields) -> Result<Answer, Answer> {
    change(shared, id, |account| lay_over(&mut account.profile, fields))
}

/// Changes a copy first: a field that is refused changes nothing.
fn change(
    shared: &Shared,
    id: &str,
    change: impl FnOnce(&mut Account) -> Result<(), Answer>,
) -> Result<Answer, Answer> {
    let mut world = lock(&shared.world);
    let account = world.accounts.get_mut(id).ok_or_else(|| Answer::unknown("account_id"))?;
    let mut changed = account.clone();
    change(&mut changed)?;
    *account = changed;
    Ok(Answer::done(with_token(account)))
}
