//! Every way the simulator can be told to misbehave, with the bounds of each setting.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::api::Api;
use crate::v10_names::V10Api;

/// The switchboard's settings, as read and written by `/simulator/faults`. Times are in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "a switchboard is made of switches")]
pub struct Faults {
    // ---- the webhook side
    /// Extra times each copy is sent, 0..=50.
    pub duplicate: usize,
    /// Copies are shuffled within a window of this many, 0..=10000; 0 and 1 keep the order of posting.
    pub reorder: usize,
    /// Each copy sets out this much later, ..=600000.
    pub delay_ms: u64,
    /// Every n-th copy is lost for good; 0 loses none.
    pub drop_every: u64,
    /// The next n copies are lost for good; counts down.
    pub drop_next: u64,
    /// The chance that a copy is lost for good, 0..=1, from the seeded dice.
    pub drop_rate: f64,
    /// Whether a retry carries a fresh `CurTime` and `CheckSum`. Nobody knows what NetEase does.
    pub resign_retries: bool,
    /// Event type, times and ids as JSON numbers. Documented are strings, yet numbers occur.
    pub numbers_as_numbers: bool,
    /// How `objects` of a read receipt (`eventType` 30) is written.
    pub objects_as: ListForm,
    /// Person, team and notice ids are drawn from one range and so collide across kinds.
    pub same_ids_across_kinds: bool,
    /// Deliveries are held back until this is false again.
    pub down: bool,
    /// Posts in flight at once, 1..=256.
    pub concurrency: usize,
    /// Attempts in all before a copy is given up, 1..=1000.
    pub max_attempts: u32,
    /// Pause before the first retry; doubles with each one.
    pub first_retry_ms: u64,
    /// The longest pause between retries.
    pub max_retry_ms: u64,

    // ---- the server API side
    /// Failures for the very next calls, first match first; each entry counts down and goes.
    pub fail_next: Vec<FailNext>,
    /// Failures by chance, from the seeded dice.
    pub fail_rate: Option<FailRate>,
    /// How long a stalled answer takes, ..=600000.
    pub stall_ms: u64,
    /// Added to the clock that judges `CurTime` of calls and writes that of copies; message times stay true.
    pub clock_skew_ms: i64,
    /// Every call's connection is cut before the call is applied.
    pub api_down: bool,
    /// Calls per API in any one second before 416.
    pub quota_per_second: usize,
    /// How long an API stays closed after 416.
    pub quota_pause_ms: u64,
    /// Calls of the batch API in any one minute before 416.
    pub batch_per_minute: usize,
    /// How long the batch API stays closed after 416.
    pub batch_pause_ms: u64,
    /// The code friend/add answers for an unknown faccid, V10 saying 102404 where this is 414. 200 means: answered so,
    /// nothing done.
    pub friend_of_unknown: u16,
    /// The code V10 answers if somebody asks for conversations, which are a switch in NetEase's console. 200 means: it is on.
    pub conversations: u32,
    /// Whether V10's history takes `descending` as NetEase documents it, for the oldest first.
    pub descending_is_oldest_first: bool,
    /// The code V10 answers if the two are friends already: its list has 104405, yet 200 was seen.
    pub friends_again: u32,
    /// The code user/getUinfos answers if one accid of many is unknown. 200 means: that one is left out.
    pub uinfos_of_unknown: u16,
    /// The code for a notice or message to a team that was never founded. 200 means: taken all the same.
    pub team_of_unknown: u16,
    /// How `sendBatchAttachMsg` writes `unregister`.
    pub unregister_as: ListForm,
    /// How history/querySessionMsg writes the `body` of a message.
    pub history_body_as: BodyForm,
    /// Whether the history holds messages that were never delivered (`antispam`, `blacklist`).
    pub history_has_withheld: bool,
    /// What `excludeMsgid` of history/querySessionMsg means.
    pub exclude_msgid_as: Exclusion,
    /// Whether msg/markReadMsg is copied to the webhook as a read receipt.
    pub mark_read_copies: bool,
    /// Every call takes this much longer, ..=600000.
    pub latency_ms: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            duplicate: 0,
            reorder: 0,
            delay_ms: 0,
            drop_every: 0,
            drop_next: 0,
            drop_rate: 0.0,
            resign_retries: true,
            numbers_as_numbers: false,
            objects_as: ListForm::String,
            same_ids_across_kinds: false,
            down: false,
            concurrency: 16,
            max_attempts: 10,
            first_retry_ms: 100,
            max_retry_ms: 5_000,
            fail_next: Vec::new(),
            fail_rate: None,
            stall_ms: 30_000,
            clock_skew_ms: 0,
            api_down: false,
            quota_per_second: 100,
            quota_pause_ms: 10_000,
            batch_per_minute: 120,
            batch_pause_ms: 60_000,
            friend_of_unknown: 414,
            friends_again: 200,
            conversations: 200,
            descending_is_oldest_first: true,
            uinfos_of_unknown: 200,
            team_of_unknown: 404,
            unregister_as: ListForm::Array,
            history_body_as: BodyForm::Object,
            history_has_withheld: false,
            exclude_msgid_as: Exclusion::Anchor,
            mark_read_copies: true,
            latency_ms: 0,
        }
    }
}

