//! What account and friendship rows promise, bare and behind the cache that the service puts in front of them.

use futures_util::future::join_all;
use otc_im::domain::ids::{Accid, LetterCase, UserId};
use otc_im::ports::accounts::{Account, Registration};

use super::facts::fresh_accid;
use crate::support::backends::{self, Rows};

on_each! {
    [
        nobody_is_there_at_first,
        an_account_comes_back_as_it_was_inserted,
        the_first_token_stays,
        a_hundred_first_inserts_at_once_agree_on_one_token,
        user_ids_are_told_apart_to_the_last_bit,
        a_name_holds_sixty_four_emoji,
        a_confirmation_needs_the_token_of_the_row,
        a_new_name_leaves_the_confirmed_one,
        what_is_not_there_is_neither_confirmed_nor_renamed,
        friends_are_friends_both_ways,
        friendships_at_once_are_one,
        a_new_token_waits_for_its_confirmation,
        an_account_that_netease_lost_has_no_friends_there,
        a_foreign_token_is_noted_of_the_present_token_alone_and_never_of_a_confirmed_one,
        what_is_released_is_gone_with_its_friendships,
        a_row_of_before_says_whose_it_is,
        pages_go_through_all_accounts_in_order,
    ]
    each sqlite: backends::sqlite_accounts().await;
    each sqlite_cached: backends::sqlite_accounts().await.cached();
    each mysql: backends::mysql_accounts().await;
    each mysql_cached: backends::mysql_accounts().await.cached();
}

pub fn account(user: &str, token: &str) -> Account {
    let user = UserId::parse(user, LetterCase::Distinct).unwrap();
    Account {
        accid: user.accid().clone(),
        user,
        name: None,
        token: token.into(),
        registration: Registration::Unconfirmed,
        confirmed_name: None,
    }
}

async fn nobody_is_there_at_first(rows: &Rows) {
    rows.ping().await.unwrap();
    assert_eq!(rows.find(&fresh_accid()).await.unwrap(), None);
}

async fn an_account_comes_back_as_it_was_inserted(rows: &Rows) {
    let alice = Account { name: Some("Alice ".into()), ..account("Alice ", "t1") };
    assert_eq!(rows.insert_or_get(&alice).await.unwrap(), alice);
    assert_eq!(rows.find(&alice.accid).await.unwrap(), Some(alice));
    let nameless = account("bob", "t2");
    assert_eq!(rows.insert_or_get(&nameless).await.unwrap(), nameless);
    assert_eq!(rows.find(&nameless.accid).await.unwrap(), Some(nameless));
}

async fn the_first_token_stays(rows: &Rows) {
    let first = account("alice", "t1");
    rows.insert_or_get(&first).await.unwrap();
    let second = Account { name: Some("Alice".into()), ..account("alice", "t2") };
    assert_eq!(rows.insert_or_get(&second).await.unwrap(), first);
    assert_eq!(rows.find(&first.accid).await.unwrap(), Some(first));
}

async fn a_hundred_first_inserts_at_once_agree_on_one_token(rows: &Rows) {
    let asked: Vec<Account> = (0..100).map(|n| account("alice", &format!("t{n}"))).collect();
    let got = join_all(asked.iter().map(|account| rows.insert_or_get(account))).await;
    let got: Vec<Account> = got.into_iter().map(Result::unwrap).collect();
    assert!(asked.contains(&got[0]));
    assert!(got.iter().all(|account| *account == got[0]));
    assert_eq!(rows.find(&got[0].accid).await.unwrap().as_ref(), Some(&got[0]));
}

async fn user_ids_are_told_apart_to_the_last_bit(rows: &Rows) {
    let ids = [
        "alice",
        "Alice",
        "ALICE",
        "alice ",
        " alice",
        "张三",
        "张三 ",
        "é",
        "e\u{301}",
        "🙂",
        "🙃",
        &"🙂".repeat(128),
        "ß",
        "ss ß",
    ];
    for (at, user) in ids.iter().enumerate() {
        let account = account(user, &format!("token-{at}"));
        assert_eq!(rows.insert_or_get(&account).await.unwrap(), account, "{user}");
    }
    for (at, user) in ids.iter().enumerate() {
        let account = account(user, &format!("token-{at}"));
        let found = rows.find(&account.accid).await.unwrap().unwrap();
        assert_eq!((found.user.as_str(), &found.token), (*user, &account.token), "as it was written");
    }
}

async fn a_row_of_before_says_whose_it_is(rows: &Rows) {
    // As a version wrote it to which letter case told nobody apart.
    let alice = account("alice", "t1");
    let before = Account { user: account("Alice", "t1").user, ..alice.clone() };
    rows.insert_or_get(&before).await.unwrap();
    let found = rows.insert_or_get(&alice).await.unwrap();
    assert_eq!(found.user.as_str(), "Alice");
    assert_ne!(found.user, alice.user);
    let folding = rows.folding();
    let found = folding.find(&alice.accid).await.unwrap().unwrap();
    assert_eq!(
        found.user,
        UserId::parse("aLICE", LetterCase::Fold).unwrap(),
        "where a site's ids ignore case"
    );
}

