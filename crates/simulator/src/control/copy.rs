//! `POST /simulator/copy`: hand-made copies, well signed or badly.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::posting::{Reply, yes};
use super::refusal::{Refusal, parse};
use crate::signing::{self, Signature};
use crate::state::Shared;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CopyRequest {
    body: Option<Value>,
    raw: Option<String>,
    #[serde(default)]
    signature: Flavour,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default = "yes")]
    wait: bool,
}

/// How a hand-made copy is signed.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Flavour {
    /// As NetEase does.
    #[default]
    Good,
    /// MD5 and `CheckSum` agree with each other, but belong to another body.
    BadMd5,
    /// `CheckSum` made with another secret.
    BadChecksum,
    /// In order, but `CurTime` is in seconds.
    Seconds,
}

/// `POST /simulator/copy`: any body whatever, posted once, beside the queue.
pub async fn copy(State(shared): State<Arc<Shared>>, body: Bytes) -> Reply {
    let asked: CopyRequest = parse(&body)?;
    let text = match (asked.body, asked.raw) {
        (Some(body), None) => body.to_string(),
        (None, Some(raw)) => raw,
        _ => return Err(Refusal::bad("give either `body` (JSON) or `raw` (a string)")),
    };
    let signature = signed(&shared, &text, asked.signature);
    let headers: Vec<(String, String)> = asked.headers.into_iter().collect();
    let posting = {
        let delivery = shared.delivery.clone();
        async move { delivery.post_once(text.into(), &signature, &headers).await }
    };
    if !asked.wait {
        tokio::spawn(posting);
        return Ok(Json(json!({ "status": null })));
    }
    Ok(Json(match posting.await {
        Ok(status) => json!({ "status": status }),
        Err(error) => json!({ "status": null, "error": error }),
    }))
}

fn signed(shared: &Shared, body: &str, flavour: Flavour) -> Signature {
    let now_ms = shared.clock.now_ms() + shared.switchboard.read(|faults| faults.clock_skew_ms);
    let secret = &shared.app_secret;
    match flavour {
        Flavour::Good => signing::sign_copy(secret, body.as_bytes(), &now_ms.to_string()),
        Flavour::BadMd5 => signing::sign_copy(secret, b"another body", &now_ms.to_string()),
        Flavour::BadChecksum => signing::sign_copy("another secret", body.as_bytes(), &now_ms.to_string()),
        Flavour::Seconds => signing::sign_copy(secret, body.as_bytes(), &(now_ms / 1_000).to_string()),
    }
}
