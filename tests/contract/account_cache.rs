//! What the cache in front of the account rows keeps, what it never keeps, and for how long it may be wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{join, join_all};
use otc_im::domain::ids::Accid;
use otc_im::infra::cache::CachedAccounts;
use otc_im::ports::StoreError;
use otc_im::ports::accounts::{Account, Accounts, Registration};
use tokio::sync::Semaphore;

use super::accounts::account;
use super::facts::fresh_accid;
use crate::support::backends::{Rows, sqlite_accounts};

const LONG: Duration = Duration::from_mins(10);
/// What expires after milliseconds is gone long before.
const PATIENCE: Duration = Duration::from_secs(10);

/// Rows that count what is asked of them, fail on request, and hold a look-up back after it has read its row.
struct Watched {
    rows: Arc<dyn Accounts>,
    finds: AtomicUsize,
    friend_queries: AtomicUsize,
    failing: AtomicBool,
    gate: Semaphore,
}

impl Watched {
    fn answer(&self) -> Result<(), StoreError> {
        match self.failing.load(SeqCst) {
            true => Err(StoreError::unavailable("accounts", "down, says the test")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Accounts for &'static Watched {
    async fn find(&self, accid: &Accid) -> Result<Option<Account>, StoreError> {
        self.finds.fetch_add(1, SeqCst);
        self.answer()?;
        let found = self.rows.find(accid).await;
        let _open = self.gate.acquire().await;
        found
    }
    async fn insert_or_get(&self, account: &Account) -> Result<Account, StoreError> {
        self.rows.insert_or_get(account).await
    }
    async fn confirm(&self, accid: &Accid, token: &str, name: Option<&str>) -> Result<bool, StoreError> {
        self.rows.confirm(accid, token, name).await
    }
    async fn mark_foreign(&self, accid: &Accid, token: &str) -> Result<bool, StoreError> {
        self.rows.mark_foreign(accid, token).await
    }
    async fn release(&self, accid: &Accid) -> Result<bool, StoreError> {
        self.rows.release(accid).await
    }
    async fn rename(&self, accid: &Accid, name: &str) -> Result<(), StoreError> {
        self.rows.rename(accid, name).await
    }
    async fn replace_token(&self, accid: &Accid, token: &str) -> Result<(), StoreError> {
        self.rows.replace_token(accid, token).await
    }
    async fn forget_confirmation(&self, accid: &Accid) -> Result<(), StoreError> {
        self.rows.forget_confirmation(accid).await
    }
    async fn page(&self, after: Option<&Accid>, limit: u32) -> Result<Vec<Account>, StoreError> {
        self.rows.page(after, limit).await
    }
    async fn count(&self, after: Option<&Accid>) -> Result<u64, StoreError> {
        self.rows.count(after).await
    }
    async fn are_friends(&self, one: &Accid, other: &Accid) -> Result<bool, StoreError> {
        self.friend_queries.fetch_add(1, SeqCst);
        self.answer()?;
        self.rows.are_friends(one, other).await
    }
    async fn remember_friends(&self, one: &Accid, other: &Accid) -> Result<(), StoreError> {
        self.rows.remember_friends(one, other).await
    }
    async fn ping(&self) -> Result<(), StoreError> {
        self.answer()
    }
}

/// A cache over watched rows, with alice's account in them, and the database to close in the end.
async fn opened(ttl: Duration) -> (CachedAccounts<&'static Watched>, &'static Watched, Rows) {
    let database = sqlite_accounts().await;
    // Leaked: a test has one.
    let watched: &'static Watched = Box::leak(Box::new(Watched {
        rows: Arc::clone(&database.bare),
        finds: AtomicUsize::new(0),
        friend_queries: AtomicUsize::new(0),
        failing: AtomicBool::new(false),
        gate: Semaphore::new(1_000),
    }));
    watched.rows.insert_or_get(&account("alice", "t1")).await.unwrap();
    (CachedAccounts::new(watched, 100, ttl), watched, database)
}

fn confirmed(account: &Account) -> bool {
    account.registration == Registration::Confirmed
}

async fn name_of(accounts: &impl Accounts, accid: &Accid) -> Option<String> {
    accounts.find(accid).await.unwrap().unwrap().name
}

#[tokio::test]
async fn a_registered_account_is_asked_for_once() {
    let (cache, watched, database) = opened(LONG).await;
    let alice = account("alice", "t1").accid;
    cache.confirm(&alice, "t1", None).await.unwrap();
    for _ in 0..3 {
        assert!(confirmed(&cache.find(&alice).await.unwrap().unwrap()));
    }
    assert_eq!(watched.finds.load(SeqCst), 1);
    database.close().await;
}

#[tokio::test]
async fn what_is_absent_or_unconfirmed_is_asked_for_again() {
    let (cache, watched, database) = opened(LONG).await;
    let (alice, bob) = (account("alice", "t1"), account("bob", "t2"));
    assert_eq!(cache.find(&bob.accid).await.unwrap(), None);
    assert!(!confirmed(&cache.find(&alice.accid).await.unwrap().unwrap()));
    // As another instance would.
    watched.rows.insert_or_get(&bob).await.unwrap();
    watched.rows.confirm(&alice.accid, "t1", None).await.unwrap();
    assert_eq!(cache.find(&bob.accid).await.unwrap(), Some(bob));
    assert!(confirmed(&cache.find(&alice.accid).await.unwrap().unwrap()));
    database.close().await;
}

