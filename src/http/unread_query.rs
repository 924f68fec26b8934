//! The order page's question, and its answer as JSON: what the poll and the stream have in common.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use foldhash::fast::RandomState;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::edge::{Edge, too_slow};
use super::problem::{Code, Problem};
use super::request::Authenticated;
use super::schemas;
use super::shared_looks::Answer;
use crate::domain::ids::Accid;
use crate::domain::unread::Total;
use crate::queries::unread_counts::UnreadCounts;

/// Whose unread messages, and from whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnreadRequest<'a> {
    /// The reader; the token's `sub`.
    #[serde(borrow, rename = "self")]
    #[schema(value_type = schemas::UserId)]
    reader: Cow<'a, str>,
    #[serde(borrow)]
    #[schema(inline, value_type = schemas::Users)]
    users: Vec<Text<'a>>,
    /// The total is asked for, so `users` may be nobody. Only a query says so.
    #[serde(skip)]
    total: bool,
}

/// A call whose question is in its query.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// For counts.
    Poll,
    /// For the total.
    Total,
    /// For either, or both.
    Stream,
}

impl Call {
    fn takes(self, name: &str) -> bool {
        match name {
            "self" => true,
            "users" => self != Self::Total,
            "total" => self == Self::Stream,
            _ => false,
        }
    }

    fn parameters(self) -> &'static str {
        match self {
            Self::Poll => "`self` and `users`",
            Self::Total => "`self`",
            Self::Stream => "`self`, `users` and `total`",
        }
    }

    fn names_nobody(self) -> &'static str {
        match self {
            Self::Stream => "is missing: write users=bob,carol, or total=1",
            _ => "is missing: write users=bob,carol",
        }
    }
}

/// Borrows from the request unless it was escaped there, which serde does for a field, but not for what is in a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads `self=alice&users=bob,carol` as form encoders write it. Commas of one `users`, encoded or not, part the ids; where
/// it is repeated, each is one id, commas and all.
pub fn read_query(call: Call, query: &str) -> Result<UnreadRequest<'_>, Problem> {
    let (mut reader, mut users, mut total) = (None, Vec::new(), call == Call::Total);
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').ok_or_else(|| Problem::invalid(part, "has no value"))?;
        if !call.takes(name) {
            let rule = format!("is not a parameter of this call: it takes {}", call.parameters());
            return Err(Problem::invalid(name, rule));
        }
        match name {
            "self" if reader.is_some() => return Err(Problem::invalid("self", "must be there once")),
            "self" => reader = Some(decode("self", value)?),
            "users" => users.push(decode("users", value)?),
            _ => total = on_or_off(name, value)?,
        }
    }
    let reader = reader.ok_or_else(|| Problem::invalid("self", "is missing: write self=alice"))?;
    let users = match users.len() {
        0 if total => Vec::new(),
        0 => return Err(Problem::invalid("users", call.names_nobody())),
        1 => users.into_iter().flat_map(parted).map(Text).collect(),
        _ => users.into_iter().map(Text).collect(),
    };
    Ok(UnreadRequest { reader, users, total })
}

fn on_or_off(name: &str, value: &str) -> Result<bool, Problem> {
    match value {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err(Problem::invalid(name, "must be 1 or 0")),
    }
}

/// A value of a query: `+` is a space, and every `%` begins two hexadecimal digits.
fn decode<'a>(name: &str, value: &'a str) -> Result<Cow<'a, str>, Problem> {
    let mut escapes = value.split('%').skip(1).map(str::as_bytes);
    let hex = |digit: Option<&u8>| digit.is_some_and(u8::is_ascii_hexdigit);
    if !escapes.all(|escape| hex(escape.first()) && hex(escape.get(1))) {
        return Err(Problem::invalid(
            name,
            "has a % that no two hexadecimal digits follow: write %25 for it",
        ));
    }
    let decoded = match value.contains('+') {
        true => {
            percent_decode_str(&value.replace('+', " ")).decode_utf8().map(|text| text.into_owned().into())
        }
        false => percent_decode_str(value).decode_utf8(),
    };
    decoded.map_err(|_| Problem::new(Code::Unreadable, format!("`{name}` is not percent-encoded UTF-8")))
}

/// The ids between commas; nothing between two of them names nobody.
fn parted(users: Cow<'_, str>) -> Vec<Cow<'_, str>> {
    let named = |user: &&str| !user.is_empty();
    match users {
        Cow::Borrowed(users) => users.split(',').filter(named).map(Cow::Borrowed).collect(),
        Cow::Owned(users) => users.split(',').filter(named).map(|user| Cow::Owned(user.to_owned())).collect(),
    }
}

/// One reader, and the users on the page, each once, in the order asked; or the total, or both.
pub struct UnreadQuery<'a> {
    /// Whose counts.
    pub reader: Accid,
    /// Whether the total is asked for. If not, there are users.
    pub total: bool,
    users: Vec<Text<'a>>,
    peers: Vec<Accid>,
}

