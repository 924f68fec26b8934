//! What a claim has taken, put together into work.

use std::collections::BTreeMap;

use super::rows::{self, StoredNotification};
use crate::domain::ids::UserId;
use crate::ports::gateway::NoticeContent;
use crate::ports::outbox::{Claimed, OutboxEntry, OutboxNotice, Work};

/// What was taken, by what is to become of it.
#[derive(Default)]
pub struct Sorted {
    /// Singles as they come, then the batch.
    pub claimed: Vec<Claimed>,
    /// Their notice is there, and this version of the program cannot read it.
    pub unreadable: Vec<i64>,
    /// Their notice is not there, or not yet.
    pub unseen: Vec<i64>,
}

/// What was kept, with the notices of `contents`.
pub fn sorted(kept: Vec<StoredNotification>, contents: &BTreeMap<String, Option<NoticeContent>>) -> Sorted {
    let mut sorted = Sorted::default();
    let mut batches: BTreeMap<String, (UserId, Vec<OutboxEntry>, OutboxNotice)> = BTreeMap::new();
    for StoredNotification { entry, from, notification, read, batch, resendable, .. } in kept {
        if let Some(newest) = read {
            sorted.claimed.push(Claimed { notification: None, from, work: Work::Read(entry, newest) });
            continue;
        }
        let Some(notification) = notification else {
            sorted.claimed.push(Claimed { notification: None, from, work: Work::Friendship(entry) });
            continue;
        };
        if let Some((_, entries, _)) = batches.get_mut(&notification) {
            entries.push(entry);
            continue;
        }
        let content = match contents.get(&notification) {
            Some(Some(content)) => content.clone(),
            Some(None) => {
                sorted.unreadable.push(entry.id.0);
                continue;
            }
            None => {
                sorted.unseen.push(entry.id.0);
                continue;
            }
        };
        let notice = OutboxNotice { content, resendable };
        if batch == rows::BATCH {
            batches.insert(notification, (from, vec![entry], notice));
            continue;
        }
        let to_team = batch == rows::TEAM;
        let work = if to_team { Work::Team(entry, notice) } else { Work::Notice(entry, notice) };
        sorted.claimed.push(Claimed { notification: Some(notification), from, work });
    }
    sorted.claimed.extend(batches.into_iter().map(|(notification, (from, entries, notice))| Claimed {
        notification: Some(notification),
        from,
        work: Work::Batch(entries, notice),
    }));
    sorted
}
