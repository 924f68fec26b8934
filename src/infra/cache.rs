//! A moka cache in front of the account rows, for binds of users and friends that are known already.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use moka::future::Cache;

use crate::domain::ids::Accid;
use crate::ports::StoreError;
use crate::ports::accounts::{Account, Accounts, Registration};

/// Accounts that NetEase is known to have, and friendships, kept for a short while; what is not there is never cached.
///
/// A change through this cache drops the entry at once. A look-up that overlaps the change, and a change by another
/// instance, can leave the old row in here: for no longer than `ttl`.
pub struct CachedAccounts<A> {
    inner: A,
    accounts: Cache<Accid, Account>,
    friends: Cache<(Accid, Accid), ()>,
}

/// Why a look-up put nothing into the cache.
enum Miss {
    Absent(Option<Account>),
    Failed(StoreError),
}

impl<A: Accounts> CachedAccounts<A> {
    /// Keeps at most `capacity` accounts, and as many friendships, for `ttl`.
    pub fn new(inner: A, capacity: u64, ttl: Duration) -> Self {
        Self {
            inner,
            accounts: Cache::builder().max_capacity(capacity).time_to_live(ttl).build(),
            friends: Cache::builder().max_capacity(capacity).time_to_live(ttl).build(),
        }
    }

    async fn look_up(&self, accid: &Accid) -> Result<Account, Miss> {
        match self.inner.find(accid).await {
            Ok(Some(account)) if account.registration != Registration::Unconfirmed => Ok(account),
            Ok(other) => Err(Miss::Absent(other)),
            Err(error) => Err(Miss::Failed(error)),
        }
    }
}

fn pair(one: &Accid, other: &Accid) -> (Accid, Accid) {
    (one.min(other).clone(), one.max(other).clone())
}

#[async_trait]
impl<A: Accounts> Accounts for CachedAccounts<A> {
    /// Concurrent look-ups of one accid share one query.
    async fn find(&self, accid: &Accid) -> Result<Option<Account>, StoreError> {
        match self.accounts.try_get_with_by_ref(accid, self.look_up(accid)).await {
            Ok(account) => Ok(Some(account)),
            Err(miss) => match Arc::try_unwrap(miss) {
                Ok(Miss::Absent(found)) => Ok(found),
                Ok(Miss::Failed(error)) => Err(error),
                Err(shared) => match &*shared {
                    Miss::Absent(found) => Ok(found.clone()),
                    Miss::Failed(error) => Err(error.again()),
                },
            },
        }
    }

    async fn insert_or_get(&self, account: &Account) -> Result<Account, StoreError> {
        self.inner.insert_or_get(account).await
    }

    async fn confirm(&self, accid: &Accid, token: &str, name: Option<&str>) -> Result<bool, StoreError> {
        let outcome = self.inner.confirm(accid, token, name).await;
        self.accounts.invalidate(accid).await;
        outcome
    }

    async fn mark_foreign(&self, accid: &Accid, token: &str) -> Result<bool, StoreError> {
        let outcome = self.inner.mark_foreign(accid, token).await;
        self.accounts.invalidate(accid).await;
        outcome
    }

    async fn rename(&self, accid: &Accid, name: &str) -> Result<(), StoreError> {
        let outcome = self.inner.rename(accid, name).await;
        self.accounts.invalidate(accid).await;
        outcome
    }

    async fn replace_token(&self, accid: &Accid, token: &str) -> Result<(), StoreError> {
        let outcome = self.inner.replace_token(accid, token).await;
        self.accounts.invalidate(accid).await;
        outcome
    }

    async fn forget_confirmation(&self, accid: &Accid) -> Result<(), StoreError> {
        let outcome = self.inner.forget_confirmation(accid).await;
        self.accounts.invalidate(accid).await;
        self.friends.invalidate_all();
        outcome
    }

    async fn release(&self, accid: &Accid) -> Result<bool, StoreError> {
        let outcome = self.inner.release(accid).await;
        self.accounts.invalidate(accid).await;
        self.friends.invalidate_all();
        outcome
    }

    async fn page(&self, after: Option<&Accid>, limit: u32) -> Result<Vec<Account>, StoreError> {
        self.inner.page(after, limit).await
    }

    async fn count(&self, after: Option<&Accid>) -> Result<u64, StoreError> {
        self.inner.count(after).await
    }

    async fn are_friends(&self, one: &Accid, other: &Accid) -> Result<bool, StoreError> {
        let pair = pair(one, other);
        if self.friends.contains_key(&pair) {
            return Ok(true);
        }
        let friends = self.inner.are_friends(one, other).await?;
        if friends {
            self.friends.insert(pair, ()).await;
        }
        Ok(friends)
    }

    async fn remember_friends(&self, one: &Accid, other: &Accid) -> Result<(), StoreError> {
        self.inner.remember_friends(one, other).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }
}
