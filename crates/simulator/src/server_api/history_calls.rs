//! The server API's look back: history/querySessionMsg, queryTeamMsg, querySessionList and queryUserEvents.

use serde_json::{Value, json};

use super::params::{Answer, Params};
use crate::faults::{BodyForm, Exclusion};
use crate::lock::lock;
use crate::state::Shared;
use crate::world::history::{Session, Span, client_number, kind_number};
use crate::world::messages::Message;
use crate::world::presence::Event;

/// Messages of two persons, either way, in a span of time; there are no pages.
pub fn session_messages(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let (from, to) = (params.accid("from")?, params.accid("to")?);
    let asked = Asked::read(shared, params)?;
    let world = lock(&shared.world);
    world.accounts.get(&from).ok_or_else(|| Answer::unknown("from"))?;
    world.accounts.get(&to).ok_or_else(|| Answer::unknown("to"))?;
    Ok(asked.answer(world.chat.history(&from, &to, &asked.span)))
}

/// Messages of a team, for one who is in it. Without `checkTeamValid` who is in it does not matter.
pub fn team_messages(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let (tid, accid) = (params.text("tid", 20)?, params.accid("accid")?);
    let checked = params.flag("checkTeamValid")? != Some(false);
    let asked = Asked::read(shared, params)?;
    let team_of_unknown = shared.switchboard.read(|faults| faults.team_of_unknown);
    let world = lock(&shared.world);
    world.accounts.get(&accid).ok_or_else(|| Answer::unknown("accid"))?;
    match world.teams.get(tid) {
        Some(team) if checked && !team.members.contains(&accid) => {
            return Err(Answer::refused(804, "accid is not in the team"));
        }
        None if checked && team_of_unknown != 200 => {
            return Err(Answer::refused(team_of_unknown, "no such team"));
        }
        _ => {}
    }
    Ok(asked.answer(world.chat.team_history(tid, &asked.span)))
}

/// A page of messages as it was asked for.
struct Asked {
    span: Span,
    limit: usize,
    excluded: Option<u64>,
    body_as: BodyForm,
}

impl Asked {
    fn read(shared: &Shared, params: &Params) -> Result<Self, Answer> {
        let (exclusion, body_as, withheld) = shared
            .switchboard
            .read(|faults| (faults.exclude_msgid_as, faults.history_body_as, faults.history_has_withheld));
        let (begin_ms, end_ms) = span(params)?;
        let excluded = params.number("excludeMsgid", 0..=i64::MAX)?.and_then(|id| u64::try_from(id).ok());
        let limit = limit(params)?;
        let span = Span {
            begin_ms,
            end_ms,
            // One more where one is taken out below.
            limit: limit + usize::from(exclusion == Exclusion::One),
            newest_first: newest_first(params)?,
            kinds: kinds(params)?,
            behind: excluded.filter(|_| exclusion == Exclusion::Anchor),
            no_sense: params.flag("includeNoSenseMsg")? == Some(true),
            withheld,
        };
        Ok(Self { span, limit, excluded, body_as })
    }

    fn answer(&self, found: Vec<&Message>) -> Answer {
        let found = found.into_iter().filter(|message| Some(message.msgid_server) != self.excluded);
        let rows: Vec<Value> = found.take(self.limit).map(|message| row(message, self.body_as)).collect();
        Answer::done_with("size", json!(rows.len())).and("msgs", json!(rows))
    }
}

