//! Two at once on one account, one of them held at each of its calls to NetEase: what NetEase has in the end is what the
//! row says, and nobody is handed a token that does not log in.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use otc_im::commands::refresh_token::refresh_token;
use otc_im::commands::register_account::Registrar;
use otc_im::domain::ids::{Accid, UserId};
use otc_im::domain::message::MessageRef;
use otc_im::infra::clock::System;
use otc_im::ports::accounts::{Account, Accounts, Registration};
use otc_im::ports::gateway::{BeforeSend, Created, Gateway, GatewayError, LeftOut, Notice, NoticeContent};

use super::accounts::account;
use crate::support::backends::{Rows, sqlite_accounts};
use crate::support::fresh_name;

/// The token of an account that somebody else has made.
const THEIRS: &str = "somebody else's";
/// More calls than any of these makes.
const CALLS: usize = 12;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
type Tokens = Arc<Mutex<BTreeMap<Accid, String>>>;

/// NetEase as one process sees it. Before and after each call somebody else's work may be done.
struct Seen {
    tokens: Tokens,
    /// The answer to the first user/create is lost, and the call repeated.
    lossy: bool,
    moments: AtomicUsize,
    intrusion: Mutex<Option<(usize, Work)>>,
}

impl Seen {
    fn of(tokens: &Tokens) -> Self {
        let (moments, intrusion) = (AtomicUsize::new(0), Mutex::new(None));
        Self { tokens: Arc::clone(tokens), lossy: false, moments, intrusion }
    }

    async fn moment(&self) {
        let now = self.moments.fetch_add(1, SeqCst);
        let due = self.intrusion.lock().unwrap().take_if(|(at, _)| *at == now);
        if let Some((_, work)) = due {
            work.await;
        }
    }
}

#[async_trait]
impl Gateway for Seen {
    async fn create_user(
        &self,
        accid: &Accid,
        token: &str,
        _: Option<&str>,
    ) -> Result<Created, GatewayError> {
        self.moment().await;
        let known = self.tokens.lock().unwrap().contains_key(accid);
        if !known {
            self.tokens.lock().unwrap().insert(accid.clone(), token.to_owned());
        }
        self.moment().await;
        Ok(if known || self.lossy { Created::AlreadyRegistered } else { Created::New })
    }
    async fn set_token(&self, accid: &Accid, token: &str) -> Result<(), GatewayError> {
        self.moment().await;
        self.tokens.lock().unwrap().insert(accid.clone(), token.to_owned());
        self.moment().await;
        Ok(())
    }
    async fn set_name(&self, _: &Accid, _: &str) -> Result<(), GatewayError> {
        Ok(())
    }
    async fn add_friend(&self, _: &Accid, _: &Accid) -> Result<(), GatewayError> {
        unreachable!()
    }
    async fn send_notice(&self, _: &Notice, _: &dyn BeforeSend) -> Result<(), GatewayError> {
        unreachable!()
    }
    async fn send_batch(
        &self,
        _: &Accid,
        _: &[Accid],
        _: &NoticeContent,
        _: &dyn BeforeSend,
    ) -> Result<Vec<LeftOut>, GatewayError> {
        unreachable!()
    }
    fn most_recipients(&self) -> usize {
        unreachable!()
    }
    async fn tell_read(&self, _: &Accid, _: &Accid, _: &MessageRef) -> Result<(), GatewayError> {
        unreachable!()
    }
    async fn names(&self, _: &[Accid]) -> Result<BTreeMap<Accid, String>, GatewayError> {
        unreachable!()
    }
    fn circuit_open_for(&self) -> Option<Duration> {
        None
    }
}

/// What may be done about an account.
#[derive(Debug, Clone, Copy)]
enum Act {
    Claim,
    Ensure,
    SetAgain,
    Refresh,
    Release,
}

/// Does it as a process of its own; answers the token that is handed out, if any is.
async fn act(act: Act, rows: Arc<dyn Accounts>, netease: Seen, user: UserId) -> Option<String> {
    let registrar = Registrar::new(Arc::clone(&rows), Arc::new(netease), Arc::new(System));
    match act {
        Act::Claim => return Some(registrar.claim(&user, Some("Alice")).await.unwrap().token),
        Act::Ensure => drop(registrar.ensure(&user, None).await.unwrap()),
        Act::SetAgain => drop(registrar.set_token_again(&user).await.unwrap()),
        Act::Refresh => {
            let refreshed = refresh_token(&*rows, &registrar, &System, &user).await.unwrap();
            return refreshed.map(|account| account.token);
        }
        Act::Release => drop(rows.release(user.accid()).await.unwrap()),
    }
    None
}

