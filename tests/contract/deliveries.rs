//! Notifications, leases and outcomes as the suite of the outbox needs them.

use otc_im::domain::ids::{LetterCase, Millis, UserId};
use otc_im::domain::outbox::{Settled, State};
use otc_im::ports::gateway::NoticeContent;
use otc_im::ports::outbox::{
    Accepted, Claimed, Delivery, EntryId, IdempotencyKey, Lease, NewNotification, OutboxNotice, Way, Work,
};

use super::facts::NOW;
use crate::support::fresh_name;
use crate::support::outboxes::Store;

/// As long as a claim of the suite lasts.
pub const LEASE_MS: i64 = 30_000;

pub fn at(ms: i64) -> Millis {
    NOW.plus(ms)
}

pub fn user(id: &str) -> UserId {
    UserId::parse(id, LetterCase::Distinct).unwrap()
}

pub fn content(attach: &str) -> NoticeContent {
    NoticeContent {
        attach: attach.into(),
        push_content: None,
        payload: None,
        sound: None,
        save: 2,
        badge: true,
        need_push_nick: false,
        route: false,
    }
}

/// A notice of `shop`, accepted at the present of the suite.
pub fn notice(to: &[&str]) -> NewNotification {
    NewNotification {
        id: format!("{:-<36}", fresh_name()),
        key: None,
        keys_since: NOW,
        from: user("shop"),
        to: to.iter().map(|id| user(id)).collect(),
        notice: OutboxNotice { content: content(r#"{"order":1}"#), resendable: false },
        way: Way::Each,
        at: NOW,
    }
}

/// The same, its id inside.
pub fn resendable(new: NewNotification) -> NewNotification {
    NewNotification { notice: OutboxNotice { resendable: true, ..new.notice }, ..new }
}

pub fn batch(to: &[&str]) -> NewNotification {
    NewNotification { way: Way::Batch, ..notice(to) }
}

pub fn keyed(new: NewNotification, caller: &str, key: &str, body: &str) -> NewNotification {
    let fingerprint = format!("{body:0>64}");
    let key =
        IdempotencyKey { caller: caller.into(), key: key.into(), fingerprint, former_fingerprint: None };
    NewNotification { key: Some(key), keys_since: new.at.plus(-1_000), ..new }
}

/// A lease from `now` on.
pub fn lease(token: &str, now: Millis) -> Lease {
    Lease { token: token.into(), until: now.plus(LEASE_MS) }
}

/// Accepts without a lease, which must be new.
pub async fn accept(store: &dyn Store, new: &NewNotification) {
    assert_eq!(store.accept(new, None).await.unwrap(), Accepted::New(Vec::new()));
}

/// Claims up to 100, and at most one batch.
pub async fn claim(store: &dyn Store, token: &str, now: Millis) -> Vec<Claimed> {
    store.claim(&lease(token, now), now, 100).await.unwrap()
}

pub fn ids(claimed: &[Claimed]) -> Vec<EntryId> {
    claimed.iter().flat_map(|claimed| claimed.work.entries()).map(|entry| entry.id).collect()
}

/// Who gets what was claimed, in the order of the claim.
pub fn recipients(claimed: &[Claimed]) -> Vec<&str> {
    claimed.iter().flat_map(|claimed| claimed.work.entries()).map(|entry| entry.to.as_str()).collect()
}

pub fn is_batch(claimed: &Claimed) -> bool {
    matches!(claimed.work, Work::Batch(..))
}

pub fn sent() -> Settled {
    Settled { state: State::Sent, attempts: 1, due_at: NOW, last_error: None }
}

/// To be tried again.
pub fn troubled(due_at: Millis) -> Settled {
    Settled { state: State::Queued, attempts: 1, due_at, last_error: Some("trouble".into()) }
}

pub async fn settle(store: &dyn Store, token: &str, claimed: &[Claimed], settled: &Settled) {
    let outcomes: Vec<_> = ids(claimed).into_iter().map(|id| (id, settled.clone())).collect();
    store.settle(&lease(token, NOW), &outcomes).await.unwrap();
}

/// How far the deliveries of a notification are.
pub async fn states(store: &dyn Store, new: &NewNotification) -> Vec<State> {
    deliveries(store, new).await.iter().map(|delivery| delivery.state).collect()
}

pub async fn deliveries(store: &dyn Store, new: &NewNotification) -> Vec<Delivery> {
    let status = store.status(&new.id).await.unwrap().unwrap();
    assert_eq!(status.id, new.id);
    status.deliveries
}
