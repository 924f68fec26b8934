//! Makes sure that a user has an account at NetEase, and that whoever logs in has a token that both sides hold.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};

use crate::domain::ids::{Accid, UserId};
use crate::domain::names::check_name;
use crate::log_gate::LogGate;
use crate::ports::StoreError;
use crate::ports::accounts::{Account, Accounts, Registration};
use crate::ports::clock::Ids;
use crate::ports::gateway::{Created, Gateway, GatewayError};

/// Users whose registration may be under way at once in this process, give or take collisions.
const LOCKS: usize = 1024;
/// How often work begins again because somebody else has changed the row meanwhile.
const ROUNDS: usize = 4;

/// Why a user has no account.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The row under the accid is another user's, from when letter case told nobody apart.
    #[error("the NetEase account `{0}` is kept for a user id in another letter case")]
    Taken(Accid),
    /// Our own store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// NetEase did not take the account.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

/// Registers users, each at most once at a time in this process.
///
/// The row with its token comes first, then NetEase, then the note that NetEase has it: a crash or a lost answer
/// anywhere ends, with the next call, in one account and one token that works. Whoever finds at the end that the row has
/// another token by now, a refresh say, begins again with that one.
pub struct Registrar {
    accounts: Arc<dyn Accounts>,
    gateway: Arc<dyn Gateway>,
    ids: Arc<dyn Ids>,
    locks: Vec<Mutex<()>>,
}

impl Registrar {
    /// A registrar over the stores given.
    pub fn new(accounts: Arc<dyn Accounts>, gateway: Arc<dyn Gateway>, ids: Arc<dyn Ids>) -> Self {
        Self { accounts, gateway, ids, locks: (0..LOCKS).map(|_| Mutex::default()).collect() }
    }

    /// The account of `user`, who binds in person, or on whom an operator insists: NetEase has it with the token that is
    /// answered. An account that NetEase had before gets our token, which ends whatever login it had.
    ///
    /// `name`, where given, is what others see. One that NetEase would not take right now is tried again by the next call
    /// and is no error.
    pub async fn claim(&self, user: &UserId, name: Option<&str>) -> Result<Account, RegisterError> {
        let _turn = self.turn(user.accid()).await;
        let mut account = self.row(user, name).await?;
        self.rename(&mut account, name).await?;
        if account.registration == Registration::Confirmed {
            if account.name != account.confirmed_name {
                self.show_name(&account).await?;
            }
            return Ok(account);
        }
        for _ in 0..ROUNDS {
            if self.take_over(&account).await? {
                return Ok(Account { registration: Registration::Confirmed, ..account });
            }
            // The row's token has changed meanwhile, and NetEase has the old one: begin again with the row's, even if the
            // row says that it is confirmed.
            account = self.row(user, name).await?;
        }
        Err(contended())
    }

    /// Makes sure that NetEase has an account of `user`, whom somebody else names: a seller, a recipient. It is made if
    /// NetEase lacks it, under `name` or else the user id. One that NetEase has already is left as it is: only its user
    /// may [`claim`](Self::claim) it.
    pub async fn ensure(&self, user: &UserId, name: Option<&str>) -> Result<Registration, RegisterError> {
        let _turn = self.turn(user.accid()).await;
        for _ in 0..ROUNDS {
            let mut account = self.row(user, None).await?;
            if account.registration != Registration::Unconfirmed {
                return Ok(account.registration);
            }
            let Account { accid, token, .. } = &account;
            let shown = account.name.as_deref().or(name).or_else(|| first_name(user));
            let done = match self.gateway.create_user(accid, token, shown).await? {
                Created::New => {
                    let shown = shown.map(ToOwned::to_owned);
                    self.rename(&mut account, shown.as_deref()).await?;
                    let Account { accid, token, .. } = &account;
                    (Registration::Confirmed, self.accounts.confirm(accid, token, shown.as_deref()).await?)
                }
                Created::AlreadyRegistered => {
                    (Registration::ForeignToken, self.accounts.mark_foreign(accid, token).await?)
                }
            };
            if let (registration, true) = done {
                return Ok(registration);
            }
        }
        Err(contended())
    }

