//! However many requests an outage fails, it is told once a second, and one outage does not hide another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use axum::Router;
use futures_util::future::join_all;
use otc_im::infra::sql;
use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::events::Events;
use crate::support::process::Process;
use crate::support::proxy::Proxy;
use crate::support::service::Site;
use crate::support::stores::Stores;

/// Requests of each kind.
const MANY: usize = 50;

/// What a process has logged, once it has ended.
struct Log {
    lines: Vec<Value>,
    /// As many lines as there may be of each kind.
    most: usize,
}

impl Log {
    async fn of(process: Process, began: Instant) -> Self {
        process.terminate();
        let heard = process.heard().to_vec();
        let (_, rest) = process.ended().await;
        let lines = heard.iter().map(String::as_str).chain(rest.lines());
        let lines = lines.map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        Self { lines, most: usize::try_from(began.elapsed().as_secs()).unwrap() + 2 }
    }

    /// The lines of this message, each of which counts.
    fn told(&self, message: &str) -> Vec<&Value> {
        let told: Vec<_> = self.lines.iter().filter(|line| line["message"] == message).collect();
        assert!(!told.is_empty(), "{message}");
        assert!(told.iter().all(|line| line["count"].as_u64().is_some_and(|count| count > 0)), "{told:#?}");
        told
    }

