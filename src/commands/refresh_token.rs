//! Gives a user a new token, at NetEase and here.

use super::register_account::{RegisterError, Registrar};
use crate::domain::ids::UserId;
use crate::ports::accounts::{Account, Accounts};
use crate::ports::clock::Ids;

/// Replaces the token of `user`; `None` if they have no account yet. An account that NetEase has under somebody else's
/// token is taken over. The old token works until NetEase has the new one, and other instances may hand it out for as long as they cache it.
///
/// The row with the new token comes first: a crash in between ends, with the next bind, in the new token at NetEase.
pub async fn refresh_token(
    accounts: &dyn Accounts,
    registrar: &Registrar,
    ids: &dyn Ids,
    user: &UserId,
) -> Result<Option<Account>, RegisterError> {
    let accid = user.accid();
    match accounts.find(accid).await? {
        None => Ok(None),
        Some(account) if account.user != *user => Err(RegisterError::Taken(accid.clone())),
        Some(_) => {
            accounts.replace_token(accid, &ids.fresh()).await?;
            registrar.claim(user, None).await.map(Some)
        }
    }
}