    /// Sets the token of a confirmed account at NetEase once more, and nobody else's: an account that is not there, not
    /// confirmed or not this user's is left alone. Answers whether it was set.
    pub async fn set_token_again(&self, user: &UserId) -> Result<bool, RegisterError> {
        let _turn = self.turn(user.accid()).await;
        for round in 0..ROUNDS {
            let Some(account) = self.accounts.find(user.accid()).await? else { return Ok(round > 0) };
            // Once one has been set, NetEase has to get the one that the row has by now.
            let ours = round > 0 || account.registration == Registration::Confirmed;
            if account.user != *user || !ours {
                return Ok(round > 0);
            }
            let Account { accid, token, confirmed_name, .. } = &account;
            self.gateway.set_token(accid, token).await?;
            if self.accounts.confirm(accid, token, confirmed_name.as_deref()).await? {
                return Ok(true);
            }
        }
        Err(contended())
    }

    /// Waits until no other task registers this accid.
    async fn turn(&self, accid: &Accid) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        accid.hash(&mut hasher);
        let turn = hasher.finish() % LOCKS as u64;
        self.locks[usize::try_from(turn).unwrap_or_default()].lock().await
    }

    /// The row of `user`, made if there is none.
    async fn row(&self, user: &UserId, name: Option<&str>) -> Result<Account, RegisterError> {
        let account = match self.accounts.find(user.accid()).await? {
            Some(account) => account,
            None => {
                let fresh = Account {
                    accid: user.accid().clone(),
                    user: user.clone(),
                    name: name.map(ToOwned::to_owned),
                    token: self.ids.fresh(),
                    registration: Registration::Unconfirmed,
                    confirmed_name: None,
                };
                self.accounts.insert_or_get(&fresh).await?
            }
        };
        if account.user == *user { Ok(account) } else { Err(RegisterError::Taken(account.accid)) }
    }

    async fn rename(&self, account: &mut Account, name: Option<&str>) -> Result<(), StoreError> {
        if let Some(name) = name.filter(|name| account.name.as_deref() != Some(*name)) {
            self.accounts.rename(&account.accid, name).await?;
            account.name = Some(name.to_owned());
        }
        Ok(())
    }

    /// NetEase has the account with the row's token after this. False if the row has another one by now.
    async fn take_over(&self, account: &Account) -> Result<bool, RegisterError> {
        let Account { accid, token, user, .. } = account;
        let mut name = account.name.as_deref();
        let first = name.or_else(|| first_name(user));
        match self.gateway.create_user(accid, token, first).await? {
            Created::New => {
                if name.is_none()
                    && let Some(first) = first
                {
                    self.accounts.rename(accid, first).await?;
                }
                name = first;
            }
            Created::AlreadyRegistered => {
                // Made by an earlier call whose end was lost, or by someone else: its token is not ours until we set it.
                self.gateway.set_token(accid, token).await?;
                if let Some(name) = name {
                    self.gateway.set_name(accid, name).await?;
                }
            }
        }
        Ok(self.accounts.confirm(accid, token, name).await?)
    }

    async fn show_name(&self, account: &Account) -> Result<(), StoreError> {
        let Account { accid, token, .. } = account;
        let Some(name) = account.name.as_deref() else { return Ok(()) };
        match self.gateway.set_name(accid, name).await {
            // A row with another token by now shows that the name is still to be confirmed.
            Ok(()) => self.accounts.confirm(accid, token, Some(name)).await.map(|_| ()),
            Err(error) => {
                tell_not_taken(accid, &error);
                Ok(())
            }
        }
    }
}

/// The name of a new account to which nobody has given one: clients would show the accid, which may be a hash.
fn first_name(user: &UserId) -> Option<&str> {
    Some(user.as_str()).filter(|name| check_name(name).is_ok())
}

fn tell_not_taken(accid: &Accid, error: &GatewayError) {
    static NOT_TAKEN: LogGate = LogGate::new();
    if let Some(count) = NOT_TAKEN.pass() {
        tracing::warn!(count, %accid, %error, "NetEase did not take a new name; the next bind tries again");
    }
}

fn contended() -> RegisterError {
    StoreError::unavailable("accounts", "the row of one account changes again and again").into()
}
