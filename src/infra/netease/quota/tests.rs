//! The quota, with time that stands still until everybody waits.

use std::sync::Arc;

use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::time::{sleep, timeout};

use super::*;

const WINDOW: Duration = Duration::from_secs(1);

fn quota(calls: usize) -> Quota {
    let limit = Limit {
        calls,
        background_calls: (calls * 3 / 4).max(1),
        window: WINDOW,
        pause: 10 * WINDOW,
        start_up: Duration::ZERO,
        person_patience: 3 * WINDOW,
        background_patience: 10 * WINDOW,
    };
    Quota::new("user/create", limit)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A slot, if there is one right now.
async fn at_once(quota: &Quota, urgency: Urgency) -> Option<Slot<'_>> {
    timeout(Duration::ZERO, quota.slot(urgency)).await.ok()?.ok()
}

/// A call that takes no time.
async fn call(quota: &Quota, urgency: Urgency) -> Result<(), GatewayError> {
    quota.slot(urgency).await?.sending();
    Ok(())
}

fn again_in<T>(result: Result<T, GatewayError>) -> Duration {
    match result {
        Err(GatewayError::Busy { again_in, .. }) => again_in,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("there was a slot"),
    }
}

/// One call of many: when it is wanted, how long it takes to reach NetEase and back, when the caller gives up.
#[derive(Debug, Clone)]
struct Wanted {
    at: u64,
    there: u64,
    back: u64,
    patience: u64,
    urgency: Urgency,
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let latency = || prop_oneof![3 => 0..20_u64, 1 => 0..2_500_u64];
    let urgency = prop_oneof![Just(Urgency::Person), Just(Urgency::Background)];
    let patience = prop_oneof![4 => Just(u64::MAX / 2), 1 => 0..2_000_u64];
    (0..1_500_u64, latency(), latency(), patience, urgency)
        .prop_map(|(at, there, back, patience, urgency)| Wanted { at, there, back, patience, urgency })
}

/// When calls reached NetEase, each with its urgency, in order.
async fn arrivals(quota: &Quota, calls: Vec<Wanted>) -> Vec<(Instant, Urgency)> {
    let seen = Mutex::new(Vec::new());
    let run = async |wanted: Wanted| {
        sleep(millis(wanted.at)).await;
        let call = async {
            let Ok(mut slot) = quota.slot(wanted.urgency).await else { return };
            slot.sending();
            sleep(millis(wanted.there)).await;
            seen.lock().unwrap().push((Instant::now(), wanted.urgency));
            sleep(millis(wanted.back)).await;
        };
        // Given up at any point: while it waits, or while it runs.
        let _ = timeout(millis(wanted.patience), call).await;
    };
    join_all(calls.into_iter().map(run)).await;
    seen.into_inner().unwrap()
}

