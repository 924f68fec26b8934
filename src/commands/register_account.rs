//! Makes sure that a user has an account at NetEase, with a token that both sides hold.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};

use crate::domain::ids::{Accid, UserId};
use crate::ports::StoreError;
use crate::ports::accounts::{Account, Accounts};
use crate::ports::clock::Ids;
use crate::ports::gateway::{Created, Gateway, GatewayError};

/// Users whose registration may be under way at once in this process, give or take collisions.
const TURNS: usize = 1024;

/// Why a user has no account.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Another user id of the site has this accid: the two differ in letter case alone.
    #[error("another user already has the NetEase account `{0}`")]
    Taken(Accid),
    /// Our own store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// NetEase did not take the account.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

/// Registers users, each at most once at a time in this process.
pub struct Registrar {
    accounts: Arc<dyn Accounts>,
    gateway: Arc<dyn Gateway>,
    ids: Arc<dyn Ids>,
    turns: Vec<Mutex<()>>,
}

impl Registrar {
    /// A registrar over the stores given.
    pub fn new(accounts: Arc<dyn Accounts>, gateway: Arc<dyn Gateway>, ids: Arc<dyn Ids>) -> Self {
        Self { accounts, gateway, ids, turns: (0..TURNS).map(|_| Mutex::default()).collect() }
    }

    /// The account of `user`, registered at NetEase; `name`, where given, is what others see.
    ///
    /// The row with its token comes first, then NetEase, then the note that NetEase has it: a crash or a lost answer
    /// anywhere ends, with the next call, in one account and one token that works. A name that NetEase would not take
    /// right now is tried again by the next call and is no error.
    pub async fn register(&self, user: &UserId, name: Option<&str>) -> Result<Account, RegisterError> {
        let accid = user.accid();
        let _turn = self.turn(&accid).await;
        let mut account = self.own_row(user, accid, name).await?;
        if let Some(name) = name.filter(|name| account.name.as_deref() != Some(*name)) {
            self.accounts.rename(&account.accid, name).await?;
            account.name = Some(name.to_owned());
        }
        if !account.registered {
            self.create(&account).await?;
        } else if account.name != account.confirmed_name {
            self.show_name(&account).await?;
        }
        Ok(Account { registered: true, ..account })
    }

    /// Waits until no other task registers this accid.
    async fn turn(&self, accid: &Accid) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        accid.hash(&mut hasher);
        let turn = hasher.finish() % TURNS as u64;
        self.turns[usize::try_from(turn).unwrap_or_default()].lock().await
    }

    async fn own_row(
        &self,
        user: &UserId,
        accid: Accid,
        name: Option<&str>,
    ) -> Result<Account, RegisterError> {
        let account = match self.accounts.find(&accid).await? {
            Some(account) => account,
            None => {
                let fresh = Account {
                    accid,
                    user: user.clone(),
                    name: name.map(ToOwned::to_owned),
                    token: self.ids.fresh(),
                    registered: false,
                    confirmed_name: None,
                };
                self.accounts.insert_or_get(&fresh).await?
            }
        };
        if account.user == *user { Ok(account) } else { Err(RegisterError::Taken(account.accid)) }
    }

    async fn create(&self, account: &Account) -> Result<(), RegisterError> {
        let Account { accid, token, .. } = account;
        let name = account.name.as_deref();
        let created = self.gateway.create_user(accid, token, name).await?;
        if created == Created::AlreadyRegistered {
            // Made by an earlier call whose end was lost, or by someone else: its token is not ours until we set it.
            self.gateway.set_token(accid, token).await?;
            if let Some(name) = name {
                self.gateway.set_name(accid, name).await?;
            }
        }
        Ok(self.accounts.confirm(accid, token, name).await?)
    }

    async fn show_name(&self, account: &Account) -> Result<(), StoreError> {
        let Account { accid, token, .. } = account;
        let Some(name) = account.name.as_deref() else { return Ok(()) };
        match self.gateway.set_name(accid, name).await {
            Ok(()) => self.accounts.confirm(accid, token, Some(name)).await,
            Err(error) => {
                tracing::warn!(%accid, %error, "NetEase did not take a new name; the next bind tries again");
                Ok(())
            }
        }
    }
}
