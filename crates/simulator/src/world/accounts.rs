//! The accounts NIM holds, with the tokens that decide log-ins, and who is whose friend.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// NIM's limit of friends per account (friend/add).
pub const MOST_FRIENDS: usize = 3_000;

/// One registered account.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// Lower-case: NIM lower-cases what it is given.
    pub accid: String,
    /// What an IM client has to log in with.
    pub token: String,
    /// Nickname, at most 64 characters; may be empty.
    pub name: String,
    /// Avatar address; may be empty.
    pub icon: String,
    /// Accids, both ways always.
    pub friends: BTreeSet<String>,
}

/// All accounts by lower-case accid.
#[derive(Default)]
pub struct Accounts {
    by_accid: BTreeMap<String, Account>,
}

/// Why two accounts did not become friends.
#[derive(Debug, PartialEq, Eq)]
pub enum NotFriends {
    /// The first account is not registered.
    UnknownAccid,
    /// The second account is not registered.
    UnknownFriend,
    /// One of the two has [`MOST_FRIENDS`] already.
    TooMany,
}

impl Accounts {
    /// Registers an account; false, and nothing changes, if it is there already.
    pub fn register(&mut self, account: Account) -> bool {
        if self.by_accid.contains_key(&account.accid) {
            return false;
        }
        self.by_accid.insert(account.accid.clone(), account);
        true
    }

    /// Finds an account, in any letter case.
    pub fn get(&self, accid: &str) -> Option<&Account> {
        self.by_accid.get(&accid.to_lowercase())
    }

    /// Finds an account to change, in any letter case.
    pub fn get_mut(&mut self, accid: &str) -> Option<&mut Account> {
        self.by_accid.get_mut(&accid.to_lowercase())
    }

    /// How many accounts there are.
    pub fn len(&self) -> usize {
        self.by_accid.len()
    }

    /// Makes two accounts friends of each other; doing it again changes nothing (friend/add).
    pub fn befriend(&mut self, one: &str, other: &str) -> Result<(), NotFriends> {
        let first = self.get(one).ok_or(NotFriends::UnknownAccid)?;
        let second = self.get(other).ok_or(NotFriends::UnknownFriend)?;
        if first.friends.contains(&second.accid) {
            return Ok(());
        }
        if first.friends.len() >= MOST_FRIENDS || second.friends.len() >= MOST_FRIENDS {
            return Err(NotFriends::TooMany);
        }
        let (first, second) = (first.accid.clone(), second.accid.clone());
        self.add_friend(&first, &second);
        self.add_friend(&second, &first);
        Ok(())
    }

    /// Judges an IM client's log-in by the token NIM holds: 200, or 302 for a wrong or unknown pair.
    pub fn login_code(&self, accid: &str, token: &str) -> u16 {
        match self.get(accid) {
            Some(account) if account.token == token => 200,
            _ => 302,
        }
    }

    fn add_friend(&mut self, of: &str, friend: &str) {
        if let Some(account) = self.by_accid.get_mut(of) {
            account.friends.insert(friend.to_owned());
        }
    }
}