impl<'a> UnreadQuery<'a> {
    /// A question that keeps to the rules, from somebody who may ask it.
    pub fn of(request: UnreadRequest<'a>, edge: &Edge, caller: &Authenticated) -> Result<Self, Problem> {
        let UnreadRequest { reader: user, mut users, total } = request;
        let reader = edge.case.accid(&user).map_err(|rule| Problem::invalid("self", rule))?;
        let (count, limit) = (users.len(), edge.limits.poll_users);
        if count == 0 && !total {
            return Err(Problem::invalid("users", "must name at least one user"));
        }
        if count > limit {
            return Err(Problem::invalid(
                "users",
                format!("must name at most {limit} users; there are {count}"),
            ));
        }
        let mut peers = Vec::with_capacity(count);
        for (at, Text(user)) in users.iter().enumerate() {
            let peer = edge.case.accid(user);
            peers.push(peer.map_err(|rule| Problem::invalid(format!("users[{at}]"), rule))?);
        }
        caller.may_read(edge.case, &user)?;
        let mut seen = HashSet::with_capacity_and_hasher(count, RandomState::default());
        let repeated: Vec<usize> = (0..count).filter(|at| !seen.insert(&*users[*at].0)).collect();
        for at in repeated.into_iter().rev() {
            users.remove(at);
            peers.remove(at);
        }
        Ok(Self { reader, total, users, peers })
    }

    /// The same, no longer tied to the request.
    pub fn into_owned(self) -> UnreadQuery<'static> {
        let users = self.users.into_iter().map(|Text(user)| Text(Cow::Owned(user.into_owned()))).collect();
        UnreadQuery { reader: self.reader, total: self.total, users, peers: self.peers }
    }

    /// The accounts of those users, in their order.
    pub fn peers(&self) -> &[Accid] {
        &self.peers
    }

    /// What is asked for: the counts within `patience`, and the total likewise.
    pub async fn answer(&self, counts: &UnreadCounts, patience: Duration) -> Result<Answer, Problem> {
        let mut answer = Answer::default();
        if !self.peers.is_empty() {
            answer.counts = self.counts(counts, patience).await?;
        }
        if self.total {
            answer.total = Some(self.all(counts, patience).await?);
        }
        Ok(answer)
    }

    /// The total, within `patience`.
    pub async fn all(&self, counts: &UnreadCounts, patience: Duration) -> Result<Total, Problem> {
        let total = tokio::time::timeout(patience, counts.total(&self.reader));
        Ok(total.await.map_err(|_| too_slow())??)
    }

    /// One count for each user, within `patience`.
    pub async fn counts(&self, counts: &UnreadCounts, patience: Duration) -> Result<Vec<u64>, Problem> {
        let counts = tokio::time::timeout(patience, counts.of(&self.reader, &self.peers));
        Ok(self.own_is_zero(counts.await.map_err(|_| too_slow())??))
    }

    /// These counts, but nobody has messages to oneself.
    pub fn own_is_zero(&self, mut counts: Vec<u64>) -> Vec<u64> {
        for (count, peer) in counts.iter_mut().zip(&self.peers) {
            if *peer == self.reader {
                *count = 0;
            }
        }
        counts
    }

    /// The JSON map of these counts: every user as the caller wrote it.
    pub fn map(&self, counts: &[u64]) -> Result<Vec<u8>, Problem> {
        self.map_of(counts, |_| true)
    }

    /// The JSON map of those counts that are not as they were; `None` if all are.
    pub fn map_of_changed(&self, counts: &[u64], before: &[u64]) -> Result<Option<Vec<u8>>, Problem> {
        if counts == before {
            return Ok(None);
        }
        self.map_of(counts, |at| before.get(at) != counts.get(at)).map(Some)
    }

    fn map_of(&self, counts: &[u64], wanted: impl Fn(usize) -> bool) -> Result<Vec<u8>, Problem> {
        let mut map = Vec::with_capacity(self.users.len() * 24 + 2);
        let asked = self.users.iter().zip(&self.peers).zip(counts).enumerate();
        for (_, ((Text(user), peer), count)) in asked.filter(|(at, _)| wanted(*at)) {
            map.push(if map.is_empty() { b'{' } else { b',' });
            // Writing to memory cannot fail.
            let written = quote(&mut map, user, peer);
            map.push(b':');
            written
                .and_then(|()| serde_json::to_writer(&mut map, count))
                .map_err(|error| unwritten(&error))?;
        }
        map.push(b'}');
        Ok(map)
    }
}

/// As JSON. Nearly every user is an accid, in which nothing is escaped.
fn quote(map: &mut Vec<u8>, user: &str, peer: &Accid) -> serde_json::Result<()> {
    if user != peer.as_str() {
        return serde_json::to_writer(map, user);
    }
    map.push(b'"');
    map.extend_from_slice(user.as_bytes());
    map.push(b'"');
    Ok(())
}

/// All that the reader has not read.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"messages": 12, "users": 3}))]
pub struct UnreadTotal {
    /// How many messages: the sum of the counts of all who have written.
    #[schema(minimum = 0)]
    messages: u64,
    /// From how many people they are.
    #[schema(minimum = 0)]
    users: u64,
}

/// The total as JSON, and a strong validator of it, without quotes.
pub fn total_json(total: Total) -> Result<(Vec<u8>, String), Problem> {
    let Total { messages, users } = total;
    let json = serde_json::to_vec(&UnreadTotal { messages, users }).map_err(|error| unwritten(&error))?;
    Ok((json, validator(&[messages, users])))
}

fn unwritten(error: &serde_json::Error) -> Problem {
    Problem::new(Code::Internal, format!("the answer could not be written: {error}"))
}

/// A strong validator of the answer to one question, without quotes: the question is in the URL, so the counts decide.
pub fn validator(counts: &[u64]) -> String {
    let mut hash = Sha256::new();
    for count in counts {
        hash.update(count.to_be_bytes());
    }
    hex::encode(&hash.finalize()[..16])
}