#[tokio::test]
async fn a_failure_is_told_and_not_kept() {
    let (cache, watched, database) = opened(LONG).await;
    let alice = account("alice", "t1").accid;
    cache.confirm(&alice, "t1", None).await.unwrap();
    watched.failing.store(true, SeqCst);
    let failed = join_all((0..5).map(|_| cache.find(&alice))).await;
    assert!(failed.iter().all(Result::is_err), "{failed:?}");
    assert!(cache.are_friends(&alice, &fresh_accid()).await.is_err());
    watched.failing.store(false, SeqCst);
    assert!(confirmed(&cache.find(&alice).await.unwrap().unwrap()));
    watched.failing.store(true, SeqCst);
    assert!(cache.find(&alice).await.is_ok(), "what is cached needs no database");
    database.close().await;
}

#[tokio::test]
async fn look_ups_of_one_account_at_once_share_a_query() {
    let (cache, watched, database) = opened(LONG).await;
    let alice = account("alice", "t1").accid;
    cache.confirm(&alice, "t1", None).await.unwrap();
    let found = join_all((0..100).map(|_| cache.find(&alice))).await;
    assert!(found.iter().all(|found| confirmed(found.as_ref().unwrap().as_ref().unwrap())));
    assert_eq!(watched.finds.load(SeqCst), 1);
    database.close().await;
}

#[tokio::test]
async fn a_change_through_the_cache_is_seen_at_once() {
    let (cache, _, database) = opened(LONG).await;
    let alice = account("alice", "t1").accid;
    cache.confirm(&alice, "t1", None).await.unwrap();
    assert_eq!(name_of(&cache, &alice).await, None);
    cache.rename(&alice, "Alice").await.unwrap();
    assert_eq!(name_of(&cache, &alice).await.as_deref(), Some("Alice"));
    cache.confirm(&alice, "t1", Some("Alice")).await.unwrap();
    let confirmed = cache.find(&alice).await.unwrap().unwrap().confirmed_name;
    assert_eq!(confirmed.as_deref(), Some("Alice"));
    database.close().await;
}

#[tokio::test]
async fn what_is_released_through_the_cache_is_gone_at_once_with_its_friendships() {
    let (cache, watched, database) = opened(LONG).await;
    let alice = account("alice", "t1").accid;
    cache.confirm(&alice, "t1", None).await.unwrap();
    cache.find(&alice).await.unwrap();
    let bob = fresh_accid();
    watched.rows.remember_friends(&alice, &bob).await.unwrap();
    assert!(cache.are_friends(&alice, &bob).await.unwrap());
    assert!(cache.release(&alice).await.unwrap());
    assert_eq!(cache.find(&alice).await.unwrap(), None);
    assert!(!cache.are_friends(&alice, &bob).await.unwrap());
    database.close().await;
}

#[tokio::test]
async fn a_foreign_token_is_kept_until_the_user_has_ours() {
    let (cache, watched, database) = opened(LONG).await;
    let alice = account("alice", "t1").accid;
    assert!(cache.mark_foreign(&alice, "t1").await.unwrap());
    for _ in 0..2 {
        let found = cache.find(&alice).await.unwrap().unwrap();
        assert_eq!(found.registration, Registration::ForeignToken);
    }
    assert_eq!(watched.finds.load(SeqCst), 1);
    assert!(cache.confirm(&alice, "t1", None).await.unwrap());
    assert!(confirmed(&cache.find(&alice).await.unwrap().unwrap()));
    database.close().await;
}

#[tokio::test]
async fn a_change_elsewhere_is_seen_once_the_entry_expires() {
    let (cache, watched, database) = opened(Duration::from_millis(20)).await;
    let alice = account("alice", "t1").accid;
    cache.confirm(&alice, "t1", None).await.unwrap();
    cache.find(&alice).await.unwrap();
    watched.rows.rename(&alice, "Alice").await.unwrap();
    let seen = async { while name_of(&cache, &alice).await.is_none() {} };
    tokio::time::timeout(PATIENCE, seen).await.expect("the entry expires");
    database.close().await;
}

#[tokio::test]
async fn a_look_up_that_overlaps_a_change_is_wrong_for_no_longer_than_the_entry_lives() {
    let (cache, watched, database) = opened(Duration::from_millis(20)).await;
    let alice = account("alice", "t1").accid;
    cache.confirm(&alice, "t1", None).await.unwrap();
    let closed = watched.gate.acquire_many(1_000).await.unwrap();
    let change = async {
        while watched.finds.load(SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        cache.rename(&alice, "Alice").await.unwrap();
        drop(closed);
    };
    let (overlapping, ()) = join(cache.find(&alice), change).await;
    assert!(confirmed(&overlapping.unwrap().unwrap()));
    let seen = async { while name_of(&cache, &alice).await.is_none() {} };
    tokio::time::timeout(PATIENCE, seen).await.expect("the entry expires");
    database.close().await;
}

#[tokio::test]
async fn only_friendship_itself_is_kept() {
    let (cache, watched, database) = opened(LONG).await;
    let (one, other) = (fresh_accid(), fresh_accid());
    assert!(!cache.are_friends(&one, &other).await.unwrap());
    watched.rows.remember_friends(&one, &other).await.unwrap();
    for _ in 0..2 {
        assert!(cache.are_friends(&one, &other).await.unwrap());
        assert!(cache.are_friends(&other, &one).await.unwrap());
    }
    assert_eq!(watched.friend_queries.load(SeqCst), 2);
    database.close().await;
}
