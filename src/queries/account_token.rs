//! The token of a buyer who has been bound to a seller before: nothing is left to do for them.

use crate::domain::ids::UserId;
use crate::ports::StoreError;
use crate::ports::accounts::{Accounts, Registration};

/// The buyer's token, if NetEase has confirmed it, the buyer's present name, the seller's account and the friendship.
///
/// Answered from the cache in front of the account rows; `None` means that the bind command has to look closer.
pub async fn account_token(
    accounts: &dyn Accounts,
    buyer: &UserId,
    name: Option<&str>,
    seller: &UserId,
) -> Result<Option<String>, StoreError> {
    let (buyer_accid, seller_accid) = (buyer.accid(), seller.accid());
    let known = accounts.find(buyer_accid).await?.filter(|account| {
        let named = name.is_none_or(|name| account.confirmed_name.as_deref() == Some(name));
        let confirmed = account.registration == Registration::Confirmed;
        confirmed && account.user == *buyer && named && account.name == account.confirmed_name
    });
    let Some(account) = known else { return Ok(None) };
    let seller_known = accounts
        .find(seller_accid)
        .await?
        .is_some_and(|account| account.registration != Registration::Unconfirmed && account.user == *seller);
    let friends = seller_known && accounts.are_friends(buyer_accid, seller_accid).await?;
    Ok(friends.then_some(account.token))
}
