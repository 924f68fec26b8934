//! Stretches of time in which copies may have been lost: found, written down, and filled from NetEase's history.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use otc_im::commands::copy_flow::{ActiveUsers, CopyFlow};
use otc_im::commands::find_gaps::{GapFinder, Remembered, day_of};
use otc_im::commands::reconcile::Reconciler;
use otc_im::commands::reconcile_gaps::{GapReconciler, ReconcileCounters};
use otc_im::domain::counting::CountingRules;
use otc_im::domain::ids::Millis;
use otc_im::domain::silence::HOUR_MS;
use otc_im::infra::clock::System;
use otc_im::infra::netease::ServerApi;
use otc_im::ports::clock::Clock;
use otc_im::ports::gaps::{Gap, GapCause, Gaps};
use serde_json::json;

use super::facts::{NOW, Pair, fresh_accid};
use super::watched::SetClock;
use crate::gateway::{gateway, history};
use crate::support::backends::{self, Stack};
use crate::support::netease::NetEase;

on_each! {
    [
        nobody_at_work_for_a_minute_is_a_gap,
        refused_copies_are_one_gap_until_all_is_quiet,
        a_silence_is_judged_by_the_days_before,
        what_is_seen_is_written_down,
        a_gap_is_filled_for_whoever_was_active,
        a_gap_that_netease_cannot_fill_now_is_kept,
        a_gap_of_which_netease_shows_nothing_is_kept,
        a_gap_is_written_down_before_the_beat_that_hides_it,
    ]
    each embedded: backends::embedded().await;
    each production: backends::production().await;
}

const MINUTE: i64 = 60_000;

/// One instance, its clock, and what it remembers.
struct Instance {
    finder: GapFinder,
    clock: Arc<SetClock>,
    remembered: Remembered,
}

impl Instance {
    fn over(gaps: &Arc<dyn Gaps>) -> Self {
        let clock = Arc::new(SetClock::default());
        let finder = GapFinder {
            gaps: Arc::clone(gaps),
            flow: Arc::<CopyFlow>::default(),
            active: Arc::<ActiveUsers>::default(),
            clock: clock.clone(),
            ids: Arc::new(System),
        };
        Self { finder, clock, remembered: Remembered::default() }
    }

    async fn look(&mut self) {
        self.finder.look(&mut self.remembered).await.unwrap();
    }

    /// Looks every half minute until so much time has gone by.
    async fn work(&mut self, ms: i64) {
        for _ in 0..ms / 30_000 {
            self.clock.0.fetch_add(30_000, SeqCst);
            self.look().await;
        }
    }

    fn now(&self) -> Millis {
        self.clock.now()
    }

    /// The gaps that are over by now, the oldest first; nobody's any more.
    async fn gaps(&self) -> Vec<(GapCause, i64, i64)> {
        let (mut found, now) = (Vec::new(), self.now());
        while let Some(claimed) = self.finder.gaps.claim("test", now, now, now.plus(1)).await.unwrap() {
            self.finder.gaps.close(&claimed).await.unwrap();
            let Gap { cause, from, to, .. } = claimed.gap;
            found.push((cause, from.since(NOW), to.since(NOW)));
        }
        found
    }
}

async fn nobody_at_work_for_a_minute_is_a_gap(stack: &Stack) {
    let mut first = Instance::over(&stack.log.gaps);
    first.look().await;
    first.work(2 * MINUTE).await;
    assert_eq!(first.gaps().await, [], "an instance that has never run leaves none");
    first.clock.0.fetch_add(5 * MINUTE, SeqCst);
    let mut second = Instance::over(&stack.log.gaps);
    second.clock.0.store(first.now().0, SeqCst);
    second.look().await;
    first.look().await;
    assert_eq!(second.gaps().await, [(GapCause::Down, 2 * MINUTE, 7 * MINUTE)], "one of two notices it");
}

async fn refused_copies_are_one_gap_until_all_is_quiet(stack: &Stack) {
    let mut instance = Instance::over(&stack.log.gaps);
    for _ in 0..3 {
        instance.work(30_000).await;
        instance.finder.flow.refused(instance.now());
    }
    instance.work(3 * MINUTE).await;
    assert_eq!(instance.gaps().await, [(GapCause::Refused, 30_000, 90_000)]);
    instance.finder.flow.refused(instance.now());
    let at = instance.now().since(NOW);
    instance.look().await;
    assert_eq!(instance.gaps().await, [(GapCause::Refused, at, at)]);
}

async fn a_silence_is_judged_by_the_days_before(stack: &Stack) {
    let mut instance = Instance::over(&stack.log.gaps);
    for day in 1..=4 {
        // A copy a second at this hour: ten minutes without one are odd.
        instance.finder.gaps.beat(NOW.plus(-24 * day * HOUR_MS), 3_600, None).await.unwrap();
    }
    instance.finder.gaps.beat(NOW.plus(-30_000), 0, None).await.unwrap();
    instance.finder.flow.taken(NOW);
    instance.look().await;
    instance.work(9 * MINUTE).await;
    assert_eq!(instance.gaps().await, []);
    instance.work(2 * MINUTE).await;
    assert_eq!(instance.gaps().await, [(GapCause::Silence, 0, 10 * MINUTE)], "while it lasts");
    instance.work(MINUTE).await;
    assert_eq!(instance.gaps().await, [], "each piece once");
    instance.work(MINUTE).await;
    instance.finder.flow.taken(instance.now());
    instance.look().await;
    assert_eq!(instance.gaps().await, [(GapCause::Silence, 10 * MINUTE, 13 * MINUTE)], "and the rest of it");
    instance.work(2 * MINUTE).await;
    assert_eq!(instance.gaps().await, []);
}

