//! `POST /v1/accounts/bind`

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::edge::Edge;
use super::json::read_json;
use super::problem::{Code, Problem};
use super::request::{Authenticated, read_body};
use super::schemas::UserId;
use crate::commands::bind_account::{Bind, Binder, Bound, Friendship};
use crate::domain::ids::Accid;
use crate::domain::names::check_name;

/// What this call needs.
pub struct BindState {
    /// What all calls need.
    pub edge: Arc<Edge>,
    /// Binds buyers to sellers.
    pub binder: Arc<Binder>,
    /// The system account, and others of the site's own that nobody may bind or chat with.
    pub reserved: HashSet<Accid>,
}

impl AsRef<Edge> for BindState {
    fn as_ref(&self) -> &Edge {
        &self.edge
    }
}

/// Who wants to chat with whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BindRequest<'a> {
    /// Who opens the chat; the token's `sub`.
    #[serde(borrow)]
    #[schema(value_type = UserId)]
    buyer: Cow<'a, str>,
    /// The name that others see of the buyer. 1 to 64 characters, none of them invisible, not all of them blank; left out,
    /// the name stays as it is.
    #[serde(borrow)]
    #[schema(value_type = Option<String>, example = "Alice", min_length = 1, max_length = 64)]
    buyer_name: Option<Cow<'a, str>>,
    /// Whom the buyer wants to talk to; not the buyer.
    #[serde(borrow)]
    #[schema(value_type = UserId)]
    seller: Cow<'a, str>,
    /// The name that others see of the seller, as `buyerName`, if this call makes their account; else it is not looked at.
    #[serde(borrow)]
    #[schema(value_type = Option<String>, example = "Bob", min_length = 1, max_length = 64)]
    seller_name: Option<Cow<'a, str>>,
}

/// What the buyer's client logs in with.
#[derive(Debug, Serialize, ToSchema)]
pub struct BindAnswer {
    /// The buyer's account id at NetEase.
    #[schema(example = "alice")]
    accid: String,
    /// The buyer's token at NetEase.
    token: String,
    /// The seller.
    friend: Friend,
}

/// The other side of the chat.
#[derive(Debug, Serialize, ToSchema)]
pub struct Friend {
    /// The seller's account id at NetEase.
    #[schema(example = "bob")]
    accid: String,
    /// Whether the two are friends yet.
    state: FriendState,
    /// Why NetEase refuses, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
}

/// Whether the two are friends yet.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FriendState {
    /// NetEase has confirmed it.
    Added,
    /// NetEase is out of reach; it is made as soon as it can be.
    Pending,
    /// NetEase refuses for good: a friend limit, a blacklist, a refused account. Two who have accounts can chat all the
    /// same. It is not remembered: the next bind asks again.
    Refused,
}

/// Open a chat: make sure that buyer and seller have NetEase accounts and are friends
#[utoipa::path(post, path = "/v1/accounts/bind", operation_id = "bind", tag = "chat", security(("jwt" = [])),
    request_body(content = BindRequest, example = json!({"buyer": "alice", "buyerName": "Alice", "seller": "bob"})),
    responses(
        (status = 200, description = "What the buyer's client logs in with", body = BindAnswer),
        (status = 400, description = "`unreadable`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`: `sub` is not the buyer, or the buyer is reserved", body = Problem),
        (status = 408, description = "`body_timeout`", body = Problem),
        (status = 409, description = "`account_taken`: a row of an earlier version, under a user id in another letter \
            case", body = Problem),
        (status = 413, description = "`too_large`", body = Problem),
        (status = 422, description = "`invalid`", body = Problem),
        (status = 429, description = "`netease_busy`, `too_many_binds`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 502, description = "`netease_rejected`", body = Problem),
        (status = 503, description = "`store_unavailable`, `netease_unavailable`, `overloaded`, \
            `keys_unavailable`", body = Problem)))]
pub async fn bind(
    State(state): State<Arc<BindState>>,
    caller: Authenticated,
    body: Body,
) -> Result<Json<BindAnswer>, Problem> {
    let (edge, limits) = (&state.edge, &state.edge.limits);
    let body = read_body(body, limits.body, limits.body_timeout).await?;
    let bind = read(&state, read_json(&body)?)?;
    caller.must_be(edge.case, "buyer", bind.buyer.as_str())?;
    if state.reserved.contains(bind.buyer.accid()) {
        return Err(Problem::new(Code::Forbidden, "this account is the site's own: nobody binds it"));
    }
    let binder = Arc::clone(&state.binder);
    let bound = edge.detached(limits.netease_timeout, async move { Ok(binder.bind(bind).await?) }).await?;
    Ok(Json(bound.into()))
}

fn read(state: &BindState, request: BindRequest<'_>) -> Result<Bind, Problem> {
    let buyer = state.edge.user_id("buyer", &request.buyer)?;
    let seller = state.edge.user_id("seller", &request.seller)?;
    if buyer == seller {
        return Err(Problem::invalid("seller", "must not be the buyer"));
    }
    if state.reserved.contains(seller.accid()) {
        return Err(Problem::invalid("seller", "is the site's own account: nobody chats with it"));
    }
    let buyer_name = name("buyerName", request.buyer_name)?;
    Ok(Bind { buyer, buyer_name, seller, seller_name: name("sellerName", request.seller_name)? })
}

fn name(field: &str, name: Option<Cow<'_, str>>) -> Result<Option<String>, Problem> {
    let Some(name) = name else { return Ok(None) };
    check_name(&name).map_err(|rule| Problem::invalid(field, rule))?;
    Ok(Some(name.into_owned()))
}

impl From<Bound> for BindAnswer {
    fn from(bound: Bound) -> Self {
        let (state, reason) = match bound.friendship {
            Friendship::Added => (FriendState::Added, None),
            Friendship::Pending => (FriendState::Pending, None),
            Friendship::Refused(reason) => (FriendState::Refused, Some(reason)),
        };
        Self {
            accid: bound.accid.to_string(),
            token: bound.token,
            friend: Friend { accid: bound.friend.to_string(), state, reason },
        }
    }
}
