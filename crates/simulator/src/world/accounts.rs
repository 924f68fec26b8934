//! The accounts NIM holds, with the tokens that decide log-ins, and who is whose friend.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};

/// NIM's limit of friends per account (friend/add).
pub const MOST_FRIENDS: usize = 3_000;

/// What an account says of itself. Each may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// Nickname, at most 64 characters.
    pub name: String,
    /// Avatar address, at most 1024 characters.
    pub icon: String,
    /// At most 256 characters.
    pub sign: String,
    /// At most 64 characters.
    pub email: String,
    /// At most 16 characters, such as 1970-01-01.
    pub birth: String,
    /// At most 32 characters.
    pub mobile: String,
    /// 0 unknown, 1 male, 2 female.
    pub gender: u8,
    /// The application's own, at most 1024 characters.
    pub ex: String,
}

/// Where an account may not speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "NetEase has a switch for each")]
pub struct Mute {
    /// Anywhere (user/mute).
    pub everywhere: bool,
    /// To persons (user/muteModule, as all below).
    pub persons: bool,
    /// In teams.
    pub teams: bool,
    /// In chat rooms.
    pub rooms: bool,
    /// In `QChat`.
    pub qchat: bool,
}

/// What one account keeps of a friend.
#[derive(Clone, Debug, Default)]
pub struct Friend {
    /// The name it has for the friend, at most 128 characters.
    pub alias: String,
    /// At most 256 characters.
    pub ex: String,
    /// At most 256 characters; clients may only read it.
    pub serverex: String,
    /// Unix time in milliseconds.
    pub created_at: i64,
    /// Unix time in milliseconds.
    pub updated_at: i64,
}

/// One registered account.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Account {
    /// Lower-case: NIM lower-cases what it is given.
    pub accid: String,
    /// What an IM client has to log in with.
    pub token: String,
    /// What it says of itself.
    #[serde(flatten)]
    pub profile: Profile,
    /// By accid, both ways always. Listings tell the accids alone.
    #[serde(serialize_with = "accids_of")]
    pub friends: BTreeMap<String, Friend>,
    /// May not log in, and may not act (user/block).
    pub blocked: bool,
    /// Where it may not speak.
    pub mute: Mute,
    /// Whose messages it does not get (user/setSpecialRelation).
    pub blacklist: BTreeSet<String>,
    /// Whose messages do not ring.
    pub mutelist: BTreeSet<String>,
    /// Whether nothing is pushed to a phone while a computer is online (user/setDonnop).
    pub donnop: bool,
}

fn accids_of<S: Serializer>(friends: &BTreeMap<String, Friend>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(friends.keys())
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
    pub fn befriend(&mut self, one: &str, other: &str, now_ms: i64) -> Result<(), NotFriends> {
        let first = self.get(one).ok_or(NotFriends::UnknownAccid)?;
        let second = self.get(other).ok_or(NotFriends::UnknownFriend)?;
        if first.friends.contains_key(&second.accid) {
            return Ok(());
        }
        if first.friends.len() >= MOST_FRIENDS || second.friends.len() >= MOST_FRIENDS {
            return Err(NotFriends::TooMany);
        }
        let (first, second) = (first.accid.clone(), second.accid.clone());
        self.add_friend(&first, &second, now_ms);
        self.add_friend(&second, &first, now_ms);
        Ok(())
    }

    /// Ends a friendship, for both; no effect if there is none (friend/delete).
    pub fn part(&mut self, one: &str, other: &str) {
        for (of, friend) in [(one, other), (other, one)] {
            if let Some(account) = self.get_mut(of) {
                account.friends.remove(&friend.to_lowercase());
            }
        }
    }

    /// Judges an IM client's log-in: 200, 302 for a wrong or unknown pair, 422 for a blocked account.
    pub fn login_code(&self, accid: &str, token: &str) -> u16 {
        match self.get(accid) {
            Some(account) if account.token == token => {
                if account.blocked {
                    422
                } else {
                    200
                }
            }
            _ => 302,
        }
    }

    /// Whether `reader` does not get what `writer` sends.
    pub fn is_blacklisted(&self, reader: &str, writer: &str) -> bool {
        self.get(reader).is_some_and(|account| account.blacklist.contains(&writer.to_lowercase()))
    }

    fn add_friend(&mut self, of: &str, friend: &str, now_ms: i64) {
        if let Some(account) = self.by_accid.get_mut(of) {
            let kept = Friend { created_at: now_ms, updated_at: now_ms, ..Friend::default() };
            account.friends.insert(friend.to_owned(), kept);
        }
    }
}
