//! The server API's friends: friend/add, update, delete, get and getByAccid.

use serde_json::{Value, json};

use super::actor::actor;
use super::params::{Answer, Params};
use crate::lock::lock;
use crate::state::Shared;
use crate::world::accounts::{Friend, MOST_FRIENDS, NotFriends};

/// Type 1 adds at once and 3 agrees; 2 asks and 4 declines, which makes nobody friends (friend/add).
pub fn add(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let (accid, friend) = (params.accid("accid")?, params.accid("faccid")?);
    params.text("type", 1)?;
    let kind = params.choice("type", &["1", "2", "3", "4"])?;
    params.optional("msg", 256)?;
    let serverex = params.optional("serverex", 256)?;

    let friend_of_unknown = shared.switchboard.read(|faults| faults.friend_of_unknown);
    let mut world = lock(&shared.world);
    actor(&world, "accid", &accid)?;
    if kind == Some("2") || kind == Some("4") {
        return Ok(Answer::done());
    }
    match world.accounts.befriend(&accid, &friend, shared.clock.now_ms()) {
        Ok(()) => {}
        Err(NotFriends::UnknownAccid) => return Err(Answer::unknown("accid")),
        Err(NotFriends::UnknownFriend) if friend_of_unknown == 200 => return Ok(Answer::done()),
        Err(NotFriends::UnknownFriend) => {
            return Err(Answer::refused(friend_of_unknown, "faccid is not registered"));
        }
        Err(NotFriends::TooMany) => {
            return Err(Answer::refused(419, &format!("more than {MOST_FRIENDS} friends")));
        }
    }
    let kept = world.accounts.get_mut(&accid).and_then(|account| account.friends.get_mut(&friend));
    if let (Some(kept), Some(serverex)) = (kept, serverex) {
        serverex.clone_into(&mut kept.serverex);
    }
    Ok(Answer::done())
}

/// What an account keeps of a friend; an empty text is one too. 414 if they are none.
pub fn update(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let (accid, friend) = (params.accid("accid")?, params.accid("faccid")?);
    let alias = params.given("alias", 128)?;
    let (ex, serverex) = (params.given("ex", 256)?, params.given("serverex", 256)?);
    let mut world = lock(&shared.world);
    actor(&world, "accid", &accid)?;
    let account = world.accounts.get_mut(&accid).ok_or_else(|| Answer::unknown("accid"))?;
    let kept = account.friends.get_mut(&friend).ok_or_else(|| Answer::bad("faccid", "is no friend"))?;
    for (text, given) in [(&mut kept.alias, alias), (&mut kept.ex, ex), (&mut kept.serverex, serverex)] {
        if let Some(given) = given {
            given.clone_into(text);
        }
    }
    kept.updated_at = shared.clock.now_ms();
    Ok(Answer::done())
}

/// Ends a friendship, for both. Two who are no friends stay so. An alias goes with it, whatever `isDeleteAlias` says.
pub fn delete(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let (accid, friend) = (params.accid("accid")?, params.accid("faccid")?);
    params.flag("isDeleteAlias")?;
    let mut world = lock(&shared.world);
    actor(&world, "accid", &accid)?;
    world.accounts.get(&friend).ok_or_else(|| Answer::unknown("faccid"))?;
    world.accounts.part(&accid, &friend);
    Ok(Answer::done())
}

/// The friends of an account, of whom something changed after `updatetime`, by default all.
pub fn list(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let accid = params.accid("accid")?;
    let since = params.number("updatetime", 0..=i64::MAX)?.unwrap_or(0);
    let world = lock(&shared.world);
    let account = world.accounts.get(&accid).ok_or_else(|| Answer::unknown("accid"))?;
    let changed = account.friends.iter().filter(|(_, kept)| kept.updated_at > since);
    let friends: Vec<Value> = changed
        .map(|(friend, kept)| {
            let mut row = json!({ "faccid": friend, "bidirection": true, "createtime": kept.created_at });
            if !kept.alias.is_empty() {
                row["alias"] = json!(kept.alias);
            }
            row
        })
        .collect();
    Ok(Answer::done_with("size", json!(friends.len())).and("friends", json!(friends)))
}

/// What an account keeps of one friend. Without a friendship the answer has no `friend`.
pub fn one(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let (accid, friend) = (params.accid("accid")?, params.accid("faccid")?);
    let world = lock(&shared.world);
    let account = world.accounts.get(&accid).ok_or_else(|| Answer::unknown("accid"))?;
    world.accounts.get(&friend).ok_or_else(|| Answer::unknown("faccid"))?;
    Ok(match account.friends.get(&friend) {
        Some(kept) => Answer::done_with("friend", row(&friend, kept)),
        None => Answer::done(),
    })
}

fn row(friend: &str, kept: &Friend) -> Value {
    json!({
        "faccid": friend,
        "bidirection": true,
        "alias": kept.alias,
        "ex": kept.ex,
        "serverex": kept.serverex,
        "createtime": kept.created_at,
        "updatetime": kept.updated_at,
    })
}
