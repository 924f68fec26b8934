//! A buyer opens a chat with a seller: both have an account at NetEase, and they are friends there.

use std::sync::Arc;

use super::register_account::{RegisterError, Registrar};
use crate::domain::ids::{Accid, UserId};
use crate::ports::accounts::Accounts;
use crate::ports::gateway::{Gateway, GatewayError};

/// Who wants to chat with whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Who opens the chat.
    pub buyer: UserId,
    /// The name that others see of the buyer, 1–64 characters.
    pub buyer_name: Option<String>,
    /// Whom the buyer wants to talk to; not the buyer.
    pub seller: UserId,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Friendship {
    /// NetEase has confirmed it.
    Added,
    /// NetEase is out of reach; the next bind of the two tries again.
    Pending,
}

/// Binds buyers to sellers.
pub struct Binder {
    /// Account and friendship rows.
    pub accounts: Arc<dyn Accounts>,
    /// NetEase.
    pub gateway: Arc<dyn Gateway>,
    /// Makes accounts.
    pub registrar: Arc<Registrar>,
}

impl Binder {
    /// Registers the two and makes them friends. Safe to repeat, also after a crash at any point.
    ///
    /// A buyer whom NetEase knows already gets the token even while NetEase is out of reach.
    pub async fn bind(&self, bind: Bind) -> Result<Bound, RegisterError> {
        let buyer = self.registrar.register(&bind.buyer, bind.buyer_name.as_deref()).await?;
        let friend = bind.seller.accid();
        let friendship = match self.befriend(&buyer.accid, &bind.seller).await {
            Ok(()) => Friendship::Added,
            Err(RegisterError::Gateway(error)) if !matches!(error, GatewayError::Rejected { .. }) => {
                tracing::warn!(buyer = %buyer.accid, seller = %friend, %error, "a friendship is pending");
                Friendship::Pending
            }
            Err(error) => return Err(error),
        };
        Ok(Bound { accid: buyer.accid, token: buyer.token, friend, friendship })
    }

    async fn befriend(&self, buyer: &Accid, seller: &UserId) -> Result<(), RegisterError> {
        let seller = self.registrar.register(seller, None).await?.accid;
        if !self.accounts.are_friends(buyer, &seller).await? {
            self.gateway.add_friend(buyer, &seller).await?;
            self.accounts.remember_friends(buyer, &seller).await?;
        }
        Ok(())
    }
}