/// With whom an account wrote, the newest first; go on from the last one's time with `maxTimestamp`.
pub fn session_list(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let accid = params.accid("accid")?;
    let now_ms = shared.clock.now_ms();
    let min_ms = params.number("minTimestamp", 0..=i64::MAX)?.unwrap_or(0);
    let max_ms = params.number("maxTimestamp", 0..=i64::MAX)?.filter(|&max| max > 0).unwrap_or(now_ms);
    let limit = params.number("limit", 1..=100)?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(100);
    let with_last = params.choice("needLastMsg", &["0", "1"])? == Some("1");
    let withheld = shared.switchboard.read(|faults| faults.history_has_withheld);

    let world = lock(&shared.world);
    world.accounts.get(&accid).ok_or_else(|| Answer::unknown("accid"))?;
    let (sessions, more) = world.chat.sessions(&accid, (min_ms, max_ms), limit, withheld);
    let listed = |session: &Session<'_>| {
        let mut listed = json!({ "sessionType": 0, "accid": session.peer, "updateTime": session.updated_at });
        if let (true, Some(last)) = (with_last, session.last) {
            listed["lastMsg"] = json!(row(last, BodyForm::Object).to_string());
        }
        listed
    };
    let sessions: Vec<Value> = sessions.iter().map(listed).collect();
    Ok(Answer::done_with("data", json!({ "hasMore": more, "sessions": sessions })))
}

/// Log-ins (2) and log-outs (3) of an account in a span of time.
pub fn user_events(shared: &Shared, params: &Params) -> Result<Answer, Answer> {
    let accid = params.accid("accid")?;
    let (begin_ms, end_ms) = span(params)?;
    let (limit, newest_first) = (limit(params)?, newest_first(params)?);

    let world = lock(&shared.world);
    world.accounts.get(&accid).ok_or_else(|| Answer::unknown("accid"))?;
    let mut events: Vec<_> = world.presence.events(&accid, begin_ms, end_ms).collect();
    if newest_first {
        events.reverse();
    }
    let row = |event: &&Event| {
        json!({
            "accid": accid,
            "timestamp": event.at,
            "eventType": if event.login { 2 } else { 3 },
            "clientIp": "127.0.0.1",
            "clientType": event.client,
            "sdkVersion": 0,
            "code": 200,
        })
    };
    let events: Vec<Value> = events.iter().take(limit).map(row).collect();
    Ok(Answer::done_with("size", json!(events.len())).and("events", json!(events)))
}

fn span(params: &Params) -> Result<(i64, i64), Answer> {
    let (begin_ms, end_ms) = (params.time("begintime")?, params.time("endtime")?);
    if begin_ms >= end_ms {
        return Err(Answer::refused(414, "bad time"));
    }
    Ok((begin_ms, end_ms))
}

fn limit(params: &Params) -> Result<usize, Answer> {
    let limit = params.number("limit", 1..=100)?.ok_or_else(|| Answer::bad("limit", "is missing"))?;
    Ok(usize::try_from(limit).unwrap_or(100))
}

fn newest_first(params: &Params) -> Result<bool, Answer> {
    Ok(params.choice("reverse", &["1", "2"])? != Some("1"))
}

/// `type`: numbers of kinds, parted by commas.
fn kinds(params: &Params) -> Result<Option<Vec<u16>>, Answer> {
    let Some(list) = params.optional("type", 256)? else { return Ok(None) };
    let kinds: Result<Vec<u16>, _> = list.split(',').map(|kind| kind.trim().parse()).collect();
    kinds.map(Some).map_err(|_| Answer::bad("type", "must hold numbers, parted by commas"))
}

/// A message of the history; to whom it went is clear from what was asked for, so there is no `to`.
fn row(message: &Message, body_as: BodyForm) -> Value {
    let attach = message.said.attach.as_deref().and_then(|attach| serde_json::from_str(attach).ok());
    let body = attach.filter(Value::is_object).filter(|_| message.msg_type != "TEXT");
    let body = body.unwrap_or_else(|| json!({ "msg": message.said.body }));
    let body = match body_as {
        BodyForm::Object => body,
        BodyForm::String => json!(body.to_string()),
    };
    json!({
        "from": message.from,
        "msgid": message.msgid_server,
        "msgidclient": message.msgid_client,
        "sendtime": message.msg_timestamp,
        "type": kind_number(&message.msg_type),
        "fromclienttype": client_number(&message.said.client),
        "body": body,
    })
}
