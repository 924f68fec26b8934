//! Reads server-sent events as a browser does.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::client::Client;

/// How long an event may take that has to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// One open stream.
pub struct Events {
    response: reqwest::Response,
    text: String,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its name; that of most is empty.
    pub name: String,
    /// Its `id`.
    pub id: String,
    /// Its `data`.
    pub map: Value,
}

impl Events {
    /// Opens a stream, which has to be granted.
    pub async fn open(client: &Client, path: &str) -> Self {
        let response = client.request(Method::GET, path).send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
        // Neither a cache nor a proxy that compresses or buffers may hold an event back.
        let headers = response.headers();
        assert_eq!(headers["content-type"], "text/event-stream");
        assert_eq!(headers["cache-control"], "no-store, no-transform");
        assert_eq!(headers["x-accel-buffering"], "no");
        Self { response, text: String::new() }
    }

    /// The next event, which has to come.
    pub async fn next(&mut self) -> Told {
        let next = tokio::time::timeout(PATIENCE, self.next_or_end()).await;
        next.expect("an event in time").expect("the stream has not ended")
    }

    /// The next event, or nothing if the stream ends before.
    pub async fn next_or_end(&mut self) -> Option<Told> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let told = read(&event);
                if told.is_some() {
                    return told;
                }
                continue;
            }
            let chunk = self.response.chunk().await.ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
    }
}

/// Nothing for a comment.
fn read(event: &str) -> Option<Told> {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start);
    let data = field("data:")?;
    let name = field("event:").unwrap_or_default().to_owned();
    Some(Told { name, id: field("id:")?.to_owned(), map: serde_json::from_str(data).expect("JSON") })
}
