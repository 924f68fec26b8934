//! Friends: `/im/v2.1/friends`.

use serde_json::{Value, json};

use super::answer::{Answer, OWN_FRIEND, TOO_MANY_FRIENDS, UNKNOWN_ACCOUNT};
use super::fields::{Fields, Query};
use crate::lock::lock;
use crate::state::Shared;
use crate::world::accounts::NotFriends;

/// `POST /im/v2.1/friends?type=`: type 1 adds at once; 2 asks, which makes nobody friends.
pub fn add(shared: &Shared, query: &Query, fields: &Fields) -> Result<Answer, Answer> {
    let (id, friend) = (fields.account("account_id")?, fields.account("friend_account_id")?);
    let asks = match query.text("type") {
        "1" => false,
        "2" => true,
        _ => return Err(Answer::bad("type", "must be 1 or 2")),
    };
    if id == friend {
        return Err(Answer::refused(OWN_FRIEND, "account and friend are the same"));
    }
    let (of_unknown, again) =
        shared.switchboard.read(|faults| (faults.friend_of_unknown, faults.friends_again));
    let mut world = lock(&shared.world);
    if again != 200 && world.accounts.get(&id).is_some_and(|account| account.friends.contains_key(&friend)) {
        return Err(Answer::refused(again, "friend already exist"));
    }
    if asks {
        return Ok(Answer::done(json!({})));
    }
    match world.accounts.befriend(&id, &friend, shared.clock.now_ms()) {
        Ok(()) => Ok(Answer::done(json!({ "account_id": id, "friend_account_id": friend }))),
        Err(NotFriends::UnknownAccid) => Err(Answer::unknown("account_id")),
        Err(NotFriends::UnknownFriend) => match of_unknown {
            200 => Ok(Answer::done(json!({}))),
            414 => Err(Answer::refused(UNKNOWN_ACCOUNT, "friend_account_id account not exist")),
            code => Err(Answer::refused(code.into(), "friend_account_id account not exist")),
        },
        Err(NotFriends::TooMany) => Err(Answer::refused(TOO_MANY_FRIENDS, "friend count limit")),
    }
}

/// `GET /im/v2.1/friends?account_id=`: all on one page.
pub fn get(shared: &Shared, query: &Query) -> Result<Answer, Answer> {
    let world = lock(&shared.world);
    let account =
        world.accounts.get(query.text("account_id")).ok_or_else(|| Answer::unknown("account_id"))?;
    let items: Vec<Value> =
        account.friends.keys().map(|friend| json!({ "friend_account_id": friend })).collect();
    Ok(Answer::done(json!({ "has_more": false, "next_token": "", "total": items.len(), "items": items })))
}