async fn what_is_seen_is_written_down(stack: &Stack) {
    let mut instance = Instance::over(&stack.log.gaps);
    let users = [fresh_accid(), fresh_accid()];
    for user in &users {
        instance.finder.active.note(user);
    }
    instance.finder.flow.taken(NOW);
    instance.look().await;
    let (mut noted, today) = (stack.log.gaps.active(day_of(NOW), None, 10).await.unwrap(), day_of(NOW));
    noted.sort();
    let mut expected = users.to_vec();
    expected.sort();
    assert_eq!(noted, expected);
    assert!(stack.log.gaps.active(today + 1, None, 10).await.unwrap().is_empty());
    assert_eq!(stack.log.gaps.hours(0).await.unwrap(), [(NOW.0 / HOUR_MS, 1)]);
}

/// NetEase where the pair is at home, and a gap that is over, of now.
async fn lost(stack: &Stack, pair: &Pair) -> (NetEase, GapReconciler) {
    let netease = NetEase::start().await;
    let gateway = gateway(&netease);
    for accid in [&pair.reader, &pair.peer] {
        gateway.create_user(accid, "token", None).await.unwrap();
    }
    netease.faults(json!({"dropNext": 2})).await;
    let message = json!({"from": pair.peer.as_str(), "to": pair.reader.as_str(), "count": 2, "wait": false});
    netease.tell("send", message).await;
    let now = System.now();
    let (from, to) = (now.plus(-MINUTE), now.plus(-1));
    stack.log.gaps.put(&Gap { id: "one".into(), cause: GapCause::Refused, from, to }).await.unwrap();
    stack.log.gaps.note_active(&[fresh_accid(), pair.reader.clone()], day_of(now)).await.unwrap();
    let reconciler = Reconciler {
        history: history(ServerApi::V9, &netease),
        log: stack.log.messages.clone(),
        upkeep: stack.log.upkeep.clone(),
        view: stack.view.port.clone(),
        clock: Arc::new(System),
        rules: CountingRules::default(),
    };
    let reconciler = GapReconciler {
        gaps: stack.log.gaps.clone(),
        reconciler,
        ids: Arc::new(System),
        clock: Arc::new(System),
        after_ms: 0,
        counters: ReconcileCounters::default(),
    };
    (netease, reconciler)
}

async fn a_gap_is_filled_for_whoever_was_active(stack: &Stack) {
    let pair = Pair::fresh();
    let (netease, reconciler) = lost(stack, &pair).await;
    assert!(reconciler.next().await.unwrap());
    let held = stack.log.messages.snapshot(&pair.reader).await.unwrap();
    assert_eq!(held.unread.len(), 2);
    assert!(!reconciler.next().await.unwrap(), "it is filled");
    netease.stop().await;
}

async fn a_gap_that_netease_cannot_fill_now_is_kept(stack: &Stack) {
    let pair = Pair::fresh();
    let (netease, reconciler) = lost(stack, &pair).await;
    netease.faults(json!({"apiDown": true})).await;
    assert!(reconciler.next().await.is_err());
    assert!(!reconciler.next().await.unwrap(), "it rests until its lease has ended");
    let later = System.now().plus(3_600_000);
    let kept = stack.log.gaps.claim("later", later, later, later).await.unwrap().expect("it is kept");
    assert_eq!(kept.gap.id, "one");
    netease.stop().await;
}

async fn a_gap_of_which_netease_shows_nothing_is_kept(stack: &Stack) {
    let pair = Pair::fresh();
    let (netease, reconciler) = lost(stack, &pair).await;
    netease.faults(json!({"failNext": [{"api": "*", "mode": "403", "count": 100}]})).await;
    assert!(reconciler.next().await.is_err(), "that is no history without messages");
    netease.faults(json!({})).await;
    let later = System.now().plus(3_600_000);
    let kept = stack.log.gaps.claim("later", later, later, later).await.unwrap().expect("it is kept");
    assert_eq!((&*kept.gap.id, kept.after), ("one", None), "from its beginning");
    netease.stop().await;
}

/// As after a crash between the two: the gap is there, and the next look finds it again under the same name.
async fn a_gap_is_written_down_before_the_beat_that_hides_it(stack: &Stack) {
    let mut instance = Instance::over(&stack.log.gaps);
    instance.look().await;
    instance.clock.0.fetch_add(5 * MINUTE, SeqCst);
    let down = Gap { id: format!("down-{}", NOW.0), cause: GapCause::Down, from: NOW, to: instance.now() };
    stack.log.gaps.put(&down).await.unwrap();
    instance.clock.0.fetch_add(MINUTE, SeqCst);
    instance.look().await;
    assert_eq!(instance.gaps().await, [(GapCause::Down, 0, 6 * MINUTE)]);
}
