//! What must be so once everything has been told and nothing fails any more: log, view and answers against a count
//! made the naive way.

use std::sync::{Arc, PoisonError};

use otc_im::domain::ids::{Accid, Millis};
use otc_im::domain::message::MessageKey;

use super::history::{Fact, History};
use super::ledger::{Ledger, Told};
use super::log::Disk;
use super::polls::Pages;
use super::service::{Instance, Stores};
use super::world::World;

/// Reports to `world` whatever is not as it must be.
pub async fn pass(
    world: &World,
    history: &History,
    stores: &Stores,
    pages: &Pages,
    instances: &[Arc<Instance>],
) {
    let mut wanted = Vec::new();
    {
        let disk = stores.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let ledger = world.ledger();
        let mut faults = letters(history, &disk);
        faults.extend(ledger.messages().filter_map(|told| stored(told, &disk)));
        for reader in &history.people {
            let mut counts = Vec::new();
            for peer in &history.people {
                let mark = disk.marks.get(&(reader.clone(), peer.clone())).copied();
                faults.extend(mark_fault(&ledger, reader, peer, mark));
                faults.extend(states(&ledger, &disk, reader, peer, mark));
                counts.push(naive(&ledger, &disk, reader, peer, mark));
            }
            wanted.push((reader.clone(), counts));
        }
        drop(ledger);
        for fault in faults {
            world.wrong(fault);
        }
    }
    for (reader, wanted) in wanted {
        for instance in instances {
            match pages.poll(instance, &reader).await {
                Some(counts) if counts == wanted => {}
                other => world.wrong(format!(
                    "in the end {} answers {other:?} for {reader}, not {wanted:?}",
                    instance.name
                )),
            }
        }
    }
}

/// The number of messages of a pair by the definition. Of what was never acknowledged, the log decides whether it
/// happened.
fn naive(ledger: &Ledger, disk: &Disk, reader: &Accid, peer: &Accid, mark: Option<Millis>) -> u64 {
    let counts = |told: &&Told| {
        let sent = &told.sent;
        let row = disk.messages.get(&sent.key);
        let there = row.is_some_and(|row| row.message.is_some());
        let recalled = row.is_some_and(|row| row.recalled);
        sent.counts
            && sent.to == *reader
            && sent.from == *peer
            && there
            && !recalled
            && mark.is_none_or(|mark| sent.at > mark)
    };
    ledger.messages().filter(counts).count() as u64
}

/// What was acknowledged is durable, and nothing is recalled that nobody took back.
fn stored(told: &Told, disk: &Disk) -> Option<String> {
    let key: MessageKey = told.sent.key;
    let row = disk.messages.get(&key);
    let there = row.is_some_and(|row| row.message.is_some());
    let recalled = row.is_some_and(|row| row.recalled);
    if told.acked.is_some() && !there {
        return Some(format!("{key} was acknowledged and is not in the log"));
    }
    if told.recall_acked.is_some() && !recalled {
        return Some(format!("the recall of {key} was acknowledged and is not in the log"));
    }
    (recalled && told.recall_begun.is_none()).then(|| format!("nobody recalled {key}"))
}

/// The mark is that of a receipt that was told, and no older than any that was acknowledged.
fn mark_fault(ledger: &Ledger, reader: &Accid, peer: &Accid, mark: Option<Millis>) -> Option<String> {
    let acked = ledger.marks(reader, peer).filter(|m| m.acked.is_some()).map(|m| m.least).max();
    let told = |mark| ledger.marks(reader, peer).any(|m| (m.least..=ledger.most(m)).contains(&mark));
    let told = mark.is_none_or(told);
    (mark < acked || !told).then(|| format!("{reader}'s mark for {peer} is {mark:?}, acknowledged {acked:?}"))
}

/// `state` is 1 exactly on what the mark covers. A receipt that NetEase gave up on may have raised the mark and no
/// more: then nothing may be read that is not covered, and that is all.
fn states(ledger: &Ledger, disk: &Disk, reader: &Accid, peer: &Accid, mark: Option<Millis>) -> Vec<String> {
    let acked = ledger.marks(reader, peer).filter(|m| m.acked.is_some()).map(|m| m.least).max();
    let of_pair = |told: &&Told| told.sent.to == *reader && told.sent.from == *peer;
    let mut faults = Vec::new();
    for told in ledger.messages().filter(of_pair).filter(|told| told.acked.is_some()) {
        let Some(row) = disk.messages.get(&told.sent.key).filter(|row| row.counted) else { continue };
        let covered = |mark: Option<Millis>| mark.is_some_and(|mark| told.sent.at <= mark);
        if row.read && !covered(mark) || !row.read && covered(acked) {
            faults.push(format!("state of {} is {}, the mark {mark:?}", told.sent.key, row.read));
        }
    }
    faults
}

/// Every copy that was acknowledged without being understood is kept whole.
fn letters(history: &History, disk: &Disk) -> Vec<String> {
    let wanted = history.events.iter().filter(|event| event.patience.is_none());
    let wanted = wanted.filter_map(|event| Some((event.letter.as_ref()?, &event.fact)));
    let kept = |marker: &str| disk.letters.values().any(|letter| letter.raw.contains(marker));
    wanted
        .filter(|(marker, fact)| matches!(fact, Fact::Noise | Fact::Read(_)) && !kept(marker))
        .map(|(marker, _)| format!("{marker} is kept nowhere"))
        .collect()
}
