//! Who has which account at NetEase, and who is whose friend there, as far as we have been told.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::ids::{Accid, UserId};

/// One account. There is never a second row for an accid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Key; a pure function of `user`, but in a row that an earlier version made while letter case told nobody apart.
    pub accid: Accid,
    /// Whose it is, as the site wrote it when the row was made.
    pub user: UserId,
    /// The name that the site gave last, at most 64 characters.
    pub name: Option<String>,
    /// What the user's client logs in with: chosen by us before NetEase is asked, a UUID.
    pub token: String,
    /// What NetEase is known to have.
    pub registration: Registration,
    /// The name that NetEase has confirmed.
    pub confirmed_name: Option<String>,
}

/// What NetEase is known to have under an accid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Nothing, so far.
    Unconfirmed,
    /// An account, with a token that is not ours: it is to be left alone until its user binds.
    ForeignToken,
    /// An account, with the token of the row.
    Confirmed,
}

/// Account and friendship rows. MySQL in production, SQLite when embedded.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// The account under an accid.
    async fn find(&self, accid: &Accid) -> Result<Option<Account>, StoreError>;

    /// Inserts `account` unless there is one under its accid, and answers the one that is there now. Durable.
    async fn insert_or_get(&self, account: &Account) -> Result<Account, StoreError>;

    /// NetEase has this account with `token`, under `name`. False, and without effect, if the row has another token by
    /// now or is gone.
    async fn confirm(&self, accid: &Accid, token: &str, name: Option<&str>) -> Result<bool, StoreError>;

    /// NetEase has this account, and whether with `token` is not known. False, and without effect, if the row has another
    /// token by now, is confirmed, or is gone.
    async fn mark_foreign(&self, accid: &Accid, token: &str) -> Result<bool, StoreError>;

    /// The site calls this user `name` from now on.
    async fn rename(&self, accid: &Accid, name: &str) -> Result<(), StoreError>;

    /// The user's token is `token` from now on; NetEase has yet to confirm it.
    async fn replace_token(&self, accid: &Accid, token: &str) -> Result<(), StoreError>;

    /// NetEase turned out not to have this account: neither it nor its friendships are confirmed any more.
    async fn forget_confirmation(&self, accid: &Accid) -> Result<(), StoreError>;

    /// Removes the account and its friendships; false if there was none.
    async fn release(&self, accid: &Accid) -> Result<bool, StoreError>;

    /// Up to `limit` accounts after `after`, in the order of accids.
    async fn page(&self, after: Option<&Accid>, limit: u32) -> Result<Vec<Account>, StoreError>;

    /// How many accounts there are after `after`.
    async fn count(&self, after: Option<&Accid>) -> Result<u64, StoreError>;

    /// Whether NetEase has confirmed that the two are friends; the order of the two does not matter.
    async fn are_friends(&self, one: &Accid, other: &Accid) -> Result<bool, StoreError>;

    /// Remembers that the two are friends at NetEase.
    async fn remember_friends(&self, one: &Accid, other: &Accid) -> Result<(), StoreError>;

    /// Whether the store answers at all.
    async fn ping(&self) -> Result<(), StoreError>;
}
