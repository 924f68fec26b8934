//! What all control calls that post copies have in common.

use std::time::Duration;

use axum::Json;
use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use crate::state::Shared;
use crate::world::World;

/// How long a control call waits for copies.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A control call's answer.
pub type Reply = Result<Json<Value>, Refusal>;

/// For `#[serde(default = …)]`: control calls wait unless told otherwise.
pub fn yes() -> bool {
    true
}

/// Refuses accounts that NIM does not hold, unless `force` says that it does not matter.
pub fn check_registered<'a>(
    world: &World,
    force: bool,
    accids: impl IntoIterator<Item = &'a str>,
) -> Result<(), Refusal> {
    let unknown = accids.into_iter().find(|accid| !force && world.accounts.get(accid).is_none());
    match unknown {
        Some(accid) => Err(Refusal::missing(format!(
            "no account `{accid}` is registered: bind it first, or add \"force\": true"
        ))),
        None => Ok(()),
    }
}

/// Posts copies; with `wait`, answers only when all are settled or the patience is at its end.
pub async fn post(shared: &Shared, bodies: Vec<String>, wait: bool) -> Map<String, Value> {
    let total = bodies.len();
    let copies = shared.delivery.submit(bodies);
    let (delivered, pending) = if wait {
        let settled = shared.delivery.settle(copies, PATIENCE).await;
        (settled.delivered, settled.pending)
    } else {
        (0, total)
    };
    Map::from_iter([("delivered".to_owned(), json!(delivered)), ("pending".to_owned(), json!(pending))])
}