async fn a_name_holds_sixty_four_emoji(rows: &Rows) {
    let (one, other) = ("🙂".repeat(64), "👑".repeat(64));
    let alice = Account { name: Some(one.clone()), ..account("alice", "t1") };
    assert_eq!(rows.insert_or_get(&alice).await.unwrap(), alice);
    rows.rename(&alice.accid, &other).await.unwrap();
    rows.confirm(&alice.accid, "t1", Some(&one)).await.unwrap();
    let kept = rows.find(&alice.accid).await.unwrap().unwrap();
    assert_eq!((kept.name, kept.confirmed_name), (Some(other), Some(one)));
}

async fn a_confirmation_needs_the_token_of_the_row(rows: &Rows) {
    let alice = account("alice", "t1");
    rows.insert_or_get(&alice).await.unwrap();
    for wrong in ["t2", "T1", "t", ""] {
        assert!(!rows.confirm(&alice.accid, wrong, Some("Mallory")).await.unwrap());
        assert_eq!(rows.find(&alice.accid).await.unwrap().as_ref(), Some(&alice), "token {wrong:?}");
    }
    let mut confirmed = Account { registration: Registration::Confirmed, ..alice };
    for name in [None, Some("Alice"), Some("Alice"), None] {
        assert!(rows.confirm(&confirmed.accid, "t1", name).await.unwrap(), "also one that changes nothing");
        confirmed.confirmed_name = name.map(ToOwned::to_owned);
        assert_eq!(rows.find(&confirmed.accid).await.unwrap().as_ref(), Some(&confirmed));
    }
}

async fn a_new_name_leaves_the_confirmed_one(rows: &Rows) {
    let alice = account("alice", "t1");
    rows.insert_or_get(&alice).await.unwrap();
    rows.confirm(&alice.accid, "t1", Some("Alice")).await.unwrap();
    for name in ["alice", "Alice L.", "Alice L."] {
        rows.find(&alice.accid).await.unwrap();
        rows.rename(&alice.accid, name).await.unwrap();
        let renamed = rows.find(&alice.accid).await.unwrap().unwrap();
        assert_eq!(renamed.name.as_deref(), Some(name));
        assert_eq!(renamed.confirmed_name.as_deref(), Some("Alice"));
        assert_eq!(renamed.registration, Registration::Confirmed);
    }
}

async fn what_is_not_there_is_neither_confirmed_nor_renamed(rows: &Rows) {
    let nobody = fresh_accid();
    assert!(!rows.confirm(&nobody, "t1", Some("Nobody")).await.unwrap());
    assert!(!rows.mark_foreign(&nobody, "t1").await.unwrap());
    rows.rename(&nobody, "Nobody").await.unwrap();
    assert_eq!(rows.find(&nobody).await.unwrap(), None);
}

async fn friends_are_friends_both_ways(rows: &Rows) {
    let (one, other, third) = (fresh_accid(), fresh_accid(), fresh_accid());
    assert!(!rows.are_friends(&one, &other).await.unwrap());
    for (a, b) in [(&other, &one), (&one, &other), (&other, &one)] {
        rows.remember_friends(a, b).await.unwrap();
        assert!(rows.are_friends(&one, &other).await.unwrap());
        assert!(rows.are_friends(&other, &one).await.unwrap());
    }
    for (a, b) in [(&one, &third), (&third, &other), (&one, &one)] {
        assert!(!rows.are_friends(a, b).await.unwrap());
    }
}

async fn friendships_at_once_are_one(rows: &Rows) {
    let (one, other) = (fresh_accid(), fresh_accid());
    let turns = |n: usize| if n.is_multiple_of(2) { (&one, &other) } else { (&other, &one) };
    let told = join_all((0..20).map(turns).map(|(a, b)| rows.remember_friends(a, b))).await;
    assert!(told.iter().all(Result::is_ok), "{told:?}");
    assert!(rows.are_friends(&one, &other).await.unwrap());
}

async fn a_new_token_waits_for_its_confirmation(rows: &Rows) {
    let alice = account("alice", "t1");
    rows.insert_or_get(&alice).await.unwrap();
    rows.confirm(&alice.accid, "t1", Some("Alice")).await.unwrap();
    rows.find(&alice.accid).await.unwrap();
    rows.replace_token(&alice.accid, "t2").await.unwrap();
    let replaced = rows.find(&alice.accid).await.unwrap().unwrap();
    assert_eq!((&*replaced.token, replaced.registration), ("t2", Registration::Unconfirmed));
    assert!(!rows.confirm(&alice.accid, "t1", Some("Alice")).await.unwrap(), "that was the old one");
    assert_eq!(registration(rows, &alice.accid).await, Registration::Unconfirmed);
    assert!(rows.confirm(&alice.accid, "t2", Some("Alice")).await.unwrap());
    assert_eq!(registration(rows, &alice.accid).await, Registration::Confirmed);
}