fn most_in_a_window(times: &[Instant]) -> usize {
    times
        .iter()
        .map(|first| times.iter().filter(|at| *at >= first && **at < *first + WINDOW).count())
        .max()
        .unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_window_ever_sees_more_calls_than_the_quota(
        slots in 1..12_usize,
        calls in proptest::collection::vec(wanted(), 1..120),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (seen, left) = runtime.block_on(async {
            let quota = quota(slots);
            let seen = arrivals(&quota, calls).await;
            sleep(WINDOW).await;
            let mut left = Vec::new();
            while let Some(slot) = at_once(&quota, Urgency::Person).await {
                left.push(slot);
            }
            (seen, left.len())
        });
        let all: Vec<_> = seen.iter().map(|(at, _)| *at).collect();
        prop_assert!(most_in_a_window(&all) <= slots, "{} of {slots}", most_in_a_window(&all));
        let background: Vec<_> =
            seen.iter().filter(|(_, urgency)| *urgency == Urgency::Background).map(|(at, _)| *at).collect();
        prop_assert!(most_in_a_window(&background) <= (slots * 3 / 4).max(1));
        prop_assert_eq!(left, slots, "every slot came back");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_allowed_is_had_in_full() {
    let (quota, started) = (quota(100), Instant::now());
    let done = join_all((0..300).map(|_| call(&quota, Urgency::Person))).await;
    assert!(done.iter().all(Result::is_ok));
    assert_eq!(started.elapsed(), 2 * WINDOW);
}

#[tokio::test(start_paused = true)]
async fn persons_find_a_slot_however_much_is_to_do_in_the_background() {
    let quota = Arc::new(quota(8));
    let backlog = Arc::clone(&quota);
    let backlog =
        tokio::spawn(async move { join_all((0..60).map(|_| call(&backlog, Urgency::Background))).await });
    for second in 0..9 {
        let one = at_once(&quota, Urgency::Person).await;
        let other = at_once(&quota, Urgency::Person).await;
        assert!(one.is_some() && other.is_some(), "second {second}");
        one.into_iter().chain(other).for_each(|mut slot| slot.sending());
        // The next ones ask just after these two are free again.
        sleep(WINDOW).await;
    }
    assert!(backlog.await.unwrap().iter().all(Result::is_ok), "and the backlog gets its share: 6 a second");
}

#[tokio::test(start_paused = true)]
async fn slots_are_had_in_the_order_of_asking() {
    let (quota, order) = (quota(1), Mutex::new(Vec::new()));
    join_all((0..3).map(async |number| {
        call(&quota, Urgency::Person).await.unwrap();
        order.lock().unwrap().push((number, Instant::now()));
    }))
    .await;
    let order: Vec<_> = order.into_inner().unwrap().into_iter().map(|(number, _)| number).collect();
    assert_eq!(order, [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_in_time_and_says_when_to_come_again() {
    let quota = quota(1);
    let held = quota.slot(Urgency::Person).await.unwrap();
    let started = Instant::now();
    assert_eq!(again_in(quota.slot(Urgency::Person).await), WINDOW, "nobody knows when the call ends");
    assert_eq!(started.elapsed(), 3 * WINDOW);
    assert_eq!(again_in(quota.slot(Urgency::Background).await), WINDOW);
    assert_eq!(started.elapsed(), 13 * WINDOW);
    drop(held);
    assert!(at_once(&quota, Urgency::Person).await.is_some(), "nothing was sent, so it is free at once");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_what_cannot_come_in_time() {
    let limit = Limit { window: 60 * WINDOW, ..quota(2).limit };
    let quota = Quota::new("msg/sendBatchAttachMsg", limit);
    let started = Instant::now();
    call(&quota, Urgency::Background).await.unwrap();
    sleep(WINDOW).await;
    assert_eq!(again_in(call(&quota, Urgency::Background).await), 59 * WINDOW);
    assert_eq!(started.elapsed(), WINDOW, "it was plain at once");
    call(&quota, Urgency::Person).await.unwrap();
    assert_eq!(again_in(call(&quota, Urgency::Person).await), 59 * WINDOW);
}

#[tokio::test(start_paused = true)]
async fn no_more_wait_than_can_be_served() {
    let quota = quota(2);
    let held = [quota.slot(Urgency::Person).await.unwrap(), quota.slot(Urgency::Person).await.unwrap()];
    let mut waiting: Vec<_> = (0..8).map(|_| Box::pin(quota.slot(Urgency::Person))).collect();
    for slot in &mut waiting {
        assert!(timeout(Duration::ZERO, slot).await.is_err());
    }
    let refused = timeout(Duration::ZERO, quota.slot(Urgency::Person)).await.expect("at once");
    assert_eq!(again_in(refused), WINDOW);
    waiting.pop();
    assert!(timeout(Duration::ZERO, quota.slot(Urgency::Person)).await.is_err(), "there is room to wait");
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_closed_call_is_closed_for_all_who_wait_too() {
    let (quota, other) = (quota(1), quota(1));
    let held = quota.slot(Urgency::Person).await.unwrap();
    let closing = async {
        sleep(millis(500)).await;
        quota.close();
    };
    let started = Instant::now();
    let (person, background, ()) =
        tokio::join!(call(&quota, Urgency::Person), call(&quota, Urgency::Background), closing);
    assert_eq!(started.elapsed(), millis(500));
    assert_eq!([again_in(person), again_in(background)], [10 * WINDOW; 2]);
    drop(held);

    sleep(4 * WINDOW).await;
    assert_eq!(again_in(call(&quota, Urgency::Person).await), 6 * WINDOW);
    sleep(6 * WINDOW).await;
    assert!(call(&quota, Urgency::Person).await.is_ok());
    assert!(call(&other, Urgency::Person).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_counts_from_then_on() {
    let quota = quota(1);
    let running = async {
        let mut slot = quota.slot(Urgency::Person).await.unwrap();
        slot.sending();
        sleep(60 * WINDOW).await;
    };
    assert!(timeout(millis(700), running).await.is_err());
    let given_up = Instant::now();
    assert!(timeout(millis(300), quota.slot(Urgency::Person)).await.is_err(), "given up while it waits");
    call(&quota, Urgency::Person).await.unwrap();
    assert_eq!(given_up.elapsed(), WINDOW);
}