    /// The same, and there are no more of each `field` than once a second.
    fn each(&self, message: &str, field: &str) -> BTreeMap<String, usize> {
        let mut each = BTreeMap::new();
        for line in self.told(message) {
            *each.entry(line[field].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        assert!(each.values().all(|lines| *lines <= self.most), "{message}: {each:#?}");
        each
    }
}

async fn binds(site: &Site, client: &Client, round: &str, status: u16) {
    join_all((0..MANY).map(|n| async move {
        let (buyer, seller) = (site.user(&format!("{round}{n}")), site.user(&format!("s{round}{n}")));
        let body = json!({"buyer": buyer, "seller": seller});
        let answer = client.as_user(&buyer).post("/v1/accounts/bind", &body).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_stores_is_told_once_a_second_for_each() {
    let site = Site::new(Stores::embedded()).await;
    let mut process = site.spawn().await;
    let client = process.client.clone();
    let client = &client;
    let database = sql::sqlite(site.stores.url("accounts.url"), 1).await.unwrap();
    for table in ["accounts", "messages", "outbox"] {
        let rename = sqlx::AssertSqlSafe(format!("ALTER TABLE {table} RENAME TO no_{table}"));
        sqlx::query(rename).execute(&database).await.unwrap();
    }
    let began = Instant::now();
    let polls = join_all((0..MANY).map(|n| async move {
        let reader = format!("reader{n}");
        let poll = json!({"self": reader, "users": ["bob"]});
        client.as_user(&reader).post("/v1/unread", &poll).await.problem(500, "internal");
    }));
    let notices = join_all((0..MANY).map(|_| async {
        let notice = json!({"to": "alice", "attach": "x"});
        client.as_user("site").post("/v1/notifications", &notice).await.problem(500, "internal");
    }));
    tokio::join!(polls, notices, binds(&site, client, "b", 500));
    let loops = process.log_line("the outbox is out of reach; trying again").await;
    let mut log = Log::of(process, began).await;
    log.lines.push(serde_json::from_str(&loops).unwrap());
    let stores: Vec<_> = log.each("a store failed", "error").into_keys().collect();
    let of = |store: &str| format!("{store} refused what was asked of it");
    assert_eq!(stores, ["accounts", "messages", "outbox"].map(of));
    log.each("the outbox is out of reach; trying again", "error");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_netease_is_told_once_a_second_and_deliveries_by_their_id_and_state() {
    // Fewer calls, so that the quota delays nobody.
    let site = Site::new(Stores::embedded()).await.set("netease.attempts", "1");
    let process = site.spawn().await;
    let client = &process.client;
    let broken = |api: &str| json!({"api": api, "mode": "503", "count": 1_000_000});
    site.netease.faults(json!({"failNext": [broken("friend/add"), broken("msg/sendAttachMsg")]})).await;
    let began = Instant::now();
    let notices = join_all((0..MANY).map(|n| async move {
        let notice = json!({"to": format!("reader{n}"), "attach": "x"});
        let answer = client.as_user("site").post("/v1/notifications", &notice).await.ok();
        answer["id"].as_str().unwrap().to_owned()
    }));
    let ids = notices.await;
    binds(&site, client, "b", 200).await;
    site.netease.faults(json!({"failNext": [broken("user/create")]})).await;
    binds(&site, client, "c", 503).await;
    let log = Log::of(process, began).await;
    assert_eq!(log.each("a delivery did not succeed", "state").into_keys().collect::<Vec<_>>(), ["queued"]);
    let told = log.told("a delivery did not succeed");
    let named = told.iter().filter_map(|line| line["id"].as_str());
    assert!(named.clone().count() > 0 && named.clone().all(|id| ids.iter().any(|it| it == id)), "{told:#?}");
    log.each("a friendship is owed", "level");
    let apis = log.each("a call to NetEase failed", "api");
    assert_eq!(apis.into_keys().collect::<Vec<_>>(), ["user/create"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ends_of_many_streams_are_told_once_a_second() {
    let stores = Stores::servers().await;
    let redis = stores.url("unread.url").to_owned();
    let proxy = Proxy::of(&redis).await;
    let site = Site::new(stores.with("unread.url", proxy.through(&redis))).await;
    let process = site.spawn().await;
    let open = (0..MANY).map(|n| {
        let reader = site.user(&format!("reader{n}"));
        let client = process.client.as_user(&reader);
        async move { Events::open(&client, &format!("/v1/unread/stream?self={reader}&users=bob")).await }
    });
    let mut streams = join_all(open).await;
    join_all(streams.iter_mut().map(Events::next)).await;
    let began = Instant::now();
    proxy.cut();
    let ends = join_all(streams.iter_mut().map(Events::next_or_end)).await;
    assert!(ends.iter().all(Option::is_none), "{ends:?}");
    let log = Log::of(process, began).await;
    log.each("a stream of counts ends", "problem");
    let stores: Vec<_> = log.each("a store failed", "error").into_keys().collect();
    assert_eq!(stores, ["unread is out of reach"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_set_without_a_usable_key_is_told_once_a_fetch_with_its_reasons() {
    let fetches = Arc::new(AtomicUsize::new(0));
    let fetched = Arc::clone(&fetches);
    let keys = r#"{"keys":[{"kty":"EC","crv":"P-384","x":"AA","y":"AA"},{"kty":"oct","k":"AA"}]}"#;
    let issuer = Router::new().fallback(async move || {
        fetched.fetch_add(1, Ordering::SeqCst);
        keys
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, issuer).await });
    let site = Site::new(Stores::embedded()).await.unset("auth.hs256_secret").set("auth.jwks_url", &url);
    let process = site.spawn().await;
    let (client, began) = (process.client.as_user("alice"), Instant::now());
    let polls = (0..MANY).map(|_| client.get("/v1/unread?self=alice&users=bob"));
    for answer in join_all(polls).await {
        answer.problem(503, "keys_unavailable");
    }
    let log = Log::of(process, began).await;
    let told = |line: &&Value| line["message"] == "the keys that verify tokens could not be fetched";
    let told: Vec<_> = log.lines.iter().filter(told).collect();
    assert_eq!(told.len(), fetches.load(Ordering::SeqCst), "{told:#?}");
    assert!(!told.is_empty() && told.len() <= log.most, "{told:#?}");
    for line in told {
        let error = line["error"].as_str().unwrap();
        assert!(error.contains("P-384") && error.contains("is a secret") && !error.contains("AA"), "{error}");
    }
}