impl Faults {
    /// Checks the bounds; the error is a sentence for the caller.
    pub fn check(&self) -> Result<(), String> {
        const LONGEST_MS: u64 = 600_000;
        within("duplicate", self.duplicate, 0, 50)?;
        within("reorder", self.reorder, 0, 10_000)?;
        within("concurrency", self.concurrency, 1, 256)?;
        within("maxAttempts", self.max_attempts, 1, 1_000)?;
        within("dropRate", self.drop_rate, 0.0, 1.0)?;
        within("delayMs", self.delay_ms, 0, LONGEST_MS)?;
        within("firstRetryMs", self.first_retry_ms, 1, LONGEST_MS)?;
        within("maxRetryMs", self.max_retry_ms, 1, LONGEST_MS)?;
        within("stallMs", self.stall_ms, 0, LONGEST_MS)?;
        within("latencyMs", self.latency_ms, 0, LONGEST_MS)?;
        within("quotaPauseMs", self.quota_pause_ms, 0, LONGEST_MS)?;
        within("batchPauseMs", self.batch_pause_ms, 0, LONGEST_MS)?;
        within("clockSkewMs", self.clock_skew_ms, -1_000_000_000_000, 1_000_000_000_000)?;
        if let Some(rate) = &self.fail_rate {
            within("failRate.permille", rate.permille, 0, 1_000)?;
            known("failRate.api", &rate.api)?;
        }
        self.fail_next.iter().try_for_each(|entry| known("failNext.api", &entry.api))
    }

    /// The mode for this call if `failNext` names it; uses up one of the entry's count.
    pub fn take_next_failure(&mut self, api: &str) -> Option<FailMode> {
        let at = self.fail_next.iter().position(|entry| names(&entry.api, api) && entry.count > 0)?;
        let entry = self.fail_next.get_mut(at)?;
        entry.count -= 1;
        let mode = entry.mode;
        self.fail_next.retain(|entry| entry.count > 0);
        Some(mode)
    }
}

/// Whether a fault's API name (`*` for all) means this API.
pub fn names(wanted: &str, api: &str) -> bool {
    wanted == "*" || wanted == api
}

fn known(name: &str, api: &str) -> Result<(), String> {
    let (classic, newer) = (Api::ALL.iter().map(|api| api.name()), V10Api::ALL.iter().map(|api| api.name()));
    if api == "*" || classic.chain(newer).any(|known| known == api) {
        return Ok(());
    }
    Err(format!("`{name}` is `{api}`, but must be `*` or an API such as user/create or v2/accounts.create"))
}

fn within<N: PartialOrd + Copy + std::fmt::Display>(
    name: &str,
    value: N,
    least: N,
    most: N,
) -> Result<(), String> {
    if value < least || value > most {
        return Err(format!("`{name}` is {value}, but must lie within {least} and {most}"));
    }
    Ok(())
}

/// A list written as a JSON array, or as a string that holds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListForm {
    /// `"[…]"`
    String,
    /// `[…]`
    Array,
}

/// A JSON object, or a string that holds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BodyForm {
    /// `{"msg":"…"}`
    Object,
    /// `"{\"msg\":\"…\"}"`
    String,
}

/// What leaving out one message leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exclusion {
    /// The message and all before it: the next page begins behind it.
    Anchor,
    /// The message alone: others of its millisecond come again.
    One,
}

/// The next `count` calls of `api` (a name such as `user/create`, or `*`) fail in this mode.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailNext {
    /// Which API.
    pub api: String,
    /// How it fails.
    pub mode: FailMode,
    /// How often; 1 if not said.
    #[serde(default = "one")]
    pub count: u32,
}

fn one() -> u32 {
    1
}

/// Calls of `api` (or `*`) fail in this mode with a chance of `permille` in a thousand.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailRate {
    /// Which API.
    pub api: String,
    /// How it fails.
    pub mode: FailMode,
    /// 0..=1000.
    pub permille: u16,
}

/// How a call fails. Written as `lose-reply`, `stall`, `refuse-then-cut`, `502` or any NIM code such as `"416"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailMode {
    /// The call is applied, then the connection is cut without an answer.
    LoseReply,
    /// The call is applied, the answer takes `stallMs`.
    Stall,
    /// The connection is cut, the call is not applied.
    RefuseThenCut,
    /// HTTP 502, the call is not applied.
    BadGateway,
    /// HTTP 200 with this code, the call is not applied.
    Code(u32),
}

impl Serialize for FailMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::LoseReply => serializer.serialize_str("lose-reply"),
            Self::Stall => serializer.serialize_str("stall"),
            Self::RefuseThenCut => serializer.serialize_str("refuse-then-cut"),
            Self::BadGateway => serializer.serialize_str("502"),
            Self::Code(code) => serializer.serialize_str(&code.to_string()),
        }
    }
}

impl<'de> Deserialize<'de> for FailMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        match name.as_str() {
            "lose-reply" => Ok(Self::LoseReply),
            "stall" => Ok(Self::Stall),
            "refuse-then-cut" => Ok(Self::RefuseThenCut),
            "502" => Ok(Self::BadGateway),
            other => other.parse().map(Self::Code).map_err(|_| {
                serde::de::Error::custom(format!(
                    "mode `{other}`: expected lose-reply, stall, refuse-then-cut, 502 or a NIM code such as 416"
                ))
            }),
        }
    }
}
