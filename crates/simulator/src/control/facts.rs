//! Control calls that only look: accounts, notices, messages, unread counts, statistics.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::refusal::Refusal;
use crate::lock::lock;
use crate::state::Shared;
use crate::world::accounts::Account;

type Asked<T> = Result<Query<T>, QueryRejection>;

/// `GET /simulator/accounts/{accid}`: accid, token, name, icon, friends.
pub async fn account(
    State(shared): State<Arc<Shared>>,
    Path(accid): Path<String>,
) -> Result<Json<Account>, Refusal> {
    let account = lock(&shared.world).accounts.get(&accid).cloned();
    account.map(Json).ok_or_else(|| Refusal::missing(format!("no account `{accid}` is registered")))
}

/// `?to=`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct To {
    to: String,
}

/// `GET /simulator/notices?to=`: everything `sendAttachMsg` brought for this account or team, oldest first.
pub async fn notices(State(shared): State<Arc<Shared>>, asked: Asked<To>) -> Result<Json<Value>, Refusal> {
    let Query(To { to }) = asked?;
    let world = lock(&shared.world);
    let found: Vec<_> = world.notices.iter().filter(|notice| notice.to.eq_ignore_ascii_case(&to)).collect();
    Ok(Json(json!({ "notices": found })))
}

/// `?reader=&peer=`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    reader: String,
    peer: String,
}

impl Pair {
    fn lower_cased(asked: Asked<Self>) -> Result<Self, Refusal> {
        let Query(pair) = asked?;
        Ok(Self { reader: pair.reader.to_lowercase(), peer: pair.peer.to_lowercase() })
    }
}

/// `GET /simulator/messages?reader=&peer=`: person messages from peer to reader, oldest first.
pub async fn messages(State(shared): State<Arc<Shared>>, asked: Asked<Pair>) -> Result<Json<Value>, Refusal> {
    let Pair { reader, peer } = Pair::lower_cased(asked)?;
    let world = lock(&shared.world);
    let messages: Vec<_> = world.chat.between(&reader, &peer).collect();
    Ok(Json(json!({ "messages": messages, "readUpTo": world.chat.read_mark(&reader, &peer) })))
}

/// `GET /simulator/unread?reader=&peer=`: the count by its definition.
pub async fn unread(State(shared): State<Arc<Shared>>, asked: Asked<Pair>) -> Result<Json<Value>, Refusal> {
    let Pair { reader, peer } = Pair::lower_cased(asked)?;
    let unread = lock(&shared.world).chat.unread(&reader, &peer);
    Ok(Json(json!({ "unread": unread })))
}

/// `GET /simulator/stats`: calls per API, and where the copies are.
pub async fn stats(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let calls = lock(&shared.gate).log.stats();
    let copies = shared.delivery.counts();
    let world = lock(&shared.world);
    Json(json!({
        "calls": calls,
        "copies": copies,
        "accounts": world.accounts.len(),
        "messages": world.chat.len(),
        "notices": world.notices.len(),
    }))
}

/// `?api=`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiName {
    api: String,
}

/// `GET /simulator/calls?api=user/create`: when it was called in the last ten minutes, Unix milliseconds.
pub async fn calls(State(shared): State<Arc<Shared>>, asked: Asked<ApiName>) -> Result<Json<Value>, Refusal> {
    let Query(ApiName { api }) = asked?;
    let at = lock(&shared.gate).log.times_of(&api);
    Ok(Json(json!({ "api": api, "at": at })))
}
