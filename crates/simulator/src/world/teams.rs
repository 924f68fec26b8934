//! Teams, as far as notices and messages need them.

use std::collections::{BTreeMap, BTreeSet};

/// The first team's id, in NetEase's range for ordinary teams.
const FIRST_TID: u64 = 1_000_000_001;

/// What a team says of itself.
#[derive(Clone, Debug, Default)]
pub struct TeamInfo {
    /// At most 64 characters.
    pub name: String,
    /// At most 1024 characters.
    pub announcement: String,
    /// At most 512 characters.
    pub intro: String,
    /// At most 1024 characters.
    pub custom: String,
    /// At most 1024 characters.
    pub icon: String,
    /// 0 anybody, 1 on request, 2 nobody may join by themselves.
    pub join_mode: u8,
    /// How many members at most, the owner included.
    pub most_members: usize,
}

/// A team.
#[derive(Clone, Debug)]
pub struct Team {
    /// Its id.
    pub tid: u64,
    /// Accid of the owner, who is one of the members.
    pub owner: String,
    /// Accids.
    pub members: BTreeSet<String>,
    /// What it says of itself.
    pub info: TeamInfo,
    /// Unix time in milliseconds.
    pub created_at: i64,
}

/// All teams by id.
#[derive(Default)]
pub struct Teams {
    by_tid: BTreeMap<u64, Team>,
    founded: u64,
}

impl Teams {
    /// Founds a team of the owner and these members. Who does not exist is for the caller to find out before.
    pub fn found(
        &mut self,
        owner: &str,
        others: impl IntoIterator<Item = String>,
        info: TeamInfo,
        now_ms: i64,
    ) -> &Team {
        let tid = FIRST_TID + self.founded;
        self.founded += 1;
        let members = others.into_iter().chain([owner.to_owned()]).collect();
        let team = Team { tid, owner: owner.to_owned(), members, info, created_at: now_ms };
        self.by_tid.entry(tid).or_insert(team)
    }

    /// Finds a team by its id as text.
    pub fn get(&self, tid: &str) -> Option<&Team> {
        self.by_tid.get(&tid.parse().ok()?)
    }

    /// Dissolves a team; its messages stay where they are.
    pub fn dissolve(&mut self, tid: u64) {
        self.by_tid.remove(&tid);
    }
}