async fn an_account_that_netease_lost_has_no_friends_there(rows: &Rows) {
    let (alice, bob, carol) = (account("alice", "t1"), account("bob", "t2"), account("carol", "t3"));
    for one in [&alice, &bob, &carol] {
        rows.insert_or_get(one).await.unwrap();
        rows.confirm(&one.accid, &one.token, Some("a name")).await.unwrap();
    }
    for (one, other) in [(&alice, &bob), (&bob, &carol), (&carol, &alice)] {
        rows.remember_friends(&one.accid, &other.accid).await.unwrap();
        assert!(rows.are_friends(&one.accid, &other.accid).await.unwrap());
    }
    rows.forget_confirmation(&bob.accid).await.unwrap();
    let lost = rows.find(&bob.accid).await.unwrap().unwrap();
    assert_eq!((lost.registration, lost.confirmed_name), (Registration::Unconfirmed, None));
    assert!(!rows.are_friends(&alice.accid, &bob.accid).await.unwrap());
    assert!(!rows.are_friends(&bob.accid, &carol.accid).await.unwrap());
    assert!(rows.are_friends(&carol.accid, &alice.accid).await.unwrap());
    assert_eq!(registration(rows, &alice.accid).await, Registration::Confirmed);
}

async fn registration(rows: &Rows, accid: &Accid) -> Registration {
    rows.find(accid).await.unwrap().unwrap().registration
}

async fn a_foreign_token_is_noted_of_the_present_token_alone_and_never_of_a_confirmed_one(rows: &Rows) {
    let alice = account("alice", "t1");
    rows.insert_or_get(&alice).await.unwrap();
    assert!(!rows.mark_foreign(&alice.accid, "t2").await.unwrap());
    assert_eq!(registration(rows, &alice.accid).await, Registration::Unconfirmed);
    for _ in 0..2 {
        assert!(rows.mark_foreign(&alice.accid, "t1").await.unwrap());
        assert_eq!(registration(rows, &alice.accid).await, Registration::ForeignToken);
    }
    assert!(rows.confirm(&alice.accid, "t1", None).await.unwrap());
    assert!(!rows.mark_foreign(&alice.accid, "t1").await.unwrap());
    assert_eq!(registration(rows, &alice.accid).await, Registration::Confirmed);
    rows.replace_token(&alice.accid, "t2").await.unwrap();
    assert_eq!(registration(rows, &alice.accid).await, Registration::Unconfirmed, "it was ours before");
    assert!(rows.mark_foreign(&alice.accid, "t2").await.unwrap());
    rows.forget_confirmation(&alice.accid).await.unwrap();
    assert_eq!(registration(rows, &alice.accid).await, Registration::Unconfirmed);
}

async fn what_is_released_is_gone_with_its_friendships(rows: &Rows) {
    let (alice, bob, carol) = (account("alice", "t1"), account("bob", "t2"), account("carol", "t3"));
    for one in [&alice, &bob, &carol] {
        rows.insert_or_get(one).await.unwrap();
    }
    for (one, other) in [(&alice, &bob), (&bob, &carol), (&carol, &alice)] {
        rows.remember_friends(&one.accid, &other.accid).await.unwrap();
    }
    assert!(rows.release(&bob.accid).await.unwrap());
    assert_eq!(rows.find(&bob.accid).await.unwrap(), None);
    assert!(!rows.are_friends(&alice.accid, &bob.accid).await.unwrap());
    assert!(!rows.are_friends(&bob.accid, &carol.accid).await.unwrap());
    assert!(rows.are_friends(&carol.accid, &alice.accid).await.unwrap());
    assert_eq!(rows.find(&alice.accid).await.unwrap(), Some(alice));
    assert!(!rows.release(&bob.accid).await.unwrap());
    let anew = account("bob", "t4");
    assert_eq!(rows.insert_or_get(&anew).await.unwrap().token, "t4");
}

async fn pages_go_through_all_accounts_in_order(rows: &Rows) {
    assert_eq!(rows.page(None, 10).await.unwrap(), []);
    let mut all: Vec<Account> =
        ["carol", "alice", "张三", "bob", "x.y@z"].map(|user| account(user, "t")).into_iter().collect();
    for one in &all {
        rows.insert_or_get(one).await.unwrap();
    }
    all.sort_by(|one, other| one.accid.cmp(&other.accid));
    let mut seen = Vec::new();
    loop {
        let page = rows.page(seen.last().map(|last: &Account| &last.accid), 2).await.unwrap();
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(seen, all);
}
