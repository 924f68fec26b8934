//! Makes two users friends at NetEase. What a refusal means is for its callers to say: `bind_account.rs` and
//! `deliver/attempt.rs`.

use super::register_account::{RegisterError, Registrar};
use crate::domain::ids::{Accid, UserId};
use crate::ports::accounts::Accounts;
use crate::ports::gateway::Gateway;

/// Makes a registered user and another one friends, unless they are; registers the other when NetEase lacks them, under
/// `name` where given. Safe to repeat, also after a crash at any point.
pub async fn befriend(
    accounts: &dyn Accounts,
    gateway: &dyn Gateway,
    registrar: &Registrar,
    registered: &Accid,
    other: &UserId,
    name: Option<&str>,
) -> Result<(), RegisterError> {
    registrar.ensure(other, name).await?;
    let other = other.accid();
    if !accounts.are_friends(registered, other).await? {
        gateway.add_friend(registered, other).await?;
        accounts.remember_friends(registered, other).await?;
    }
    Ok(())
}
