//! The server API's lists of whom an account does not hear: user/setSpecialRelation and user/listBlackAndMuteList.

use serde_json::json;

use super::params::{Answer, Params};
use crate::lock::lock;
use crate::state::Shared;

/// Puts somebody on the blacklist (1) or the mutelist (2) of an account, or takes them off (`value` 0).
pub fn set(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let (accid, target) = (params.accid("accid")?, params.accid("targetAcc")?);
    let kind =
        params.number("relationType", 1..=2)?.ok_or_else(|| Answer::bad("relationType", "is missing"))?;
    let value = params.number("value", 0..=1)?.ok_or_else(|| Answer::bad("value", "is missing"))?;
    let mut world = lock(&shared.world);
    world.accounts.get(&target).ok_or_else(|| Answer::unknown("targetAcc"))?;
    let account = world.accounts.get_mut(&accid).ok_or_else(|| Answer::unknown("accid"))?;
    let list = if kind == 1 { &mut account.blacklist } else { &mut account.mutelist };
    if value == 1 {
        list.insert(target);
    } else {
        list.remove(&target);
    }
    Ok(Answer::done())
}

/// Both lists of an account.
pub fn list(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let accid = params.accid("accid")?;
    let world = lock(&shared.world);
    let account = world.accounts.get(&accid).ok_or_else(|| Answer::unknown("accid"))?;
    Ok(Answer::done_with("mutelist", json!(account.mutelist)).and("blacklist", json!(account.blacklist)))
}
