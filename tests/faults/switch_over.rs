//! MySQL is switched over: the old primary becomes read-only and falls behind, new connections reach the new one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use otc_im::infra::sql;
use serde_json::json;
use tokio::task::JoinSet;

use super::accounts::Binders;
use super::driver::lock;
use super::fleet::Fleet;
use super::maria::{Maria, url_through};
use super::within;
use crate::support::netease::NetEase;
use crate::support::proxy::Proxy;

const BINDERS: usize = 6;
/// How long binds may fail after the switch: the old primary's connections are left as they are used.
const SECONDS: Duration = Duration::from_secs(10);
const NOTICES: usize = 100;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by scripts/test faults"]
async fn a_switch_over_of_mysql_costs_seconds_and_no_notice() {
    let (old, new, netease) = (Maria::start().await, Maria::start().await, NetEase::start().await);
    let (old_url, new_url) = (url_through(&old.place()), url_through(&new.place()));
    sql::migrate_mysql(&new_url).await.unwrap();
    let proxy = Proxy::of(&old_url).await;
    let settings = vec![("accounts.url", proxy.through(&old_url)), ("netease.base_url", netease.base_url())];
    let mut fleet = Fleet::start(1, settings).await;
    let binders = Binders::new(fleet.bases()[0].clone());
    let mut tasks = JoinSet::new();
    (0..BINDERS).for_each(|number| drop(tasks.spawn(Arc::clone(&binders).run(number))));
    within(SECONDS, "all bind", async || lock(&binders.bound).len() > BINDERS * 5).await;

    // The old primary knows nothing of what the new one takes from here on: it lags behind for ever.
    old.becomes_read_only().await;
    proxy.turn_to(&new_url);
    let client = fleet.client(0).clone();
    let mut accepted = Vec::new();
    let (mut refused, mut others) = (0, Vec::new());
    while accepted.len() < NOTICES {
        let to = format!("buyer{}.{}", accepted.len() % BINDERS, accepted.len());
        let answer = client.post("/v1/notifications", &json!({"to": to, "attach": {"n": 1}})).await;
        match answer.status {
            202 => accepted.push(answer.json()["id"].as_str().unwrap_or_default().to_owned()),
            503 => refused += 1,
            _ => others.push(answer.text),
        }
        assert!(refused < 1_000 && others.is_empty(), "{refused} refused; {others:?}");
    }
    let again = binders.succeed_again("the switch-over", &mut fleet).await;
    assert!(again < SECONDS, "{again:?}");
    for id in &accepted {
        let sent = async || client.get(&format!("/v1/notifications/{id}")).await.text.contains("\"sent\"");
        within(SECONDS * 2, &format!("the notice {id} is sent"), sent).await;
    }
    binders.stopped.store(true, Ordering::Relaxed);
    while tasks.join_next().await.is_some() {}
    assert!(lock(&binders.wrongs).is_empty(), "{:#?}", lock(&binders.wrongs));
    println!(
        "MySQL is switched over: {} buyers bound, {} binds and {refused} notices refused, {} notices accepted and sent; 0 \
         wrong; bound again after {:.2} s",
        lock(&binders.bound).len(),
        binders.refused.load(Ordering::Relaxed),
        accepted.len(),
        again.as_secs_f64(),
    );
    fleet.terminate(0).await;
}