/// How things stand before the two begin.
#[derive(Debug, Clone, Copy)]
enum Before {
    Nothing,
    TheirsAtNetEase,
    Row,
    Confirmed,
}

/// What the end looks like: NetEase's token, the row, and what the first one handed out.
struct After {
    at_netease: Option<String>,
    row: Option<Account>,
    handed_out: Option<String>,
    /// Whether the other one came in at all.
    intruded: bool,
}

async fn history(database: &Rows, before: Before, lossy: bool, first: Act, other: Act, at: usize) -> After {
    let (rows, tokens) = (Arc::clone(&database.bare), Tokens::default());
    let alice = account(&fresh_name(), "t1");
    match before {
        Before::Nothing => {}
        Before::TheirsAtNetEase => drop(tokens.lock().unwrap().insert(alice.accid.clone(), THEIRS.into())),
        Before::Row => drop(rows.insert_or_get(&alice).await.unwrap()),
        Before::Confirmed => {
            rows.insert_or_get(&alice).await.unwrap();
            rows.confirm(&alice.accid, "t1", None).await.unwrap();
            tokens.lock().unwrap().insert(alice.accid.clone(), "t1".into());
        }
    }
    let (others, its, user) = (Arc::clone(&rows), Seen::of(&tokens), alice.user.clone());
    let intruded = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&intruded);
    let work: Work = Box::pin(async move {
        seen.fetch_add(1, SeqCst);
        act(other, others, its, user).await;
    });
    let netease = Seen { lossy, intrusion: Mutex::new(Some((at, work))), ..Seen::of(&tokens) };
    let handed_out = act(first, Arc::clone(&rows), netease, alice.user.clone()).await;
    let row = rows.find(&alice.accid).await.unwrap();
    let at_netease = tokens.lock().unwrap().get(&alice.accid).cloned();
    After { at_netease, row, handed_out, intruded: intruded.load(SeqCst) > 0 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_between_netease_ends_with_the_token_of_the_row() {
    let (database, mut histories) = (sqlite_accounts().await, 0);
    for before in [Before::Nothing, Before::TheirsAtNetEase, Before::Row, Before::Confirmed] {
        for first in [Act::Claim, Act::Ensure, Act::SetAgain, Act::Refresh] {
            for other in [Act::Claim, Act::Ensure, Act::SetAgain, Act::Refresh, Act::Release] {
                for (lossy, at) in (0..CALLS).flat_map(|at| [(false, at), (true, at)]) {
                    let end = history(&database, before, lossy, first, other, at).await;
                    if !end.intruded {
                        break;
                    }
                    histories += 1;
                    let which = format!("{before:?}, {first:?} held at {at}, {other:?}, reply lost: {lossy}");
                    if let Some(row) = end.row.filter(|row| row.registration == Registration::Confirmed) {
                        assert_eq!(end.at_netease.as_ref(), Some(&row.token), "{which}");
                    }
                    if let Some(token) = end.handed_out {
                        assert_eq!(end.at_netease, Some(token), "handed out: {which}");
                    }
                }
            }
        }
    }
    assert!(histories > 150, "only {histories} histories");
    database.close().await;
}

#[tokio::test]
async fn naming_somebody_never_changes_a_login_that_is_there() {
    let database = sqlite_accounts().await;
    for at in 0..CALLS {
        let end = history(&database, Before::TheirsAtNetEase, false, Act::Ensure, Act::Ensure, at).await;
        assert_eq!(end.at_netease.as_deref(), Some(THEIRS));
        assert_eq!(end.row.unwrap().registration, Registration::ForeignToken);
        let end = history(&database, Before::Nothing, true, Act::Ensure, Act::SetAgain, at).await;
        assert_eq!(end.row.unwrap().registration, Registration::ForeignToken, "it may be ours, and may not");
    }
    database.close().await;
}
