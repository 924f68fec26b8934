//! Signs message copies as NetEase does, with code of its own, and posts them.

use md5::{Digest, Md5};
use otc_im::infra::clock::System;
use otc_im::ports::clock::Clock;
use reqwest::Method;
use serde_json::{Value, json};
use sha1::Sha1;

use super::client::{Answer, Client, send};

/// The path that NetEase posts to.
pub const PATH: &str = "/receiveMsg.action";
/// The app secret of every test: the one that the signed vectors were made with.
pub const SECRET: &str = "test_app_secret_0123456789abcdef";

/// The three headers that sign a body.
pub fn signature(secret: &str, body: &[u8], cur_time: &str) -> [(&'static str, String); 3] {
    let md5 = hex::encode(Md5::digest(body));
    let check_sum = hex::encode(Sha1::digest(format!("{secret}{md5}{cur_time}")));
    [("CurTime", cur_time.to_owned()), ("MD5", md5), ("CheckSum", check_sum)]
}

/// The present as `CurTime` has it.
pub fn now() -> String {
    System.now().to_string()
}

impl Client {
    /// Posts a copy under these headers.
    pub async fn copy_under<'a>(
        &self,
        headers: impl IntoIterator<Item = (&'a str, String)>,
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let request = self.request(Method::POST, PATH).body(body);
        let add =
            |request: reqwest::RequestBuilder, (name, value)| request.header::<&str, String>(name, value);
        let answer = send(headers.into_iter().fold(request, add)).await;
        assert_ne!(answer.status, 500, "NetEase takes a 500 for delivered");
        answer
    }

    /// Posts a copy, signed now.
    pub async fn copy(&self, body: impl Into<Vec<u8>>) -> Answer {
        let body = body.into();
        self.copy_under(signature(SECRET, &body, &now()), body).await
    }

    /// The sum of a counter over all its labels that contain `part`.
    pub async fn counted(&self, part: &str) -> u64 {
        let metrics = self.get("/metrics").await.text;
        let lines = metrics.lines().filter(|line| !line.starts_with('#') && line.contains(part));
        lines.map(|line| line.rsplit(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("a number")).sum()
    }
}

/// A message copy (eventType 1) with everything that is always there.
pub fn message(from: &str, to: &str, id: u64, at: i64) -> Value {
    json!({
        "eventType": "1", "convType": "PERSON", "msgType": "TEXT", "fromAccount": from, "to": to,
        "msgTimestamp": at.to_string(), "msgidServer": id.to_string(), "body": "hello",
    })
}
