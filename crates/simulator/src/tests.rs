//! The bench the tests work at: a simulator, a stub of a webhook, and a client for both APIs.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};

use super::clock::Clock;
use super::delivery::webhook;
use super::lock::lock;
use super::{Simulator, SimulatorConfig, signing};

mod accounts_api;
mod call_faults;
mod chat;
mod copy_faults;
mod friends_api;
mod history;
mod messages_api;
mod signatures;
mod standing;
mod strangers;
mod teams;
mod v10;

const KEY: &str = "simulated_app_key";
const SECRET: &str = "simulated_app_secret";

/// What the stub webhook got, and what it is to answer next (200 once the list is used up).
#[derive(Default)]
struct Stub {
    got: Mutex<Vec<(HeaderMap, Bytes)>>,
    answers: Mutex<VecDeque<u16>>,
}

async fn take(State(stub): State<Arc<Stub>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    lock(&stub.got).push((headers, body));
    let answer = lock(&stub.answers).pop_front().unwrap_or(200);
    StatusCode::from_u16(answer).unwrap()
}

struct Bench {
    simulator: Simulator,
    stub: Arc<Stub>,
    http: reqwest::Client,
    nonce: AtomicU32,
}

impl Bench {
    async fn new() -> Self {
        let stub = Arc::new(Stub::default());
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let app = Router::new().route("/hook", post(take)).with_state(Arc::clone(&stub));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let config = SimulatorConfig { webhook_url: Some(url), seed: 7, ..SimulatorConfig::default() };
        let simulator = Simulator::start(config).await.unwrap();
        Self { simulator, stub, http: webhook::http_client().unwrap(), nonce: AtomicU32::new(0) }
    }

    /// A bench with these accounts registered; each one's token is its accid.
    async fn with(accids: &[&str]) -> Self {
        let bench = Self::new().await;
        for accid in accids {
            let answer = bench.call("user/create", &[("accid", accid), ("token", accid)]).await;
            assert_eq!(answer["code"], 200, "{answer}");
        }
        bench
    }

    /// Headers of a call that is in order.
    fn headers(&self) -> Vec<(&'static str, String)> {
        let nonce = format!("nonce-{}", self.nonce.fetch_add(1, Ordering::Relaxed));
        let cur_time = (Clock::start().now_ms() / 1_000).to_string();
        let check_sum = signing::call_check_sum(SECRET, &nonce, &cur_time);
        vec![("AppKey", KEY.to_owned()), ("Nonce", nonce), ("CurTime", cur_time), ("CheckSum", check_sum)]
    }

    async fn try_call(&self, api: &str, form: &[(&str, &str)]) -> reqwest::Result<reqwest::Response> {
        self.call_with(api, form, self.headers()).await
    }

    async fn call_with(
        &self,
        api: &str,
        form: &[(&str, &str)],
        headers: Vec<(&'static str, String)>,
    ) -> reqwest::Result<reqwest::Response> {
        let mut request = self.http.post(format!("{}/{api}.action", self.simulator.base_url())).form(form);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.send().await
    }

    async fn call(&self, api: &str, form: &[(&str, &str)]) -> Value {
        let response = self.try_call(api, form).await.unwrap();
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }

    /// The status and body of a control call.
    async fn control(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}{path}", self.simulator.control_url());
        let mut request = self.http.request(method.parse().unwrap(), url);
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let (status, reply) = self.control("POST", path, body).await;
        assert_eq!(status, 200, "{reply}");
        reply
    }

    async fn get(&self, path: &str) -> Value {
        let (status, reply) = self.control("GET", path, Value::Null).await;
        assert_eq!(status, 200, "{reply}");
        reply
    }

    async fn faults(&self, faults: Value) {
        let (status, reply) = self.control("PUT", "/faults", faults).await;
        assert_eq!(status, 200, "{reply}");
    }

    async fn drain(&self) {
        assert_eq!(self.post("/drain", json!({})).await, json!({ "drained": true }));
    }

    async fn unread(&self, reader: &str, peer: &str) -> u64 {
        self.get(&format!("/unread?reader={reader}&peer={peer}")).await["unread"].as_u64().unwrap()
    }

    /// Bodies the webhook got, in the order of arrival.
    fn got(&self) -> Vec<Value> {
        lock(&self.stub.got).iter().map(|(_, body)| serde_json::from_slice(body).unwrap()).collect()
    }

    fn answer_next(&self, statuses: &[u16]) {
        lock(&self.stub.answers).extend(statuses);
    }
}
