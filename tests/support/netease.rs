//! NetEase, simulated in this process and listening, with its control API at hand.

use otc_im_simulator::{Simulator, SimulatorConfig};
use serde_json::{Value, json};

use super::client::http;
use super::webhook::SECRET;

/// A simulator, and what talks to it.
pub struct NetEase {
    simulator: Simulator,
    http: reqwest::Client,
}

impl NetEase {
    /// A new one: no account is registered, no copy goes anywhere.
    pub async fn start() -> Self {
        let config = SimulatorConfig { app_secret: SECRET.to_owned(), ..SimulatorConfig::default() };
        Self { simulator: Simulator::start(config).await.expect("a free port"), http: http() }
    }

    /// Where the service finds it.
    pub fn base_url(&self) -> String {
        self.simulator.base_url()
    }

    /// Copies go to the service at this address from now on.
    pub fn send_copies_to(&self, service: &str) {
        self.simulator.set_webhook_url(format!("{service}/receiveMsg.action"));
    }

    /// Nobody is there any more: connections are refused.
    pub async fn stop(self) {
        self.simulator.stop().await;
    }

    /// A control call, which has to succeed.
    pub async fn tell(&self, call: &str, body: Value) -> Value {
        let url = format!("{}/{call}", self.simulator.control_url());
        let sent = self.http.post(url).body(body.to_string()).send().await.expect("the simulator answers");
        let (status, text) = (sent.status(), sent.text().await.expect("a whole answer"));
        assert!(status.is_success(), "{call}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Something to look at; null if it is not there.
    pub async fn look(&self, what: &str) -> Value {
        let url = format!("{}/{what}", self.simulator.control_url());
        let sent = self.http.get(url).send().await.expect("the simulator answers");
        if sent.status() == 404 { Value::Null } else { sent.json().await.expect("JSON") }
    }

    /// Sets faults; `{}` puts all back.
    pub async fn faults(&self, faults: Value) {
        let url = format!("{}/faults", self.simulator.control_url());
        let reset = self.http.delete(&url).send().await.expect("the simulator answers");
        assert!(reset.status().is_success());
        let set = self.http.put(url).body(faults.to_string()).send().await.expect("the simulator answers");
        assert!(set.status().is_success(), "{}", set.text().await.unwrap_or_default());
    }

    /// Waits until no copy is under way.
    pub async fn drain(&self) {
        assert_eq!(self.tell("drain", json!({})).await["drained"], true, "copies are still under way");
    }

    /// The number of unread messages by its definition.
    pub async fn unread(&self, reader: &str, peer: &str) -> Value {
        self.look(&format!("unread?reader={reader}&peer={peer}")).await["unread"].clone()
    }

    /// Whether a client could log in.
    pub async fn login(&self, accid: &str, token: &str) -> bool {
        self.tell("login", json!({"accid": accid, "token": token})).await["code"] == 200
    }

    /// Sends messages between any accids, registered or not, and waits until their copies are taken.
    pub async fn send(&self, from: &str, to: &str, count: usize) -> Vec<Value> {
        let sent = self.tell("send", json!({"from": from, "to": to, "count": count, "force": true})).await;
        assert_eq!((&sent["delivered"], &sent["pending"]), (&count.into(), &0.into()), "{sent}");
        sent["messages"].as_array().expect("messages").clone()
    }

    /// The reader reads everything from the peer; waits until the receipt is taken.
    pub async fn read(&self, reader: &str, peer: &str) {
        let read = self.tell("read", json!({"reader": reader, "peer": peer, "force": true})).await;
        assert_eq!(read["delivered"], 1, "{read}");
    }

    /// How often this API was called.
    pub async fn calls(&self, api: &str) -> u64 {
        self.look("stats").await["calls"][api]["calls"].as_u64().unwrap_or(0)
    }
}
