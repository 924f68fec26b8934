//! A buyer opens a chat with a seller: both have an account at NetEase, and they are friends there.

use std::sync::Arc;

use super::befriend::befriend;
use super::caller_limits::{CallerLimits, OverLimit};
use super::register_account::{RegisterError, Registrar};
use crate::domain::ids::{Accid, UserId};
use crate::log_gate::LogGate;
use crate::ports::StoreError;
use crate::ports::accounts::{Accounts, Registration};
use crate::ports::clock::Clock;
use crate::ports::gateway::{Gateway, GatewayError};
use crate::ports::outbox::Outbox;

/// Who wants to chat with whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Who opens the chat, and asks for it.
    pub buyer: UserId,
    /// The name that others see of the buyer, 1–64 characters.
    pub buyer_name: Option<String>,
    /// Whom the buyer wants to talk to; not the buyer.
    pub seller: UserId,
    /// The name that others see of the seller if NetEase lacks them, 1–64 characters.
    pub seller_name: Option<String>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The caller has had their share.
    #[error(transparent)]
    OverLimit(#[from] OverLimit),
    /// The two could not be registered.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

impl From<StoreError> for BindError {
    fn from(error: StoreError) -> Self {
        Self::Register(error.into())
    }
}

/// What the buyer's client logs in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The buyer's accid.
    pub accid: Accid,
    /// The buyer's token.
    pub token: String,
    /// The seller's accid.
    pub friend: Accid,
    /// Whether the two are friends yet.
    pub friendship: Friendship,
}

/// How far the friendship is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Friendship {
    /// NetEase has confirmed it.
    Added,
    /// NetEase is out of reach or takes no more calls; the friendship is owed, and made as soon as it can be.
    Pending,
    /// NetEase refuses it for good, in these words: one of the two has all the friends that NetEase allows, or has
    /// blacklisted the other, or the seller's account is refused. With an account each, the two can chat without being
    /// friends. It is not remembered: the next bind asks again.
    Refused(String),
}

/// Binds buyers to sellers.
pub struct Binder {
    /// Account and friendship rows.
    pub accounts: Arc<dyn Accounts>,
    /// NetEase, for somebody who waits.
    pub gateway: Arc<dyn Gateway>,
    /// Makes accounts.
    pub registrar: Arc<Registrar>,
    /// Keeps friendships that cannot be made now.
    pub outbox: Arc<dyn Outbox>,
    /// Dates them.
    pub clock: Arc<dyn Clock>,
    /// Keeps each caller to their share.
    pub limits: Arc<CallerLimits>,
}

impl Binder {
    /// Registers the two and makes them friends. Safe to repeat, also after a crash at any point.
    ///
    /// A buyer whom NetEase knows already gets the token even while NetEase is out of reach, and whatever it says of the
    /// seller or of the friendship. A seller of whom nothing is
    /// known is a new account of the caller's making.
    pub async fn bind(&self, bind: Bind) -> Result<Bound, BindError> {
        if let Some(bound) = self.already_bound(&bind).await? {
            return Ok(bound);
        }
        let _turn = self.limits.turn(bind.buyer.accid()).await?;
        let buyer = self.registrar.claim(&bind.buyer, bind.buyer_name.as_deref()).await?;
        let friend = bind.seller.accid().clone();
        if self.accounts.find(&friend).await?.is_none() {
            self.limits.new_account(bind.buyer.accid())?;
        }
        let seller_name = bind.seller_name.as_deref();
        let made = befriend(
            &*self.accounts,
            &*self.gateway,
            &self.registrar,
            &buyer.accid,
            &bind.seller,
            seller_name,
        );
        let friendship = match made.await {
            Ok(()) => Friendship::Added,
            Err(RegisterError::Gateway(error @ GatewayError::Rejected { .. })) => {
                tell_refused(&buyer.accid, &friend, &error);
                Friendship::Refused(error.to_string())
            }
            Err(RegisterError::Gateway(error)) => {
                self.outbox.owe_friendship(&bind.buyer, &bind.seller, self.clock.now()).await?;
                tell_owed(&buyer.accid, &friend, &error);
                Friendship::Pending
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Bound { accid: buyer.accid, token: buyer.token, friend, friendship })
    }

    /// The pair, if nothing is left to do for it: NetEase has confirmed the buyer's token and present name, the seller's
    /// account and the friendship. Read through the cache in front of the rows.
    async fn already_bound(&self, bind: &Bind) -> Result<Option<Bound>, StoreError> {
        let (buyer, seller) = (bind.buyer.accid(), bind.seller.accid());
        let known = self.accounts.find(buyer).await?.filter(|account| {
            let name = bind.buyer_name.as_deref();
            let named = name.is_none_or(|name| account.confirmed_name.as_deref() == Some(name));
            let confirmed = account.registration == Registration::Confirmed;
            confirmed && account.user == bind.buyer && named && account.name == account.confirmed_name
        });
        let Some(account) = known else { return Ok(None) };
        let seller_known = self.accounts.find(seller).await?.is_some_and(|account| {
            account.registration != Registration::Unconfirmed && account.user == bind.seller
        });
        let friends = seller_known && self.accounts.are_friends(buyer, seller).await?;
        Ok(friends.then(|| Bound {
            accid: buyer.clone(),
            token: account.token,
            friend: seller.clone(),
            friendship: Friendship::Added,
        }))
    }
}

fn tell_refused(buyer: &Accid, seller: &Accid, error: &GatewayError) {
    static REFUSED: LogGate = LogGate::new();
    if let Some(count) = REFUSED.pass() {
        tracing::warn!(count, %buyer, %seller, %error, "NetEase refuses a friendship");
    }
}

fn tell_owed(buyer: &Accid, seller: &Accid, error: &GatewayError) {
    static OWED: LogGate = LogGate::new();
    if let Some(count) = OWED.pass() {
        tracing::warn!(count, %buyer, %seller, %error, "a friendship is owed");
    }
}
