//! Control calls that set something: the faults, the webhook's address; and `login`, `logout` and `drain`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::posting::PATIENCE;
use super::refusal::{Refusal, parse};
use crate::faults::Faults;
use crate::lock::lock;
use crate::state::Shared;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    accid: String,
    token: String,
    #[serde(default = "web")]
    client: String,
}

fn web() -> String {
    "WEB".to_owned()
}

/// `POST /simulator/login`: NIM's code for an IM client's log-in. After a 200 the account is online.
pub async fn login(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let Login { accid, token, client } = parse(&body)?;
    let accid = accid.to_lowercase();
    let mut world = lock(&shared.world);
    let code = world.accounts.login_code(&accid, &token);
    if code == 200 {
        world.presence.log_in(&accid, &client, shared.clock.now_ms());
    }
    Ok(Json(json!({ "code": code })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Logout {
    accid: String,
    client: Option<String>,
}

/// `POST /simulator/logout`: a client, or all of them, logs out; tells how many were online.
pub async fn logout(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let Logout { accid, client } = parse(&body)?;
    let now_ms = shared.clock.now_ms();
    let left = lock(&shared.world).presence.log_out(&accid.to_lowercase(), client.as_deref(), now_ms);
    Ok(Json(json!({ "loggedOut": left })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Webhook {
    url: String,
}

/// `POST /simulator/webhook`: copies go to this address from now on.
pub async fn set_webhook(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let Webhook { url } = parse(&body)?;
    shared.delivery.set_url(url.clone());
    Ok(Json(json!({ "url": url })))
}

/// `POST /simulator/drain`: waits until no copy is under way.
pub async fn drain(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let drained = shared.delivery.drain(PATIENCE).await;
    Json(json!({ "drained": drained }))
}

/// `GET /simulator/faults`: the settings in force.
pub async fn faults(State(shared): State<Arc<Shared>>) -> Json<Faults> {
    Json(shared.switchboard.faults())
}

/// `PUT /simulator/faults`: lays the given settings over those in force.
pub async fn set_faults(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Json<Faults>, Refusal> {
    let given: Map<String, Value> = parse(&body)?;
    let faults = shared.switchboard.merge(given).map_err(Refusal::bad)?;
    shared.delivery.nudge();
    Ok(Json(faults))
}

/// `DELETE /simulator/faults`: puts all back.
pub async fn reset_faults(State(shared): State<Arc<Shared>>) -> Json<Faults> {
    let faults = shared.switchboard.reset();
    shared.delivery.nudge();
    Json(faults)
}
